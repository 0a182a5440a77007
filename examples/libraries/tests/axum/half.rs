//! Half an archive is never taken for a whole one, whatever ended it half way.

use std::io::{self, Cursor, Write};
use std::panic::resume_unwind;

use switchback::{HubPool, current_fiber, prelude::*, yield_now};
use tokio::io::AsyncReadExt;
use zip::write::SimpleFileOptions;

use crate::gate::{Gate, ShutOnDrop};
use crate::legacy;
use crate::support::watched;

/// What comes out of the pool for `write`, and whether it came to a good end.
fn sent(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> (Vec<u8>, bool) {
    watched(move || {
        let pool = HubPool::new(1).unwrap();
        let mut bytes = Vec::new();
        let end = pool.output(write).read_to_end(&mut bytes).wait();
        pool.close().wait();
        (bytes, end.is_ok())
    })
}

/// The number of files, if this looks like an archive.
fn files(bytes: Vec<u8>) -> Option<usize> {
    Some(zip::ZipArchive::new(Cursor::new(bytes)).ok()?.len())
}

type End = fn() -> io::Result<()>;

/// Every way to end half way.
const ENDS: [(&str, End); 3] = [
    ("error", || Err(io::Error::other("half way"))),
    ("panic", || resume_unwind(Box::new("half way"))),
    ("cancel", || {
        current_fiber().unwrap().cancel();
        yield_now().wait();
        unreachable!()
    }),
];

/// Writes a file, and then ends.
fn half(out: impl Write, end: End) -> io::Result<()> {
    let mut zip = zip::ZipWriter::new_stream(out);
    zip.start_file("first", SimpleFileOptions::default())?;
    zip.write_all(b"of two")?;
    end()?;
    zip.finish()?;
    Ok(())
}

/// The crate keeps back what the writer's drop writes while it unwinds. It cannot tell an error.
#[test]
fn a_writer_that_ends_its_archive_when_it_is_dropped() {
    for (name, end) in ENDS {
        let (bytes, is_good) = sent(move |out| half(out, end));
        assert!(!is_good, "{name}");
        assert!(!bytes.is_empty(), "{name}");
        assert_eq!(files(bytes), (name == "error").then_some(1), "{name}");
    }
}

/// As in the example `archive`.
#[test]
fn a_writer_above_a_gate_that_is_shut_before_it_is_dropped() {
    for (name, end) in ENDS {
        let (bytes, is_good) = sent(move |out| {
            let is_shut = std::cell::Cell::new(false);
            let mut zip = zip::ZipWriter::new_stream(Gate::new(out, &is_shut));
            let _shut = ShutOnDrop(&is_shut);
            zip.start_file("first", SimpleFileOptions::default())?;
            zip.write_all(b"of two")?;
            end()
        });
        assert!(!is_good, "{name}");
        assert!(!bytes.is_empty(), "{name}");
        assert_eq!(files(bytes), None, "{name}");
    }
}

#[test]
fn the_archives_of_the_example() {
    let whole = sent(|out| legacy::write_archive(out, 1));
    assert_eq!((files(whole.0), whole.1), (Some(legacy::FILES), true));
    // A file is not there.
    let (bytes, is_good) = sent(|out| legacy::write_archive(out, legacy::BROKEN));
    assert_eq!((files(bytes), is_good), (None, false));
}
