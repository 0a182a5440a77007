//! What is said about a stack that overflowed.

use std::fmt::{self, Write};

use crate::current::{Resumer, StackState};

/// Writes which stack overflowed. It has `size` bytes.
///
/// The thread may be anywhere in its code, and has little stack left, so this takes no lock and
/// allocates nothing. A default name is created when it is first requested. If there is none yet,
/// or the fault comes in the middle of that, the name is written here without being created.
pub(super) fn write(stderr: &mut impl Write, state: &StackState, size: usize) -> fmt::Result {
    match &state.resumer {
        Resumer::Hub { fiber, .. } => {
            match fiber.known_name() {
                Some(name) => write!(stderr, "\nfiber '{name}'"),
                None => write!(stderr, "\nfiber 'Fiber-{}'", fiber.id()),
            }?;
            write!(
                stderr,
                " has overflowed its stack\nthe stack has {size} bytes; make it larger with \
                 `Builder::stack_size` or `HubBuilder::stack_size`\n"
            )
        }
        Resumer::Task(_) => write!(
            stderr,
            "\na bridge has overflowed its stack\nthe stack has {size} bytes; a fiber's can be \
             made larger, with `Builder::stack_size`\n"
        ),
    }
}
