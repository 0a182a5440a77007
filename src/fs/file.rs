//! [`File`].

use std::fmt;
use std::fs::{self, FileTimes, Metadata, Permissions};
use std::io::{self, IoSlice, IoSliceMut, IsTerminal, Read, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
#[cfg(unix)]
use std::os::unix::fs::FileExt;
#[cfg(windows)]
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle, RawHandle};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::OpenOptions;
use super::cursor::{Cursor, Turn};
use crate::io::{Call, blocking_call, complete};

/// An open file, as [`std::fs::File`], which blocks the fiber.
///
/// Each call is one call of std's, on a thread of [`blocking`](crate::blocking), and done when it
/// returns: what was written is in the file, and an error is that of the call. In a fiber this takes
/// some 100 µs, against 0.3 for a call of std's, so a program that reads or writes in small pieces
/// needs a `BufReader` or `BufWriter` all the more. On a plain thread, the call is made in place.
///
/// Files can be shared by fibers of any hubs, and threads. Calls that use the position wait for each
/// other, first come, first served.
///
/// # Cancel safety
///
/// A call that is cancelled goes on, and the next call waits for its end. What it read is not lost:
/// the next read returns it. What it was to write may be written or not.
///
/// While the fiber unwinds, a call begins, and returns an error because it cannot wait for the end.
///
/// # Panics
///
/// Panics where [`.wait()`](crate::Wait::wait) does.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # switchback::run(|| {
/// use switchback::fs::{self, File};
///
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f18", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// use std::io::{BufRead, BufReader, BufWriter, Write};
/// let mut file = BufWriter::new(File::create(&path)?);
/// for number in 0..100 {
///     writeln!(file, "line {number}")?;
/// }
/// file.flush()?;
///
/// let lines = BufReader::new(File::open(&path)?).lines();
/// assert_eq!(lines.count(), 100);
/// # drop(fs::exists(&path));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
pub struct File(Arc<Cursor>);

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f1", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let file = File::open(&path)?;
    /// assert_eq!(file.metadata()?.len(), 5);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn open<P: AsRef<Path>>(path: P) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        File::opened(Call::fs("`fs::File::open`"), move || fs::File::open(path))
    }

    /// Opens a file for writing. It is created, or truncated if it exists.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f2", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// use std::io::Write;
    /// File::create(&path)?.write_all(b"hello")?;
    /// assert_eq!(fs::read(&path)?, b"hello");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn create<P: AsRef<Path>>(path: P) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        File::opened(Call::fs("`fs::File::create`"), move || {
            fs::File::create(path)
        })
    }

    /// Creates a file, for reading and writing. It must not exist.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f3", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create_new(&path)?;
    /// assert!(File::create_new(&path).is_err());
    /// # drop((file, fs::exists(&path)));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn create_new<P: AsRef<Path>>(path: P) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        File::opened(Call::fs("`fs::File::create_new`"), move || {
            fs::File::create_new(path)
        })
    }

    /// Returns options for opening a file. None is set.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f4", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// use std::io::Write;
    /// let mut file = File::options().append(true).create(true).open(&path)?;
    /// writeln!(file, "a line")?;
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Waits until the file and its metadata are on the disk.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f5", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create(&path)?;
    /// file.sync_all()?;
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        self.in_turn(Call::fs("`fs::File::sync_all`"), move |turn| {
            turn.file().sync_all()
        })
    }

    /// Waits until the content of the file is on the disk.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f6", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create(&path)?;
    /// file.sync_data()?;
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        self.in_turn(Call::fs("`fs::File::sync_data`"), move |turn| {
            turn.file().sync_data()
        })
    }

    /// Truncates or extends the file.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f7", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create(&path)?;
    /// file.set_len(10)?;
    /// assert_eq!(fs::read(&path)?, [0; 10]);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.in_turn(Call::fs("`fs::File::set_len`"), move |turn| {
            turn.file().set_len(size)
        })
    }

    /// Returns the metadata of the file.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f8", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create(&path)?;
    /// assert!(file.metadata()?.is_file());
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.in_turn(Call::fs("`fs::File::metadata`"), move |turn| {
            turn.file().metadata()
        })
    }

    /// Returns another handle to the same open file, for another fiber or thread. They share
    /// everything, also the position.
    ///
    /// # Errors
    ///
    /// This method never fails. It has std's signature so that callers need not change.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f9", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// use std::io::{Read, Write};
    /// fs::write(&path, "abcdef")?;
    /// let (mut one, mut half) = (File::open(&path)?, [0; 3]);
    /// let mut other = one.try_clone()?;
    /// one.read_exact(&mut half)?;
    /// other.read_exact(&mut half)?;
    /// assert_eq!(&half, b"def");
    /// # one.flush()?;
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn try_clone(&self) -> io::Result<File> {
        Ok(File(self.0.clone()))
    }

    /// Sets the permissions of the file.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f10", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create(&path)?;
    /// let mut permissions = file.metadata()?.permissions();
    /// permissions.set_readonly(true);
    /// file.set_permissions(permissions)?;
    /// assert!(fs::metadata(&path)?.permissions().readonly());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn set_permissions(&self, perm: Permissions) -> io::Result<()> {
        self.in_turn(Call::fs("`fs::File::set_permissions`"), move |turn| {
            turn.file().set_permissions(perm)
        })
    }

    /// Sets the times of the file.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f11", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// use std::time::SystemTime;
    /// let file = File::create(&path)?;
    /// let times = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    /// file.set_times(times)?;
    /// assert_eq!(file.metadata()?.modified()?, SystemTime::UNIX_EPOCH);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.in_turn(Call::fs("`fs::File::set_times`"), move |turn| {
            turn.file().set_times(times)
        })
    }

    /// Sets the time at which the file was modified.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f12", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// use std::time::SystemTime;
    /// let file = File::create(&path)?;
    /// file.set_modified(SystemTime::UNIX_EPOCH)?;
    /// assert_eq!(file.metadata()?.modified()?, SystemTime::UNIX_EPOCH);
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.in_turn(Call::fs("`fs::File::set_modified`"), move |turn| {
            turn.file().set_modified(time)
        })
    }

    /// Reads at an offset, without use of the position. It does not wait for calls that use that.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f13", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "abcdef")?;
    /// let mut two = [0; 2];
    /// assert_eq!(File::open(&path)?.read_at(&mut two, 3)?, 2);
    /// assert_eq!(&two, b"de");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (cursor, mut bytes) = (self.0.clone(), vec![0; buf.len()]);
        let bytes = blocking_call(Call::fs("`fs::File::read_at`"), true, move || {
            let read = cursor.file.read_at(&mut bytes, offset)?;
            bytes.truncate(read);
            Ok(bytes)
        })?;
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// Fills the buffer from an offset, without use of the position.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f14", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "abcdef")?;
    /// let mut two = [0; 2];
    /// File::open(&path)?.read_exact_at(&mut two, 3)?;
    /// assert_eq!(&two, b"de");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let (cursor, mut bytes) = (self.0.clone(), vec![0; buf.len()]);
        let bytes = blocking_call(Call::fs("`fs::File::read_exact_at`"), true, move || {
            cursor.file.read_exact_at(&mut bytes, offset)?;
            Ok(bytes)
        })?;
        buf.copy_from_slice(&bytes);
        Ok(())
    }

    /// Writes at an offset, without use of the position.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f15", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "abcdef")?;
    /// let file = File::options().write(true).open(&path)?;
    /// assert_eq!(file.write_at(b"!", 2)?, 1);
    /// assert_eq!(fs::read(&path)?, b"ab!def");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let (cursor, bytes) = (self.0.clone(), buf.to_vec());
        blocking_call(Call::fs("`fs::File::write_at`"), true, move || {
            cursor.file.write_at(&bytes, offset)
        })
    }

    /// Writes the whole buffer at an offset, without use of the position.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f16", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "abcdef")?;
    /// let file = File::options().write(true).open(&path)?;
    /// file.write_all_at(b"!!", 2)?;
    /// assert_eq!(fs::read(&path)?, b"ab!!ef");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let (cursor, bytes) = (self.0.clone(), buf.to_vec());
        blocking_call(Call::fs("`fs::File::write_all_at`"), true, move || {
            cursor.file.write_all_at(&bytes, offset)
        })
    }

    /// Returns whether the file is a terminal, as std's `IsTerminal` does, which no other crate can
    /// implement.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, File};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f17", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = File::create(&path)?;
    /// assert!(!file.is_terminal());
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.0.file.is_terminal()
    }

    #[track_caller]
    pub(super) fn opened<F>(call: Call, open: F) -> io::Result<File>
    where
        F: FnOnce() -> io::Result<fs::File> + Send + 'static,
    {
        blocking_call(call, true, open).map(File::from)
    }

    /// Makes a call that uses the position, after those that came before.
    #[track_caller]
    fn in_turn<T, F>(&self, call: Call, f: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Turn) -> io::Result<T> + Send + 'static,
    {
        let turn = complete(call, None, self.0.clone().turn())?;
        blocking_call(call, true, move || f(turn))
    }
}

impl Read for &File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = buf.len();
        let read = self.in_turn(Call::fs("`fs::File::read`"), move |turn| turn.read(length))?;
        let bytes = read.claim();
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    #[track_caller]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        let read = self.in_turn(Call::fs("`fs::File::read_vectored`"), move |turn| {
            turn.read(length)
        })?;
        let bytes = read.claim();
        let mut rest = &bytes[..];
        for buf in bufs {
            let (now, later) = rest.split_at(rest.len().min(buf.len()));
            buf[..now.len()].copy_from_slice(now);
            rest = later;
        }
        Ok(bytes.len())
    }

    /// Reads to the end, in one call.
    #[track_caller]
    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let (read, result) = self.in_turn(Call::fs("`fs::File::read_to_end`"), |turn| {
            Ok(turn.read_to_end())
        })?;
        let bytes = read.claim();
        buf.extend_from_slice(&bytes);
        result.map(|()| bytes.len())
    }

    /// Reads to the end, in one call.
    #[track_caller]
    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "the file is not valid UTF-8")
        })?;
        buf.push_str(&text);
        Ok(text.len())
    }
}

impl Write for &File {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let bytes = buf.to_vec();
        self.in_turn(Call::fs("`fs::File::write`"), move |turn| {
            turn.file().write(&bytes)
        })
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.in_turn(Call::fs("`fs::File::write_vectored`"), move |turn| {
            turn.file().write(&bytes)
        })
    }

    /// Does nothing, because a write is done when it returns.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.in_turn(Call::fs("`fs::File::seek`"), move |turn| {
            turn.file().seek(to)
        })
    }
}

impl Read for File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    #[track_caller]
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }

    #[track_caller]
    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(buf)
    }

    #[track_caller]
    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        (&*self).read_to_string(buf)
    }
}

impl Write for File {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    #[track_caller]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    /// Does nothing, because a write is done when it returns.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

/// Takes an open file of std's.
impl From<fs::File> for File {
    fn from(file: fs::File) -> File {
        File(Arc::new(Cursor::new(file)))
    }
}

/// Gives back std's file; if there are clones, or a cancelled call still runs, a clone of it.
impl TryFrom<File> for fs::File {
    type Error = io::Error;

    fn try_from(file: File) -> io::Result<fs::File> {
        let shared = file.0.clone();
        match file.0.into_file() {
            Some(file) => Ok(file),
            None => shared.file.try_clone(),
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.file.fmt(f)
    }
}

#[cfg(unix)]
impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

#[cfg(unix)]
impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.file.as_raw_fd()
    }
}

#[cfg(unix)]
impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        fs::File::from(fd).into()
    }
}

#[cfg(windows)]
impl AsHandle for File {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.file.as_handle()
    }
}

#[cfg(windows)]
impl AsRawHandle for File {
    fn as_raw_handle(&self) -> RawHandle {
        self.0.file.as_raw_handle()
    }
}

#[cfg(windows)]
impl From<OwnedHandle> for File {
    fn from(handle: OwnedHandle) -> File {
        fs::File::from(handle).into()
    }
}
