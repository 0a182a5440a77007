//! Stacks on Linux.
//!
//! | part | noun |
//! |---|---|
//! | [`slab`] | one mapping that many stacks of one size are cut from |
//! | [`map`] | a mapping, and what can be asked of its memory |
//! | [`guard`] | how a guard is made |
//! | [`limits`] | what ran out, and who limits it |
//! | [`overflow`] | the report of an overflow, from a signal handler |

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
