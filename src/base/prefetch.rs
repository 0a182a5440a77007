//! Asks the processor to fetch memory that is needed soon.
#![allow(unsafe_code)]

/// Asks the processor to fetch `LINES` cache lines from `address` on. Does nothing on processors
/// other than x86_64. The address need not be valid.
#[inline(always)]
pub(crate) fn prefetch<const LINES: usize>(address: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        const LINE: usize = 64;
        let address = address.wrapping_add(line * LINE) as *const i8;
        // SAFETY: it needs SSE, which every x86_64 processor has. It is only a hint: it reads
        // nothing that the program can see, and does not fault on an invalid address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
