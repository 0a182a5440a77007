//! The fiber-locals of the running code.

use super::locals::{AccessError, Locals};
use super::place::{Place, with_place};

/// Calls `f`, which must not run user code, with the fiber-locals of the running code.
pub(crate) fn with_locals<R>(
    f: impl FnOnce(&Locals) -> Result<R, AccessError>,
) -> Result<R, AccessError> {
    with_place(|place| match place {
        Place::Stack(state) | Place::Poll(state) => f(&state.locals),
        Place::Outside | Place::ThreadPoll | Place::Hub(_) | Place::Driver(_) => THREAD
            .try_with(|thread| f(&thread.0))
            .unwrap_or(Err(AccessError)),
    })
}

thread_local! {
    static THREAD: OfThread = const { OfThread(Locals::new()) };
}

/// The fiber-locals of a thread, for code that runs on it outside of fibers.
struct OfThread(Locals);

impl Drop for OfThread {
    fn drop(&mut self) {
        self.0.end(None);
    }
}
