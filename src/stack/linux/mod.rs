//! Stacks on Linux.
//!
//! | part | noun |
//! |---|---|
//! | [`slab`] | one mapping that many stacks of one size are cut from |
//! | [`map`] | a mapping, and queries about its memory |
//! | [`layout`] | the layout of stacks in their mapping |
//! | [`guard`] | how a guard is installed |
//! | [`limits`] | which resource ran out, and which setting limits it |

mod guard;
mod layout;
mod limits;
mod map;
mod slab;
#[cfg(test)]
mod walk;

pub(crate) use self::layout::memory;
pub(crate) use self::map::{discard_below, page_size, used};
pub(super) use self::slab::Source;
pub(crate) use self::slab::Stack;
