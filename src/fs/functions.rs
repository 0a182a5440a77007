//! The functions of std's `fs`.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Call, blocking_call};

/// Returns the path without links, `.` and `..`.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f19", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// let around = folder.join(".").join("file");
/// assert_eq!(fs::canonicalize(around)?, fs::canonicalize(&path)?);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn canonicalize<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::canonicalize`"), true, move || {
        fs::canonicalize(path)
    })
}

/// Copies a file with its permissions, and returns its length.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f20", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// assert_eq!(fs::copy(&path, folder.join("other"))?, 5);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn copy<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<u64> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    blocking_call(Call::fs("`fs::copy`"), true, move || fs::copy(from, to))
}

/// Creates a directory.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f21", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::create_dir(&path)?;
/// assert!(fs::metadata(&path)?.is_dir());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn create_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::create_dir`"), true, move || {
        fs::create_dir(path)
    })
}

/// Creates a directory, and those that it is in.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f22", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::create_dir_all(path.join("a/b"))?;
/// assert!(fs::metadata(path.join("a"))?.is_dir());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn create_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::create_dir_all`"), true, move || {
        fs::create_dir_all(path)
    })
}

/// Returns whether there is something at the path.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f23", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// assert!(!fs::exists(&path)?);
/// fs::write(&path, "hello")?;
/// assert!(fs::exists(&path)?);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn exists<P: AsRef<Path>>(path: P) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::exists`"), true, move || fs::exists(path))
}

/// Gives a file another name.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f24", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// fs::hard_link(&path, folder.join("other"))?;
/// assert_eq!(fs::read(folder.join("other"))?, b"hello");
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn hard_link<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    blocking_call(Call::fs("`fs::hard_link`"), true, move || {
        fs::hard_link(original, link)
    })
}

/// Returns the metadata of what is at the path, behind links.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f25", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// assert_eq!(fs::metadata(&path)?.len(), 5);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::metadata`"), true, move || fs::metadata(path))
}

/// Reads a whole file.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f26", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// assert_eq!(fs::read(&path)?, b"hello");
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn read<P: AsRef<Path>>(path: P) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::read`"), true, move || fs::read(path))
}

/// Returns what a symbolic link leads to.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f27", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// assert!(fs::read_link(&path).is_err());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn read_link<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::read_link`"), true, move || {
        fs::read_link(path)
    })
}

/// Reads a whole file as text.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f28", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// assert_eq!(fs::read_to_string(&path)?, "hello");
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn read_to_string<P: AsRef<Path>>(path: P) -> io::Result<String> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::read_to_string`"), true, move || {
        fs::read_to_string(path)
    })
}

/// Removes an empty directory.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f29", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::create_dir(&path)?;
/// fs::remove_dir(&path)?;
/// assert!(!fs::exists(&path)?);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn remove_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::remove_dir`"), true, move || {
        fs::remove_dir(path)
    })
}

/// Removes a directory with all that is in it.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f30", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::create_dir_all(path.join("a/b"))?;
/// fs::remove_dir_all(&path)?;
/// assert!(!fs::exists(&path)?);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn remove_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::remove_dir_all`"), true, move || {
        fs::remove_dir_all(path)
    })
}

/// Removes a file.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f31", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// fs::remove_file(&path)?;
/// assert!(!fs::exists(&path)?);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn remove_file<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::remove_file`"), true, move || {
        fs::remove_file(path)
    })
}

/// Renames a file or directory, and replaces what has that name.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f32", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// fs::rename(&path, folder.join("other"))?;
/// assert!(!fs::exists(&path)?);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn rename<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    blocking_call(Call::fs("`fs::rename`"), true, move || fs::rename(from, to))
}

/// Sets the permissions of what is at the path.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f33", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// let mut permissions = fs::metadata(&path)?.permissions();
/// permissions.set_readonly(true);
/// fs::set_permissions(&path, permissions)?;
/// assert!(fs::metadata(&path)?.permissions().readonly());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn set_permissions<P: AsRef<Path>>(path: P, perm: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::set_permissions`"), true, move || {
        fs::set_permissions(path, perm)
    })
}

/// Returns the metadata of what is at the path, and of a link itself.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f34", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// assert!(fs::symlink_metadata(&path)?.is_file());
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn symlink_metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    blocking_call(Call::fs("`fs::symlink_metadata`"), true, move || {
        fs::symlink_metadata(path)
    })
}

/// Writes a whole file, which is created, or replaced if it exists.
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
/// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f35", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("file");
/// fs::write(&path, "hello")?;
/// assert_eq!(fs::read(&path)?, b"hello");
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # })?
/// # }
/// ```
#[track_caller]
pub fn write<P: AsRef<Path>, C: AsRef<[u8]>>(path: P, contents: C) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    let contents = contents.as_ref().to_vec();
    blocking_call(Call::fs("`fs::write`"), true, move || {
        fs::write(path, contents)
    })
}
