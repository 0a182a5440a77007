//! Stacks on Linux.
//!
//! | part | noun |
//! |---|---|
//! | [`slab`] | one mapping that many stacks of one size are cut from |
//! | [`map`] | a mapping, and queries about its memory |
//! | [`guard`] | how a guard is installed |
//! | [`limits`] | which resource ran out, and which setting limits it |
//! | [`overflow`] | the overflow report, from a signal handler |

mod guard;
mod limits;
mod map;
mod overflow;
mod slab;
#[cfg(test)]
mod walk;

pub(super) use self::map::used;
pub(super) use self::overflow::set_overflow_report;
pub(super) use self::slab::Source;
pub(crate) use self::slab::Stack;
