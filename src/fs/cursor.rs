//! [`Cursor`]: an open file, whose position one call at a time uses.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::mem;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::lock::lock;
use crate::io::contained;

/// An open file, and what belongs to its position.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) file: File,
    turn: Arc<Semaphore>,
    /// What a read has read, whose fiber was cancelled before it got it.
    left: Mutex<VecDeque<u8>>,
}

/// The right to use the position of a file. The job of a call has it, and keeps it to its end when
/// the call is cancelled, so that the next call comes after it.
#[derive(Debug)]
pub(super) struct Turn {
    cursor: Arc<Cursor>,
    _permit: OwnedSemaphorePermit,
}

/// Bytes that were read. What is not claimed is read again by the next read.
#[derive(Debug)]
pub(super) struct Unclaimed {
    bytes: Vec<u8>,
    turn: Turn,
}

impl Cursor {
    pub(super) fn new(file: File) -> Cursor {
        Cursor {
            file,
            turn: Arc::new(Semaphore::new(1)),
            left: Mutex::default(),
        }
    }

    /// Waits for the calls before this one.
    pub(super) async fn turn(self: Arc<Cursor>) -> io::Result<Turn> {
        let permit = contained(self.turn.clone().acquire_owned()).await;
        Ok(Turn {
            _permit: permit.map_err(io::Error::other)?,
            cursor: self,
        })
    }

    /// Gives the file back, at the position that the calls have left it at. `None` if it is shared.
    pub(super) fn into_file(self: Arc<Cursor>) -> Option<File> {
        let cursor = Arc::into_inner(self)?;
        let left = lock(&cursor.left).len();
        step_back(&cursor.file, left);
        Some(cursor.file)
    }
}

/// Moves a file back by what was read from it and not claimed. What cannot seek stays where it is.
fn step_back(mut file: &File, left: usize) -> bool {
    left > 0 && file.seek(SeekFrom::Current(-(left as i64))).is_ok()
}

impl Turn {
    /// Returns the file at the position that the calls before have left it at.
    pub(super) fn file(&self) -> &File {
        let mut left = lock(&self.cursor.left);
        if step_back(&self.cursor.file, left.len()) {
            left.clear();
        }
        &self.cursor.file
    }

    /// Reads once.
    pub(super) fn read(self, length: usize) -> io::Result<Unclaimed> {
        let mut bytes = vec![0; length];
        let mut left = lock(&self.cursor.left);
        let read = match left.is_empty() {
            true => (&self.cursor.file).read(&mut bytes)?,
            false => left.read(&mut bytes)?,
        };
        drop(left);
        bytes.truncate(read);
        Ok(Unclaimed { bytes, turn: self })
    }

    /// Reads to the end. Like std's, it returns what it has read before an error too.
    pub(super) fn read_to_end(self) -> (Unclaimed, io::Result<()>) {
        let mut bytes = Vec::from(mem::take(&mut *lock(&self.cursor.left)));
        let result = (&self.cursor.file).read_to_end(&mut bytes);
        (Unclaimed { bytes, turn: self }, result.map(drop))
    }
}

impl Unclaimed {
    pub(super) fn claim(mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        // The turn is not over, so nothing was read behind these.
        let mut left = lock(&self.turn.cursor.left);
        let behind = mem::take(&mut *left);
        *left = mem::take(&mut self.bytes).into();
        left.extend(behind);
    }
}
