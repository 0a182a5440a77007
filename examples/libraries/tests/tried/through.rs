//! Runs a library over streams of a few bytes at a time, in many fibers at once, and compares it
//! with itself over a slice.

use std::fmt::Debug;
use std::io::{Read, Write};

use switchback::{io::Blocking, prelude::*, spawn, yield_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::support::{Drops, in_root_fiber};

/// How many fibers run a library at once.
const FIBERS: usize = 10;

/// What a library makes of a stream, or that it failed.
pub(crate) type Seen<T> = Result<T, String>;

/// A library that reads, over bytes that come in pieces: whole, and cut off in the middle. A fiber
/// that is cancelled in the middle unwinds through it.
pub(crate) fn reads<T>(bytes: Vec<u8>, library: fn(&mut dyn Read) -> Seen<T>)
where
    T: Debug + PartialEq + Send + 'static,
{
    in_root_fiber(move || {
        let half = bytes[..bytes.len() / 2].to_vec();
        for bytes in [&bytes, &half] {
            let expected = library(&mut &bytes[..]);
            let fibers: Vec<_> = (1..=FIBERS)
                .map(|n| {
                    let (near, mut far) = duplex(3 + 100 * n);
                    let bytes = bytes.clone();
                    spawn(move || {
                        for piece in bytes.chunks(1 + 31 * n) {
                            // A library may have seen enough.
                            if far.write_all(piece).wait().is_err() {
                                return;
                            }
                            yield_now().wait();
                        }
                    });
                    spawn(move || library(&mut Blocking::new(near)))
                })
                .collect();
            for fiber in fibers {
                match (fiber.wait().unwrap(), &expected) {
                    (Ok(value), Ok(expected)) => assert_eq!(value, *expected),
                    (seen, expected) => assert_eq!(seen.is_err(), expected.is_err(), "{seen:?}"),
                }
            }
        }
        let drops = Drops::new();
        let token = drops.token();
        let (near, mut far) = duplex(1 << 20);
        far.write_all(&half).wait().unwrap();
        let fiber = spawn(move || {
            let _token = token;
            library(&mut Blocking::new(near))
        });
        yield_now().wait();
        // It waits for the rest, unless it is one that has seen enough.
        fiber.cancel();
        let ended = fiber.wait();
        assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
        assert_eq!(drops.count(), 1);
    });
}

/// A library that writes, over a stream with little room.
pub(crate) fn writes(library: fn(&mut dyn Write) -> Seen<()>) {
    in_root_fiber(move || {
        let mut expected = Vec::new();
        library(&mut expected).unwrap();
        let fibers: Vec<_> = (1..=FIBERS)
            .map(|n| {
                let (near, mut far) = duplex(1 + 97 * n);
                spawn(move || library(&mut Blocking::new(near)).unwrap());
                spawn(move || {
                    let mut all = Vec::new();
                    far.read_to_end(&mut all).wait().unwrap();
                    all
                })
            })
            .collect();
        for fiber in fibers {
            assert!(fiber.wait().unwrap() == expected);
        }
    });
}

/// What a library writes to memory.
pub(crate) fn written(library: fn(&mut dyn Write) -> Seen<()>) -> Vec<u8> {
    let mut all = Vec::new();
    library(&mut all).unwrap();
    all
}

/// A library that reads what it has written.
pub(crate) fn writes_and_reads<T>(
    write: fn(&mut dyn Write) -> Seen<()>,
    read: fn(&mut dyn Read) -> Seen<T>,
) where
    T: Debug + PartialEq + Send + 'static,
{
    writes(write);
    let bytes = written(write);
    assert!(read(&mut &bytes[..]).is_ok());
    reads(bytes, read);
}

pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}
