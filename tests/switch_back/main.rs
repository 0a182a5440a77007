//! `SwitchBack`: a value that anybody hands to the fiber, task or thread that waits for it.

mod end;
mod race;
#[path = "../support/mod.rs"]
mod support;
mod wait;
