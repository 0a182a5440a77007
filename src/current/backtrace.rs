//! Where the backtrace of a fiber's panic ends.

use std::hint::black_box;

/// Calls `f`, the code of a stack. The panic hook of std leaves out what is below this function, which
/// it knows by its name: the root of the stack, and the hub and the runtime that have resumed it.
///
/// It is not inlined for another reason too: the variables of `f` would be spread over the large frame
/// of the root, and each resume would touch more lines of the stack.
#[inline(never)]
pub(crate) fn __rust_begin_short_backtrace<T>(f: impl FnOnce() -> T) -> T {
    let result = f();
    // Otherwise the call above could be the last thing, and leave no frame.
    black_box(());
    result
}
