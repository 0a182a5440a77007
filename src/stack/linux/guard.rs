//! Guards: pieces of a mapping that fault on every access.
//!
//! A kernel from 6.13 on marks the pages of a guard where it keeps track of pages
//! (`MADV_GUARD_INSTALL`), which costs no mapping. An older one has to make a
//! mapping of each guard, and so of each stack: a process may have 65,530 mappings
//! unless `vm.max_map_count` is raised, so that is the end after about 32,000 stacks.
#![allow(unsafe_code)]

use std::io;
use std::sync::OnceLock;

use libc::{c_int, c_void};

use super::map::{Mapping, faults, page_size};

/// Not in `libc` yet.
const MADV_GUARD_INSTALL: c_int = 102;

#[cfg(test)]
thread_local! {
    /// What the system is to be taken to have.
    pub(super) static FORCED: std::cell::Cell<Option<Guards>> =
        const { std::cell::Cell::new(None) };
    /// Whether no guard can be made.
    pub(super) static FAILS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// How guards are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guards {
    /// Marks of pages.
    Marks,
    /// Mappings.
    Mappings,
}

impl Guards {
    /// What this system has, found out by trying.
    pub(super) fn available() -> io::Result<Guards> {
        #[cfg(test)]
        if let Some(forced) = FORCED.get() {
            return Ok(forced);
        }
        static AVAILABLE: OnceLock<Guards> = OnceLock::new();
        if let Some(known) = AVAILABLE.get() {
            return Ok(*known);
        }
        let page = Mapping::new(page_size())?;
        // SAFETY: nobody else knows the page.
        let marked = unsafe { mark(page.start(), page.len()) };
        // An emulator may say yes to whatever it takes for advice.
        let available = match marked.is_ok() && faults(page.start()) {
            true => Guards::Marks,
            false => Guards::Mappings,
        };
        Ok(*AVAILABLE.get_or_init(|| available))
    }

    /// Makes a guard of the pages from `start` on.
    ///
    /// # Safety
    ///
    /// They are part of a mapping of the caller's, and nothing will access them.
    pub(crate) unsafe fn install(self, start: usize, len: usize) -> io::Result<()> {
        #[cfg(test)]
        if FAILS.get() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if self == Guards::Marks {
            // SAFETY: as promised by the caller.
            match unsafe { mark(start, len) } {
                // This mapping cannot have marks; memory that is locked cannot.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
                done => return done,
            }
        }
        // SAFETY: as promised by the caller.
        match unsafe { libc::mprotect(start as *mut c_void, len, libc::PROT_NONE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// # Safety
///
/// As [`Guards::install`].
unsafe fn mark(start: usize, len: usize) -> io::Result<()> {
    // SAFETY: as promised by the caller: the memory is lost and faults.
    match unsafe { libc::madvise(start as *mut c_void, len, MADV_GUARD_INSTALL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
