//! [`Backtrace`]: the calls that a fiber is in.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

#[cfg(unix)]
use crate::stack::FramesEnd;

/// The calls that a fiber is in. A [`FiberDump`](crate::FiberDump) has those of a fiber that is suspended,
/// a [`BlockedHub`](crate::BlockedHub) those of a fiber that keeps the thread of its hub.
///
/// Its [`Display`](fmt::Display) is that of a panic's backtrace, with two lines for each call. Of the calls
/// within this crate that lead to the suspension, it shows only the outermost, which the program has made,
/// such as `Mutex::lock`, and not even that if it is `.wait()`. (Calls that were inlined are recognised if
/// the program has debug information.) The calls below the fiber's closure are left out.
#[derive(Clone)]
pub struct Backtrace {
    /// The calls at each address.
    calls: Vec<Arc<[BacktraceFrame]>>,
    end: BacktraceEnd,
}

/// What is behind the last call of a [`Backtrace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BacktraceEnd {
    /// Nothing: the last call is that of the fiber's closure, or of what the system knows of it.
    Whole,
    /// More calls, which were left out: only the innermost 256 or so are kept. Of a fiber that
    /// [runs](crate::BlockedHub), maybe because what is behind the last one is not known.
    Cut,
    /// All of them: the fiber's stack has less than 4 KiB of room left, which is too little to look
    /// for the calls.
    NoRoom,
}

/// A call of a [`Backtrace`].
#[derive(Clone, Debug)]
pub struct BacktraceFrame {
    pub(super) address: usize,
    pub(super) function: Option<Box<str>>,
    pub(super) file: Option<Box<str>>,
    pub(super) line: Option<u32>,
}

impl Backtrace {
    /// Makes the backtrace of what was found at each address, innermost first.
    #[cfg(unix)]
    pub(super) fn new(mut calls: Vec<Arc<[BacktraceFrame]>>, end: FramesEnd) -> Backtrace {
        let mut end = match end {
            FramesEnd::Root => BacktraceEnd::Whole,
            FramesEnd::Cut => BacktraceEnd::Cut,
            FramesEnd::NoRoom => BacktraceEnd::NoRoom,
        };
        let is_root = |call: &Arc<[BacktraceFrame]>| call.iter().any(BacktraceFrame::is_root);
        if let Some(root) = calls.iter().position(is_root) {
            calls.truncate(root);
            end = BacktraceEnd::Whole;
        }
        Backtrace { calls, end }
    }

    /// Returns the calls, the innermost first.
    ///
    /// A function that was inlined is a call of its own where the debug information says so.
    pub fn frames(&self) -> impl Iterator<Item = &BacktraceFrame> {
        let all = || self.calls.iter().flat_map(|call| call.iter());
        let inner = all().take_while(|frame| frame.own_file().is_some() || frame.is_of_std());
        let own = inner
            .enumerate()
            .filter(|(_, frame)| frame.own_file().is_some());
        let left_out = own
            .last()
            .map_or(0, |(n, frame)| n + usize::from(frame.is_wait()));
        all().skip(left_out)
    }

    /// Returns what is behind the last call.
    #[must_use]
    pub fn end(&self) -> BacktraceEnd {
        self.end
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        for (n, frame) in self.frames().enumerate() {
            writeln!(f, "{indent}{n:4}: {}", frame.function().unwrap_or("?"))?;
            match (&frame.file, frame.line) {
                (Some(file), Some(line)) => writeln!(f, "{indent}        at {file}:{line}")?,
                _ if frame.function.is_none() => {
                    writeln!(f, "{indent}        at {:#x}", frame.address)?;
                }
                _ => {}
            }
        }
        match self.end {
            BacktraceEnd::Whole => Ok(()),
            BacktraceEnd::Cut => writeln!(f, "{indent}      and more"),
            BacktraceEnd::NoRoom => writeln!(
                f,
                "{indent}      not known: too little of its stack is left to look for it"
            ),
        }
    }
}

impl BacktraceFrame {
    /// Makes the call of a function that is not known.
    #[cfg(unix)]
    pub(super) fn unknown(address: usize) -> BacktraceFrame {
        BacktraceFrame {
            address,
            function: None,
            file: None,
            line: None,
        }
    }

    /// Returns the address in the program where the call goes on.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// Returns the path of the function, if it is known.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// Returns the path of the source file, if the program has debug information for it.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns the line in the source file, counted from 1, if the program has debug information for
    /// it.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// Returns whether this is the function below a fiber's closure.
    #[cfg(unix)]
    fn is_root(&self) -> bool {
        let function = self.function().unwrap_or_default();
        function.contains("__rust_begin_short_backtrace")
    }

    /// Returns the path below `src`, if this is a function of this crate. Those that were inlined have no
    /// path but a file.
    fn own_file(&self) -> Option<&str> {
        let src = file!().strip_suffix("insight/backtrace.rs")?;
        let mut file = self.file()?;
        if Path::new(src).is_relative() {
            file = file.strip_prefix(env!("CARGO_MANIFEST_DIR"))?;
            file = file.trim_start_matches(['/', '\\']);
        }
        file.strip_prefix(src)
    }

    fn is_of_std(&self) -> bool {
        const PARTS: [&str; 3] = [
            "/library/core/src/",
            "/library/std/src/",
            "/library/alloc/src/",
        ];
        let file = self.file().unwrap_or_default();
        PARTS.iter().any(|part| file.contains(part))
    }

    /// Returns whether this function of this crate is the wait itself, with no name that the program
    /// would miss.
    fn is_wait(&self) -> bool {
        const FILES: [&str; 3] = ["wait.rs", "yield_now.rs", "cancel/interrupt.rs"];
        self.own_file().is_some_and(|file| FILES.contains(&file))
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

impl fmt::Debug for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backtrace")
            .field("frames", &self.frames().collect::<Vec<_>>())
            .field("end", &self.end)
            .finish()
    }
}
