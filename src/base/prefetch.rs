//! Asking the processor for memory that is needed soon.
#![allow(unsafe_code)]

/// Has the processor fetch `LINES` cache lines from `address` on, if it can be asked.
/// Nothing happens if there is no such memory.
#[inline(always)]
pub(crate) fn prefetch<const LINES: usize>(address: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        const LINE: usize = 64;
        let address = address.wrapping_add(line * LINE) as *const i8;
        // SAFETY: a hint, which reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
