//! [`Block`]: memory that fits the allocation of most fibers, whatever the type of their result.

use std::fmt;
use std::mem::MaybeUninit;

/// The size in bytes of a [`Block`]. On 64-bit Linux it fits a fiber whose result has five words or less.
const SIZE: usize = match cfg!(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(switchback_system_stacks)
)) {
    true => 256,
    false => 320,
};

/// Uninitialized memory.
#[repr(C, align(64))]
pub(crate) struct Block([MaybeUninit<u8>; SIZE]);

impl Block {
    #[inline]
    pub(super) fn new() -> Box<Block> {
        Box::new(Block([const { MaybeUninit::uninit() }; SIZE]))
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Block")
    }
}
