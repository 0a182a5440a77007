//! [`Output`]: what synchronous code in a fiber writes, on its way to the task that reads it.

use std::future::poll_fn;
use std::io::{self, Write};

use tokio::task::coop;

use super::pipe::End;
use crate::current::unwinding::is_unwinding;
use crate::wait::block_on_io;

/// How many bytes are collected before they go into the pipe, which takes a lock and may wake the
/// task.
const CHUNK: usize = 16 * 1024;

/// The fiber's end of a pipe, as a `Write`.
pub(super) struct Output<'a> {
    end: &'a End<Vec<u8>>,
    collected: Vec<u8>,
    /// Whether a destructor has written while the stack was unwinding.
    is_cut_off: bool,
}

impl Output<'_> {
    /// Lets `write` write into the pipe. If a write was refused because the stack was unwinding, the
    /// result is an error: a destructor can tell nobody, and `write` may have caught what unwound.
    pub(super) fn run(
        end: &End<Vec<u8>>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut output = Output {
            end,
            collected: Vec::new(),
            is_cut_off: false,
        };
        write(&mut output)?;
        match output.is_cut_off {
            true => Err(cut_off()),
            false => Ok(()),
        }
    }

    /// Puts bytes into the pipe, as many as there is room for, and waits while there is none.
    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let put = poll_fn(|cx| self.end.poll_write(cx, bytes));
        block_on_io("`HubPool::output`", coop::cooperative(put))
    }

    /// Puts what was collected into the pipe. What is left if this fails stays collected.
    fn put_collected(&mut self) -> io::Result<()> {
        while !self.collected.is_empty() {
            let amount = self.put(&self.collected)?;
            self.collected.drain(..amount);
        }
        Ok(())
    }
}

/// Returns the error of a write that was refused.
#[cold]
fn cut_off() -> io::Error {
    io::Error::other(
        "a destructor wrote to a `HubPool::output` while its fiber was unwinding, which could make half \
         of it look whole; write the end before what is written to is dropped",
    )
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An encoder that is dropped half way may write its end, and so would make the half look whole.
        if is_unwinding() {
            self.is_cut_off = true;
            return Err(cut_off());
        }
        if self.collected.len() >= CHUNK {
            self.put_collected()?;
        }
        if self.collected.is_empty() && bytes.len() >= CHUNK {
            return self.put(bytes);
        }
        let amount = bytes.len().min(CHUNK - self.collected.len());
        self.collected.extend_from_slice(&bytes[..amount]);
        Ok(amount)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put_collected()
    }
}

impl Drop for Output<'_> {
    /// Passes on what was written before the end, whatever ends it. This must not wait, so the
    /// pipe takes it whether it has room or not.
    fn drop(&mut self) {
        self.end.attempt(|pipe| {
            if !pipe.is_broken {
                pipe.buffer.append(&mut self.collected);
            }
            Some(())
        });
    }
}
