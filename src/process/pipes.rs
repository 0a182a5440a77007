//! The pipes of a child process.

use std::io::{self, IoSlice, Read, Write};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle};
use std::process::Stdio;

use crate::io::{Blocking, Call};

/// Implements what all pipes have: their making, and access to the descriptor.
macro_rules! pipe {
    ($type:ident) => {
        impl $type {
            pub(super) fn new(pipe: tokio::process::$type) -> $type {
                $type(Blocking::new(pipe))
            }

            #[allow(dead_code)] // the input is not read
            pub(super) fn into_inner(self) -> tokio::process::$type {
                self.0.into_inner()
            }
        }

        /// Connects another program with this pipe. Panics if the system refuses to make it blocking,
        /// which it does not do for an open pipe.
        impl From<$type> for Stdio {
            #[track_caller]
            fn from(pipe: $type) -> Stdio {
                match pipe.into_inner().try_into() {
                    Ok(stdio) => stdio,
                    Err(e) => panic!("a pipe cannot be made blocking for another program: {e}"),
                }
            }
        }

        #[cfg(unix)]
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.get_ref().as_fd()
            }
        }

        #[cfg(unix)]
        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.0.get_ref().as_raw_fd()
            }
        }

        #[cfg(windows)]
        impl AsHandle for $type {
            fn as_handle(&self) -> BorrowedHandle<'_> {
                self.0.get_ref().as_handle()
            }
        }

        #[cfg(windows)]
        impl AsRawHandle for $type {
            fn as_raw_handle(&self) -> RawHandle {
                self.0.get_ref().as_raw_handle()
            }
        }
    };
}

/// Implements `Read`.
macro_rules! output {
    ($type:ident, $read:literal) => {
        impl Read for $type {
            #[track_caller]
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read_for(Call::process($read), buf)
            }
        }
    };
}

/// The input of a [`Child`](super::Child), as [`std::process::ChildStdin`]. A write blocks the fiber
/// while the pipe is full. Dropping it ends the input.
#[derive(Debug)]
pub struct ChildStdin(Blocking<tokio::process::ChildStdin>);

/// The output of a [`Child`](super::Child), as [`std::process::ChildStdout`]. A read blocks the fiber.
#[derive(Debug)]
pub struct ChildStdout(Blocking<tokio::process::ChildStdout>);

/// The error output of a [`Child`](super::Child), as [`std::process::ChildStderr`]. A read blocks the
/// fiber.
#[derive(Debug)]
pub struct ChildStderr(Blocking<tokio::process::ChildStderr>);

pipe! { ChildStdin }
pipe! { ChildStdout }
pipe! { ChildStderr }
output! { ChildStdout, "`process::ChildStdout::read`" }
output! { ChildStderr, "`process::ChildStderr::read`" }

impl Write for ChildStdin {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        const CALL: Call = Call::process("`process::ChildStdin::write`");
        self.0.write_for(CALL, buf)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        const CALL: Call = Call::process("`process::ChildStdin::write_vectored`");
        self.0.write_vectored_for(CALL, bufs)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Connects another program with a file; with a clone of it, if it is shared. Panics if the system
/// has no descriptor left for that.
#[cfg(feature = "fs")]
impl From<crate::fs::File> for Stdio {
    #[track_caller]
    fn from(file: crate::fs::File) -> Stdio {
        match std::fs::File::try_from(file) {
            Ok(file) => file.into(),
            Err(e) => panic!("a file cannot be cloned for another program: {e}"),
        }
    }
}
