//! [`ReadDir`], [`DirEntry`] and [`DirBuilder`].

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use crate::base::lock::lock;
use crate::io::{Call, blocking_call};

/// The number of entries that are read at once.
const BATCH: usize = 64;

/// Returns an iterator over the entries of a directory, in no order. Entries are read by the
/// dozen, and those that are there are returned without a wait.
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
/// use switchback::fs;
///
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f44", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// for entry in fs::read_dir(&folder)? {
///     assert_eq!(entry?.path(), path);
/// }
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn read_dir<P: AsRef<Path>>(path: P) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let entries = blocking_call(Call::fs("`fs::read_dir`"), true, move || fs::read_dir(path))?;
    Ok(ReadDir(Arc::new(Mutex::new(Listing {
        entries: Some(entries),
        batch: VecDeque::new(),
    }))))
}

/// The iterator of [`read_dir`], as [`std::fs::ReadDir`]. Its `next` waits now and then.
///
/// # Cancel safety
///
/// A cancelled `next` has taken no entry.
pub struct ReadDir(Arc<Mutex<Listing>>);

struct Listing {
    /// `None` at the end.
    entries: Option<fs::ReadDir>,
    batch: VecDeque<io::Result<fs::DirEntry>>,
}

impl Listing {
    fn fill(&mut self) {
        let Some(entries) = &mut self.entries else {
            return;
        };
        while self.batch.len() < BATCH {
            match entries.next() {
                Some(entry) => self.batch.push_back(entry),
                None => {
                    self.entries = None;
                    return;
                }
            }
        }
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        const CALL: Call = Call::fs("`fs::ReadDir::next`");
        loop {
            // The job of a cancelled call may have it.
            let is_filled = match self.0.try_lock() {
                Ok(listing) => !listing.batch.is_empty() || listing.entries.is_none(),
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Poisoned(_)) => true,
            };
            let listing = self.0.clone();
            let filled = blocking_call(CALL, !is_filled, move || {
                if !is_filled {
                    lock(&*listing).fill();
                }
                Ok(())
            });
            if let Err(e) = filled {
                return Some(Err(e));
            }
            let mut listing = lock(&*self.0);
            match listing.batch.pop_front() {
                Some(entry) => return Some(entry.map(|entry| DirEntry(Arc::new(entry)))),
                None if listing.entries.is_none() => return None,
                None => {}
            }
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").finish_non_exhaustive()
    }
}

/// An entry of a directory, as [`std::fs::DirEntry`].
pub struct DirEntry(Arc<fs::DirEntry>);

impl DirEntry {
    /// Returns the path of the entry: that of the directory, and its name.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f45", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let entry = fs::read_dir(&folder)?.next().expect("one file")?;
    /// assert_eq!(entry.path(), path);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.path()
    }

    /// Returns the name of the entry.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f46", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let entry = fs::read_dir(&folder)?.next().expect("one file")?;
    /// assert_eq!(entry.file_name(), "file");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.0.file_name()
    }

    /// Returns the metadata of the entry, and of a link itself.
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
    /// use switchback::fs;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f47", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let entry = fs::read_dir(&folder)?.next().expect("one file")?;
    /// assert_eq!(entry.metadata()?.len(), 5);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        let entry = self.0.clone();
        blocking_call(Call::fs("`fs::DirEntry::metadata`"), true, move || {
            entry.metadata()
        })
    }

    /// Returns the type of the entry, and of a link itself.
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
    /// use switchback::fs;
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f48", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let entry = fs::read_dir(&folder)?.next().expect("one file")?;
    /// assert!(entry.file_type()?.is_file());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn file_type(&self) -> io::Result<FileType> {
        let entry = self.0.clone();
        blocking_call(Call::fs("`fs::DirEntry::file_type`"), true, move || {
            entry.file_type()
        })
    }

    /// Returns the number of the entry's inode, as [`DirEntryExt`] does.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    #[must_use]
    pub fn ino(&self) -> u64 {
        self.0.ino()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a directory is created, as [`std::fs::DirBuilder`].
#[derive(Debug)]
pub struct DirBuilder {
    recursive: bool,
    #[cfg(unix)]
    mode: Option<u32>,
}

impl DirBuilder {
    /// Returns a builder with the defaults of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, DirBuilder};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f49", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// DirBuilder::new().create(&path)?;
    /// assert!(fs::metadata(&path)?.is_dir());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    #[allow(clippy::new_without_default)] // std's has none either
    pub fn new() -> DirBuilder {
        DirBuilder {
            recursive: false,
            #[cfg(unix)]
            mode: None,
        }
    }

    /// Sets whether the directories that it is in are created too, and whether it may exist.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, DirBuilder};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f50", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// DirBuilder::new().recursive(true).create(path.join("a/b"))?;
    /// assert!(fs::metadata(path.join("a"))?.is_dir());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn recursive(&mut self, recursive: bool) -> &mut DirBuilder {
        self.recursive = recursive;
        self
    }

    /// Creates the directory.
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
    /// use switchback::fs::{self, DirBuilder};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f51", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// DirBuilder::new().create(&path)?;
    /// assert!(DirBuilder::new().create(&path).is_err());
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let path = path.as_ref().to_owned();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(self.recursive);
        #[cfg(unix)]
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        blocking_call(Call::fs("`fs::DirBuilder::create`"), true, move || {
            builder.create(path)
        })
    }

    /// Sets the mode of the directory, as [`DirBuilderExt`] does, before the mask of the process. The
    /// default is `0o777`.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn mode(&mut self, mode: u32) -> &mut DirBuilder {
        self.mode = Some(mode);
        self
    }
}
