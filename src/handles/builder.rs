//! [`Builder`]: what can be set about a fiber before it is made.

use std::io;

use super::Fiber;
use crate::base::contain;
use crate::scheduler::attach;
use crate::scheduler::launch::{self, Settings};
use crate::shared::Start;

/// Makes fibers with a name or a stack size of their own.
///
/// * [`name`](Builder::name): for messages and errors; default `Fiber-N`.
/// * [`stack_size`](Builder::stack_size): default that of the hub, 2 MiB (256 KiB on 32-bit systems).
/// * [`measure_stack`](Builder::measure_stack): default that of the hub, no.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::{Builder, prelude::*};
///
/// let mut fiber = Builder::new()
///     .name("parser")
///     .stack_size(256 * 1024)
///     .spawn(|| switchback::current_fiber().unwrap().name().len())
///     .expect("there is memory for one more stack");
/// assert_eq!(fiber.join().wait().unwrap(), 6);
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder makes a fiber only with `spawn` or `create`"]
pub struct Builder(Settings);

impl Builder {
    /// A builder with the defaults.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the fiber.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.0.name = Some(name.into());
        self
    }

    /// Sets the size of the stack in bytes of address space; memory is used page
    /// by page as the stack grows. It is rounded up to a power of two, and to 64 KiB
    /// at least.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.0.stack_size = Some(bytes);
        self
    }

    /// Sets whether [`FiberHandle::stack_used`](crate::FiberHandle::stack_used)
    /// tells how much of its stack the fiber has used. That costs a system call when
    /// the fiber is made and one when it ends, and the memory that a stack keeps
    /// from one fiber to the next.
    ///
    /// It can be told on Linux only.
    pub fn measure_stack(mut self, measure: bool) -> Builder {
        self.0.measure_stack = measure;
        self
    }

    /// Makes a fiber and starts it: [`spawn`](crate::spawn) with these settings.
    ///
    /// # Errors
    ///
    /// If no stack of that size can be had
    /// ([`OutOfMemory`](io::ErrorKind::OutOfMemory), with a text that says what ran
    /// out and which setting limits it), or the hub is closed.
    ///
    /// # Panics
    ///
    /// Where there is no hub, as [`spawn`](crate::spawn) does.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.make(Start::AtOnce, f)
    }

    /// Makes a fiber without starting it: [`Fiber::new`] with these settings.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Builder::spawn).
    ///
    /// # Panics
    ///
    /// Where there is no hub, as [`spawn`](crate::spawn) does.
    #[track_caller]
    pub fn create<F, T>(self, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.make(Start::Later, f)
    }

    #[track_caller]
    fn make<F, T>(self, start: Start, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        match attach::with_current(|core| launch::spawn(core, self.0, start, f)) {
            Ok(made) => made.map(Fiber::from_receiver),
            Err(none) => {
                contain::panic_once(&none);
                Err(io::Error::other(none.to_string()))
            }
        }
    }
}
