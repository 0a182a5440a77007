//! [`Unwinding`]: what is known about whether a stack is unwinding.

/// Whether a stack is unwinding, as far as this can be known. The rules are in
/// [`crate::current::unwinding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwinding {
    No,
    Yes,
    Maybe,
}

impl Unwinding {
    /// Returns the end of the warning about a stack that was abandoned in this state.
    pub(crate) fn consequence(self) -> &'static str {
        match self {
            Unwinding::No => "",
            Unwinding::Yes => {
                "; it was unwinding, so from now on this thread counts as panicking: std's \
                 mutexes poison, and cancels reach waits only through `wait_or_cancelled`"
            }
            Unwinding::Maybe => {
                "; it may have been unwinding, in which case this thread counts as panicking \
                 from now on: std's mutexes poison, and cancels reach waits only through \
                 `wait_or_cancelled`"
            }
        }
    }
}
