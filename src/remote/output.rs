//! [`Output`]: what synchronous code in a fiber writes, on its way to the task that reads it.

use std::future::poll_fn;
use std::io::{self, Write};

use tokio::task::coop;

use super::pipe::End;
use crate::wait::block_on_io;

/// How many bytes are collected before they go into the pipe, which takes a lock and may wake the
/// task.
const CHUNK: usize = 16 * 1024;

/// The fiber's end of a pipe, as a `Write`.
pub(super) struct Output<'a> {
    end: &'a End<Vec<u8>>,
    collected: Vec<u8>,
}

impl Output<'_> {
    /// Lets `write` write into the pipe.
    pub(super) fn run(
        end: &End<Vec<u8>>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut output = Output {
            end,
            collected: Vec::new(),
        };
        write(&mut output)
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

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
