//! A mapping of address space, and queries about its memory.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::null_mut;

use libc::{MADV_POPULATE_READ, c_void};

use super::super::extent::Extent;
use super::layout::GUARD;

/// A private mapping, readable and writable. It is unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonZeroUsize,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes. They take memory page by page as they are touched, and none is
    /// reserved for them unless the system forbids overcommit. Huge pages are turned off:
    /// one would take 512 times the memory of the page that was touched.
    pub(crate) fn new(len: usize) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: the kernel chooses an address range where nothing is mapped.
        let start = unsafe { libc::mmap(null_mut(), len, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(start) = NonZeroUsize::new(start as usize) else {
            return Err(io::Error::other("the system mapped the null page"));
        };
        // Since Linux 6.7, `MAP_STACK` implies this. A kernel without huge pages returns an
        // error, which does not matter.
        // SAFETY: this does not change the contents of the memory.
        let _ = unsafe { libc::madvise(start.get() as *mut c_void, len, libc::MADV_NOHUGEPAGE) };
        Ok(Mapping { start, len })
    }

    pub(crate) fn start(&self) -> usize {
        self.start.get()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn contains(&self, range: &Range<usize>) -> bool {
        let start = self.start.get();
        start <= range.start && range.start <= range.end && range.end <= start + self.len
    }

    /// Gives the memory of `range` back to the system: it reads as zeroes from then on.
    /// Guards in the range stay.
    ///
    /// # Safety
    ///
    /// The range must not hold anything that is still needed.
    pub(super) unsafe fn discard(&self, range: Range<usize>) {
        debug_assert!(self.contains(&range));
        let start = range.start as *mut c_void;
        // This fails only for locked memory, which must not be given back.
        // SAFETY: the range is in a mapping of ours, whose pages stay mapped, and the
        // caller promises that its contents are not needed.
        let _ = unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // If the process is at its limit of mappings, the kernel may be unable to split
        // this one from neighbours that it was merged with. The mapping is then leaked.
        // SAFETY: we own the whole mapping, and the owner drops it only when it is no
        // longer in use.
        let _ = unsafe { libc::munmap(self.start.get() as *mut c_void, self.len) };
    }
}

/// Gives the whole pages of a stack that lie below `top` back to the system.
///
/// # Safety
///
/// This must be the limit of a stack that exists, whose memory below `top` holds nothing that is still
/// needed.
pub(crate) unsafe fn discard_below(limit: usize, top: usize) {
    let start = limit + GUARD;
    let end = top / page_size() * page_size();
    if start < end {
        // This fails only for locked memory, which must not be given back.
        // SAFETY: the range is part of a stack, which is mapped, and the caller promises that its
        // contents are not needed.
        let _ = unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Returns how many bytes of a stack, from its base down, have been touched since its
/// memory was last given back.
pub(crate) fn used(stack: Extent) -> Option<usize> {
    let deepest = resident(stack.limit + GUARD..stack.base).next()?;
    Some(stack.base - deepest)
}

/// Returns the addresses of the pages of a mapped range that are in memory.
fn resident(range: Range<usize>) -> impl Iterator<Item = usize> {
    const PAGES: usize = 256;
    let page = page_size();
    let chunk = PAGES * page;
    range.clone().step_by(chunk).flat_map(move |start| {
        let mut pages = [0; PAGES];
        let len = chunk.min(range.end - start);
        // SAFETY: the kernel writes one byte for each page to `pages`, which has room for a
        // chunk of pages. It does not read the range.
        let result = unsafe { libc::mincore(start as *mut c_void, len, pages.as_mut_ptr()) };
        let count = if result == 0 { len.div_ceil(page) } else { 0 };
        (0..count)
            .filter(move |i| pages[*i] & 1 == 1)
            .map(move |i| start + i * page)
    })
}

/// Returns whether an access to a page that is mapped for reading would fault.
pub(super) fn faults(page: usize) -> bool {
    // The kernel acts as if the page were read. An older kernel or an emulator does not
    // know this advice, and ignores it or returns another error.
    // SAFETY: any address may be passed. The contents of memory do not change.
    let result = unsafe { libc::madvise(page as *mut c_void, 1, MADV_POPULATE_READ) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

pub(crate) fn page_size() -> usize {
    // SAFETY: this call has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
