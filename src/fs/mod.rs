//! Files in the shape of [`std::fs`], which block the fiber instead of its thread.
//!
//! `use switchback::fs` takes the place of `use std::fs`. Each call is one call of std's on a thread
//! of [`blocking`](crate::blocking), since no system tells when a file is ready; on a plain thread it
//! is made in place. It takes some 100 µs in a fiber, so read and write through a `BufReader` and a
//! `BufWriter`, or a whole file at once.
//!
//! The methods of [`Path`](std::path::Path) that ask the system, such as `exists`, are std's, and
//! block the thread for as long as that takes. The functions of the same names here do not.
//!
//! # Examples
//!
//! ```
//! use switchback::fs; // once: use std::fs
//!
//! # fn main() -> std::io::Result<()> {
//! # switchback::run(|| {
//! let manifest = fs::read_to_string("Cargo.toml")?; // blocks this fiber only
//! assert!(manifest.contains("switchback"));
//! # Ok(())
//! # })?
//! # }
//! ```
//!
//! # Compared with std
//!
//! What is not listed here is std's own, re-exported: `Metadata`, `Permissions`, `FileType`,
//! `FileTimes`.
//!
//! | std | here |
//! |---|---|
//! | `canonicalize`, `copy`, `create_dir`, `create_dir_all`, `exists`, `hard_link`, `metadata`, `read`, `read_dir`, `read_link`, `read_to_string`, `remove_dir`, `remove_dir_all`, `remove_file`, `rename`, `set_permissions`, `symlink_metadata`, `write` | same. A cancelled call goes on |
//! | `soft_link` | std's own, which blocks the thread: deprecated |
//! | `std::os::unix::fs::symlink`, `chown` and the like | absent: call them in [`blocking`](crate::blocking) |
//! | `File`, `OpenOptions`, `DirBuilder`, `DirEntry`, `ReadDir` | different: types of their own |
//! | `File::open`, `File::create`, `File::create_new`, `File::options`, `File::sync_all`, `File::sync_data`, `File::set_len`, `File::metadata`, `File::set_permissions`, `File::set_times`, `File::set_modified` | same |
//! | `Read`, `Write`, `Seek` of `File`, `&File` | same. Vectored calls move all buffers in one call. `io::copy` moves the bytes through a buffer |
//! | `Read`, `Write`, `Seek` of `Arc<File>` | absent: no other crate can implement them; `try_clone` costs as little as the `Arc` |
//! | `File::try_clone` | different: never fails, makes no descriptor. The position is shared, as std's is |
//! | `File::lock`, `File::lock_shared`, `File::try_lock`, `File::try_lock_shared`, `File::unlock` | absent: newer than the oldest Rust that this crate supports |
//! | `FileExt`: `File::read_at`, `File::read_exact_at`, `File::write_at`, `File::write_all_at` | same, as methods of the type, on unix systems |
//! | `FileExt` on Windows | absent: use `TryFrom` into std's `File` |
//! | `IsTerminal`: `File::is_terminal` | same, as a method of the type |
//! | `OpenOptions::new`, `OpenOptions::read`, `OpenOptions::write`, `OpenOptions::append`, `OpenOptions::truncate`, `OpenOptions::create`, `OpenOptions::create_new`, `OpenOptions::open` | same |
//! | `OpenOptionsExt`: `OpenOptions::mode`, `OpenOptions::custom_flags` | same, as methods of the type, on unix systems; on Windows use `From<std::fs::OpenOptions>` |
//! | `DirBuilder::new`, `DirBuilder::recursive`, `DirBuilder::create`; `DirBuilderExt`: `DirBuilder::mode` | same |
//! | `DirEntry::path`, `DirEntry::file_name`, `DirEntry::metadata`, `DirEntry::file_type`; `DirEntryExt`: `DirEntry::ino` | same |
//! | `AsFd`, `AsRawFd`, `From<OwnedFd>`; on Windows `AsHandle`, `AsRawHandle`, `From<OwnedHandle>` | same |
//! | `From<File>` for `OwnedFd` or `OwnedHandle`, `IntoRawFd`, `IntoRawHandle` | absent: use `TryFrom` into std's `File` |
//! | `FromRawFd`, `FromRawHandle` | absent: unsafe; use `From<OwnedFd>` |
//! | not in std: `From<std::fs::File>`, `TryFrom<File>` for it, `From<std::fs::OpenOptions>` | |
#![forbid(unsafe_code)]

#[doc(no_inline)]
pub use std::fs::*;

mod cursor;
mod directory;
mod file;
mod functions;
mod open_options;

pub use directory::{DirBuilder, DirEntry, ReadDir, read_dir};
pub use file::File;
pub use functions::{
    canonicalize, copy, create_dir, create_dir_all, exists, hard_link, metadata, read, read_link,
    read_to_string, remove_dir, remove_dir_all, remove_file, rename, set_permissions,
    symlink_metadata, write,
};
pub use open_options::OpenOptions;
