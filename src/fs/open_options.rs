//! [`OpenOptions`].

use std::fs;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::File;
use crate::io::Call;

/// How a file is opened, as [`std::fs::OpenOptions`].
#[derive(Clone, Debug)]
pub struct OpenOptions(fs::OpenOptions);

impl OpenOptions {
    /// Returns options of which none is set.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f36", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// assert!(OpenOptions::new().open(&path).is_err()); // neither read nor write
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    #[allow(clippy::new_without_default)] // std's have none either
    pub fn new() -> OpenOptions {
        OpenOptions(fs::OpenOptions::new())
    }

    /// Sets whether the file can be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f37", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let file = OpenOptions::new().read(true).open(&path)?;
    /// # drop(file);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.0.read(read);
        self
    }

    /// Sets whether the file can be written.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f38", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// let file = OpenOptions::new().write(true).open(&path)?;
    /// # drop(file);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.0.write(write);
        self
    }

    /// Sets whether each write goes to the end of the file.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f39", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// use std::io::Write;
    /// fs::write(&path, "hello")?;
    /// write!(OpenOptions::new().append(true).open(&path)?, "!")?;
    /// assert_eq!(fs::read(&path)?, b"hello!");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.0.append(append);
        self
    }

    /// Sets whether a file that exists is emptied.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f40", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// fs::write(&path, "hello")?;
    /// OpenOptions::new().write(true).truncate(true).open(&path)?;
    /// assert_eq!(fs::read(&path)?, b"");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.0.truncate(truncate);
        self
    }

    /// Sets whether a file that does not exist is created.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f41", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// OpenOptions::new().write(true).create(true).open(&path)?;
    /// assert!(fs::exists(&path)?);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.0.create(create);
        self
    }

    /// Sets whether the file is created, and must not exist.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # switchback::run(|| {
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f42", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let options = OpenOptions::new().write(true).create_new(true).clone();
    /// assert!(options.open(&path).is_ok());
    /// assert!(options.open(&path).is_err());
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.0.create_new(create_new);
        self
    }

    /// Opens the file.
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
    /// use switchback::fs::{self, OpenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("switchback-doc-fs-{}-f43", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("file");
    /// let file = OpenOptions::new().write(true).create(true).open(&path)?;
    /// assert_eq!(file.metadata()?.len(), 0);
    /// # drop(fs::exists(&path));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn open<P: AsRef<Path>>(&self, path: P) -> io::Result<File> {
        let (options, path) = (self.0.clone(), path.as_ref().to_owned());
        File::opened(Call::fs("`fs::OpenOptions::open`"), move || {
            options.open(path)
        })
    }

    /// Sets the mode of a file that is created, as [`OpenOptionsExt`] does, before the mask of the
    /// process. The default is `0o666`.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.0.mode(mode);
        self
    }

    /// Sets flags for the system's `open`, as [`OpenOptionsExt`] does.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.0.custom_flags(flags);
        self
    }
}

/// Takes options of std's, such as those with settings of the system that are not here.
impl From<fs::OpenOptions> for OpenOptions {
    fn from(options: fs::OpenOptions) -> OpenOptions {
        OpenOptions(options)
    }
}
