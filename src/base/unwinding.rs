//! [`Unwinding`]: what is known of a stack's unwinding.

/// Whether a stack is unwinding, as far as that can be known. The rules are in
/// [`crate::current::unwinding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwinding {
    No,
    Yes,
    Maybe,
}

impl Unwinding {
    /// The end of a warning about a stack that was abandoned in this state.
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
