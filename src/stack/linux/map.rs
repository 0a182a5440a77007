//! A piece of address space of our own, and what can be asked of its memory.
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
    /// Maps `len` bytes. They take memory only page by page, as they are touched,
    /// and none is set aside for them unless the system overcommits nothing. No
    /// huge pages: one would take 512 times the memory of the page that was touched.
    pub(crate) fn new(len: usize) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: the kernel chooses a place where nothing is mapped.
        let start = unsafe { libc::mmap(null_mut(), len, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(start) = NonZeroUsize::new(start as usize) else {
            return Err(io::Error::other("the system mapped the null page"));
        };
        // `MAP_STACK` says it too, since Linux 6.7. A kernel without huge pages
        // refuses, and is right.
        // SAFETY: this changes nothing of what the memory holds.
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

    /// Gives the memory of `range` back: it reads as zeroes from now on. Guards in
    /// it stay.
    ///
    /// # Safety
    ///
    /// Nothing that is still needed is there.
    pub(super) unsafe fn discard(&self, range: Range<usize>) {
        debug_assert!(self.contains(&range));
        let start = range.start as *mut c_void;
        // It fails for locked memory only, which is not to be given back.
        // SAFETY: the range is in a mapping of ours (its pages stay mapped), and by
        // the caller's promise its content is not needed.
        let _ = unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Where the process is at its limit of mappings, one that the kernel has
        // joined to its neighbours may fail to be parted from them. It is leaked then.
        // SAFETY: the mapping is ours as a whole; whoever drops it knows that it is
        // not in use.
        let _ = unsafe { libc::munmap(self.start.get() as *mut c_void, self.len) };
    }
}

/// How many bytes of a stack, from its base down, have been touched since its
/// memory was last given back.
pub(crate) fn used(stack: Extent) -> Option<usize> {
    let deepest = resident(stack.limit + GUARD..stack.base).next()?;
    Some(stack.base - deepest)
}

/// The addresses of the pages of a mapped range that are in memory.
fn resident(range: Range<usize>) -> impl Iterator<Item = usize> {
    const PAGES: usize = 256;
    let page = page_size();
    let chunk = PAGES * page;
    range.clone().step_by(chunk).flat_map(move |start| {
        let mut pages = [0; PAGES];
        let len = chunk.min(range.end - start);
        // SAFETY: the kernel writes a byte for each page to `pages`, which has room
        // for a chunk of them. It reads nothing of the range.
        let result = unsafe { libc::mincore(start as *mut c_void, len, pages.as_mut_ptr()) };
        let count = if result == 0 { len.div_ceil(page) } else { 0 };
        (0..count)
            .filter(move |i| pages[*i] & 1 == 1)
            .map(move |i| start + i * page)
    })
}

/// Whether an access to a page that is mapped for reading would fault.
pub(super) fn faults(page: usize) -> bool {
    // The kernel acts as if the page were read. An older one, or an emulator, does
    // not know this, and says so, with another error, or ignores it.
    // SAFETY: any address may be passed. What memory holds does not change.
    let result = unsafe { libc::madvise(page as *mut c_void, 1, MADV_POPULATE_READ) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

pub(crate) fn page_size() -> usize {
    // SAFETY: there is nothing to keep in mind.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
