//! [`Frames`]: the calls that a stack is in.

/// The addresses of the calls that a stack is in, the innermost first: where each of them goes on.
#[derive(Debug)]
pub(crate) struct Frames {
    addresses: Vec<usize>,
    end: FramesEnd,
}

/// What is behind the last address of [`Frames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FramesEnd {
    /// The root of the stack.
    Root,
    /// Calls that were left out.
    Cut,
    /// Everything: the stack had too little room left for looking.
    NoRoom,
}

impl Frames {
    /// More calls are left out.
    pub(crate) const MOST: usize = 256;

    /// The room in bytes that a stack must have left for its frames to be looked for. (The search
    /// itself runs on another stack. To get there takes some 500 bytes without optimizations.)
    pub(crate) const ROOM: usize = 4096;

    pub(crate) fn new() -> Frames {
        Frames {
            addresses: Vec::with_capacity(Self::MOST),
            end: FramesEnd::Root,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.addresses.clear();
        self.end = FramesEnd::Root;
    }

    pub(crate) fn refuse(&mut self) {
        self.addresses.clear();
        self.end = FramesEnd::NoRoom;
    }

    /// Adds an address; never allocates. Returns whether another one may follow.
    pub(crate) fn push(&mut self, address: usize) -> bool {
        let has_room = self.addresses.len() < Self::MOST;
        match has_room {
            true => self.addresses.push(address),
            false => self.end = FramesEnd::Cut,
        }
        has_room
    }

    pub(crate) fn addresses(&self) -> &[usize] {
        &self.addresses
    }

    pub(crate) fn end(&self) -> FramesEnd {
        self.end
    }
}
