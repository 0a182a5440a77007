//! Guards: parts of a mapping that fault on every access.
//!
//! Since Linux 6.13, the kernel can mark guard pages in its page tables
//! (`MADV_GUARD_INSTALL`), which needs no extra mapping. An older kernel needs a mapping
//! for each guard, and therefore one for each stack. A process may have 65,530 mappings
//! unless `vm.max_map_count` is raised, which is enough for about 32,000 stacks.
#![allow(unsafe_code)]

use std::io;
use std::sync::OnceLock;

use libc::{c_int, c_void};

use super::map::{Mapping, faults, page_size};

/// The constant is not in `libc` yet.
const MADV_GUARD_INSTALL: c_int = 102;

#[cfg(test)]
thread_local! {
    /// The kind of guards that the system is assumed to have.
    pub(super) static FORCED: std::cell::Cell<Option<Guards>> =
        const { std::cell::Cell::new(None) };
    /// Whether installing a guard fails.
    pub(super) static FAILS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The kinds of guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guards {
    /// Marks on pages.
    Marks,
    /// Mappings without access.
    Mappings,
}

impl Guards {
    /// Returns the kind that this system supports, determined by trying.
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
        // SAFETY: no other code knows the page.
        let marked = unsafe { mark(page.start(), page.len()) };
        // An emulator may accept any unknown advice.
        let available = match marked.is_ok() && faults(page.start()) {
            true => Guards::Marks,
            false => Guards::Mappings,
        };
        Ok(*AVAILABLE.get_or_init(|| available))
    }

    /// Creates a mapping for a moment, and splits it by a guard in its middle. Returns an error if the
    /// process may not have another mapping.
    pub(super) fn try_another_mapping() -> io::Result<()> {
        let page = page_size();
        let memory = Mapping::new(3 * page)?;
        // SAFETY: no other code knows the memory.
        unsafe { Guards::Mappings.install(memory.start() + page, page) }
    }

    /// Makes a guard of the pages in the `len` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The pages must be part of a mapping that the caller owns, and nothing may access
    /// them afterwards.
    pub(crate) unsafe fn install(self, start: usize, len: usize) -> io::Result<()> {
        #[cfg(test)]
        if FAILS.get() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if self == Guards::Marks {
            // SAFETY: as promised by the caller.
            match unsafe { mark(start, len) } {
                // This mapping cannot have marks, for example because it is locked memory.
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
/// The requirements are those of [`Guards::install`].
unsafe fn mark(start: usize, len: usize) -> io::Result<()> {
    // SAFETY: the caller promises that the memory may be lost and may fault.
    match unsafe { libc::madvise(start as *mut c_void, len, MADV_GUARD_INSTALL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
