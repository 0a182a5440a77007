//! Asks the processor to fetch memory that is needed soon, and where a stack ends now.
#![allow(unsafe_code)]

/// The size of a cache line, in bytes.
pub(crate) const LINE: usize = 64;

/// Asks the processor to fetch `LINES` cache lines from `address` on. Does nothing on processors
/// other than x86_64. The address need not be valid.
#[inline(always)]
pub(crate) fn prefetch<const LINES: usize>(address: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        let address = address.wrapping_add(line * LINE) as *const i8;
        // SAFETY: it needs SSE, which every x86_64 processor has. It is only a hint: it reads
        // nothing that the program can see, and does not fault on an invalid address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Returns about where the frame of the running function ends. It is for [`prefetch`].
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let pointer: usize;
        // SAFETY: it copies a register and does nothing else, as the options say.
        unsafe {
            std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        }
        pointer
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let here = 0_u8;
        std::ptr::from_ref(&here).addr()
    }
}
