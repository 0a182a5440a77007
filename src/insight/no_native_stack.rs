//! [`NativeStack`], where there is none.

use std::convert::Infallible;
use std::io;
use std::os::raw::c_int;
use std::sync::Arc;

use crate::shared::Mailbox;
use crate::stack::FramesEnd;

#[derive(Debug)]
pub(super) struct NativeStack {
    pub(super) resumes: Option<u64>,
    never: Infallible,
}

impl NativeStack {
    pub(super) fn of(_hub: &Arc<Mailbox>, _signal: c_int) -> io::Result<NativeStack> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a thread that runs has a backtrace on x86-64 Linux with glibc only",
        ))
    }

    pub(super) fn walk(self) -> io::Result<(Box<[usize]>, FramesEnd)> {
        match self.never {}
    }
}
