//! `switchback::fs` against `std::fs`, and what only it can do.

use std::cell::Cell;
use std::io::{Read, Seek, Write};
use std::rc::Rc;

use switchback::fs::{self, File};
use switchback::{assert_no_switchpoints, prelude::*, spawn};

use crate::support::{Log, OnDrop, folder, in_async, in_root_fiber, panic_of, watched};

mod with_std {
    use std::fs;

    include!("scripts/fs.rs");
}

mod with_ours {
    use switchback::fs;

    include!("scripts/fs.rs");
}

#[test]
fn files_are_as_with_std() {
    let folder = folder("files");
    let in_folder = |name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (threads, on_hub, both) = (in_folder("a"), in_folder("b"), in_folder("c"));
    let expected = with_std::files(&threads);
    let on_fibers = watched(move || switchback::run(move || with_ours::files(&on_hub)).unwrap());
    assert_eq!(on_fibers, expected);
    assert_eq!(watched(move || with_ours::files(&both)), expected);
}

#[test]
fn write_is_visible() {
    let folder = folder("visible");
    let path = folder.path().join("file");
    in_root_fiber(move || {
        let mut file = File::create(&path).unwrap();
        for round in 0..200 {
            file.write_all(b"x").unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), round + 1);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn dev_full_errs_at_once() {
    in_root_fiber(|| {
        let mut full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let error = full.write(b"x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    });
}

/// A file of ours that cannot seek, and the end that fills it.
#[cfg(unix)]
fn pipe() -> (File, std::os::unix::net::UnixStream) {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    (File::from(std::os::fd::OwnedFd::from(near)), far)
}

#[cfg(unix)]
#[test]
fn a_cancelled_reads_bytes_come_next() {
    in_root_fiber(|| {
        let (file, mut writer) = pipe();
        let mut reader = file.try_clone().unwrap();
        let fiber = spawn(move || reader.read(&mut [0; 8]).unwrap());
        switchback::sleep(std::time::Duration::from_millis(20)).wait();
        fiber.cancel(); // its job reads on
        assert!(fiber.wait().unwrap_err().is_cancelled());
        writer.write_all(b"hello").unwrap();
        let mut file = file;
        let mut text = [0; 2];
        file.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"he");
        let mut rest = [0; 3];
        file.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"llo");
    });
}

#[test]
fn a_cancelled_read_does_not_move_the_position() {
    let folder = folder("position");
    let path = folder.path().join("file");
    in_root_fiber(move || {
        std::fs::write(&path, [b'0'; 1 << 20]).unwrap();
        for _ in 0..20 {
            let mut file = File::options().read(true).write(true).open(&path).unwrap();
            let mut reader = file.try_clone().unwrap();
            let fiber = spawn(move || reader.read_exact(&mut vec![0; 1 << 20]).unwrap());
            // It comes next, so the job may end meanwhile, but the fiber cannot.
            let handle = fiber.handle();
            let canceller = spawn(move || {
                std::thread::sleep(std::time::Duration::from_micros(50));
                handle.cancel()
            });
            // Unless it ended before the first poll.
            let was_cancelled = canceller.wait().unwrap();
            assert_eq!(fiber.wait().is_err(), was_cancelled);
            let moved = match was_cancelled {
                true => 0,
                false => 1 << 20,
            };
            assert_eq!(file.stream_position().unwrap(), moved);
        }
    });
}

#[test]
fn files_are_shared_by_hubs_and_threads() {
    let folder = folder("shared");
    let path = folder.path().join("file");
    watched(move || {
        let file = File::create(&path).unwrap();
        let append = |file: File, byte: u8| {
            move || {
                let mut file = file;
                (0..50).for_each(|_| file.write_all(&[byte; 10]).unwrap());
            }
        };
        let clone = || file.try_clone().unwrap();
        let hubs = [1, 2].map(|byte| {
            let hub = switchback::HubThread::new().unwrap();
            let fiber = hub.handle().spawn(append(clone(), byte)).unwrap();
            (hub, fiber)
        });
        append(clone(), 3)();
        for (_hub, fiber) in hubs {
            fiber.wait().unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 1500);
        for block in bytes.chunks(10) {
            assert!(block.iter().all(|byte| *byte == block[0]));
        }
    });
}

#[test]
fn a_file_that_is_open_while_its_fiber_unwinds_returns_errors() {
    let folder = folder("unwinding");
    let path = folder.path().join("file");
    in_root_fiber(move || {
        let results = Log::new();
        let is_open = Rc::new(Cell::new(false));
        let (log, opened) = (results.clone(), is_open.clone());
        let fiber = spawn(move || {
            let mut file = File::create(&path).unwrap();
            // Nothing may panic here.
            let _writes = OnDrop(|| log.push(file.write(b"x").map_err(|e| e.kind())));
            opened.set(true);
            crate::support::forever();
        });
        while !is_open.get() {
            switchback::sleep(std::time::Duration::from_millis(1)).wait();
        }
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        let results = results.take();
        // The write may be done before it is waited for.
        let is_told = |result: &_| matches!(result, Ok(1) | Err(std::io::ErrorKind::Other));
        assert!(results.len() == 1 && is_told(&results[0]), "{results:?}");
    });
}

#[test]
fn calls_are_refused_in_async_code_and_where_nothing_may_wait() {
    in_async(|| async {
        let refused = panic_of(|| fs::exists("Cargo.toml"));
        let begin = "`fs::exists` would block the runtime; use `tokio::fs`, or ";
        assert!(refused.message.starts_with(begin), "{refused:?}");
    });
    in_root_fiber(|| {
        let refused = panic_of(|| assert_no_switchpoints(|| fs::read("Cargo.toml")));
        assert!(refused.message.contains("is a switchpoint"), "{refused:?}");
        let mut entries = fs::read_dir(".").unwrap();
        entries.next().unwrap().unwrap();
        let refused = panic_of(|| assert_no_switchpoints(|| entries.next().map(drop)));
        assert!(refused.message.contains("is a switchpoint"), "{refused:?}");
    });
}
