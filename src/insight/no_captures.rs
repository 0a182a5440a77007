//! [`Captures`], where stacks store no frames: there are none.

use std::future::{Ready, ready};
use std::rc::Rc;

use super::HubDump;
use crate::hub::Core;

#[derive(Debug)]
pub(super) struct Captures;

impl Captures {
    pub(super) fn take(_core: &Rc<Core>, _most: usize) -> Captures {
        Captures
    }
}

pub(super) type LookUp = Ready<HubDump>;

pub(super) fn look_up(dump: HubDump, Captures: Captures) -> LookUp {
    ready(dump)
}
