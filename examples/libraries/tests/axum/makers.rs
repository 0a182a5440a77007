//! Synchronous code that makes archives, and may fail half way.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::thread;

use flate2::Compression;
use flate2::read::GzEncoder;
use switchback::yield_now;
use zip::write::SimpleFileOptions;

/// How many files an archive has, and after how many it fails if it is to fail.
const FILES: usize = 6;
const HALF: usize = FILES / 2;

/// How the making ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Well,
    WithError,
    WithPanic,
}

impl Ends {
    pub(crate) fn parse(name: &str) -> Ends {
        let all = [Ends::Well, Ends::WithError, Ends::WithPanic];
        all.into_iter()
            .find(|ends| format!("{ends:?}") == name)
            .unwrap()
    }

    /// Fails at the right file. It also waits, as code that looks for its content would.
    fn check(self, file: usize) -> io::Result<()> {
        yield_now().wait();
        match self {
            Ends::WithError if file == HALF => Err(io::Error::other("half way")),
            Ends::WithPanic if file == HALF => resume_unwind(Box::new("half way")),
            _ => Ok(()),
        }
    }
}

/// The content of a file: lines that differ from file to file, and compress a little.
pub(crate) fn content(seed: usize, file: usize) -> Vec<u8> {
    let mut random = (seed * FILES + file + 1) as u32;
    let mut lines = Vec::new();
    for line in 0..700 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(lines, "{line};{random:x};{}", random % 97).unwrap();
    }
    lines
}

/// What makes a kind of archive.
pub(crate) type Maker = fn(&mut dyn Write, usize, Ends) -> io::Result<()>;

pub(crate) const MAKERS: [(&str, Maker); 4] = [
    ("tar.zst", tar_zstd),
    ("zip", zip),
    ("csv", csv),
    ("gz", gzip),
];

pub(crate) fn maker(kind: &str) -> Maker {
    let found = MAKERS.iter().find(|(name, _)| *name == kind);
    found.unwrap().1
}

/// What a maker makes on a plain thread, where its waits block.
pub(crate) fn made(maker: Maker, seed: usize) -> Vec<u8> {
    let make = move || {
        let mut all = Vec::new();
        maker(&mut all, seed, Ends::Well).unwrap();
        all
    };
    thread::spawn(make).join().unwrap()
}

fn tar_zstd(out: &mut dyn Write, seed: usize, ends: Ends) -> io::Result<()> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(out, 1)?);
    for file in 0..FILES {
        ends.check(file)?;
        let content = content(seed, file);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("file-{file}"), &content[..])?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

fn zip(out: &mut dyn Write, seed: usize, ends: Ends) -> io::Result<()> {
    let mut zip = zip::ZipWriter::new_stream(out);
    for file in 0..FILES {
        ends.check(file)?;
        zip.start_file(format!("file-{file}"), SimpleFileOptions::default())?;
        zip.write_all(&content(seed, file))?;
    }
    zip.finish()?;
    Ok(())
}

fn csv(out: &mut dyn Write, seed: usize, ends: Ends) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    for file in 0..FILES {
        ends.check(file)?;
        for line in content(seed, file)
            .trim_ascii_end()
            .split(|byte| *byte == b'\n')
        {
            csv.write_record(line.split(|byte| *byte == b';').chain([&b"a,b"[..]]))?;
        }
    }
    csv.flush()
}

fn gzip(out: &mut dyn Write, seed: usize, ends: Ends) -> io::Result<()> {
    io::copy(&mut gzip_reader(seed, ends), out)?;
    Ok(())
}

/// An encoder that is read.
pub(crate) fn gzip_reader(seed: usize, ends: Ends) -> impl Read {
    let files = Files {
        seed,
        ends,
        next: 0,
        rest: io::Cursor::default(),
    };
    GzEncoder::new(files, Compression::fast())
}

/// The files one after the other.
struct Files {
    seed: usize,
    ends: Ends,
    next: usize,
    rest: io::Cursor<Vec<u8>>,
}

impl Read for Files {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.rest.read(buf)?;
        if count > 0 || self.next == FILES {
            return Ok(count);
        }
        self.ends.check(self.next)?;
        self.rest = io::Cursor::new(content(self.seed, self.next));
        self.next += 1;
        self.rest.read(buf)
    }
}
