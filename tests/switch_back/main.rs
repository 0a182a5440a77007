//! `SwitchBack`: a value that is handed over, by whoever has it, to the fiber that waits for it.

mod end;
mod race;
#[path = "../support/mod.rs"]
mod support;
mod wait;
