//! [`Builder`]: the settings of a fiber.

use std::fmt;
use std::io;

use super::{Fiber, SpawnOn};
use crate::base::contain;
use crate::current::origin;
use crate::scheduler::attach;
use crate::scheduler::launch::{self, Settings};
use crate::shared::{Origin, SpawnError, Start};

/// Configures a fiber: its name, its stack size and whether its stack use is measured.
///
/// * [`name`](Builder::name): used in messages and errors; default `Fiber-N`, with the fiber's ID.
/// * [`stack_size`](Builder::stack_size): default the hub's, which by default is 2 MiB, or 256 KiB
///   where addresses have 32 bits.
/// * [`measure_stack`](Builder::measure_stack): default the hub's, which by default is off.
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
#[doc(alias = "Thread.ofVirtual")]
#[derive(Clone, Default)]
#[must_use = "a builder makes a fiber only with `spawn`, `spawn_on` or `create`"]
pub struct Builder(Settings);

impl Builder {
    /// Creates a builder with the defaults.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the fiber.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.0.name = Some(name.into());
        self
    }

    /// Sets the size of the stack, in bytes of address space. Memory is used page by page as the
    /// stack grows. The size is rounded up to a power of two, and to at least 64 KiB.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.0.stack_size = Some(bytes);
        self
    }

    /// Sets whether the fiber's stack use is measured, for
    /// [`FiberHandle::stack_used`](crate::FiberHandle::stack_used). This costs one system call when
    /// the fiber is made and one when it ends. It also gives up the memory that a stack otherwise
    /// keeps from one fiber to the next.
    ///
    /// Stack use is measured on Linux only.
    pub fn measure_stack(mut self, measure: bool) -> Builder {
        self.0.measure_stack = measure;
        self
    }

    /// Makes a fiber and starts it: [`spawn`](crate::spawn) with these settings.
    ///
    /// # Errors
    ///
    /// Returns an error if no stack of that size can be allocated, or if the hub is closed. Without
    /// memory the kind is [`OutOfMemory`](io::ErrorKind::OutOfMemory), and the text says what ran
    /// out and which setting limits it.
    ///
    /// # Panics
    ///
    /// Panics where there is no hub, as [`spawn`](crate::spawn) does.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.spawn_from(origin(), f)
    }

    /// [`spawn`](Builder::spawn), for a fiber that was asked for somewhere else.
    #[track_caller]
    pub(crate) fn spawn_from<F, T>(self, origin: Origin, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.make(Start::AtOnce, origin, f)
    }

    /// Makes a fiber without starting it: [`Fiber::new`] with these settings.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Builder::spawn).
    ///
    /// # Panics
    ///
    /// Panics where there is no hub, as [`spawn`](crate::spawn) does.
    #[track_caller]
    pub fn create<F, T>(self, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.make(Start::Later, origin(), f)
    }

    /// Makes a fiber on another hub, or on a hub of a pool, and starts it: [`HubHandle::spawn`],
    /// [`HubPool::spawn`] and so on with these settings. This works on any thread and never waits.
    ///
    /// If the hub has no stack of that size, the join returns an error.
    ///
    /// # Errors
    ///
    /// Returns an error if the hub or the pool takes no more fibers. `f` is then dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::{Builder, HubPool, current_fiber, prelude::*};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let pool = HubPool::new(2)?;
    /// let parser = Builder::new().name("parser").stack_size(8 * 1024 * 1024);
    /// let mut fiber = parser.spawn_on(&pool, || current_fiber().unwrap().name().to_owned())?;
    /// assert_eq!(fiber.join().wait()?, "parser");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`HubHandle::spawn`]: crate::HubHandle::spawn
    /// [`HubPool::spawn`]: crate::HubPool::spawn
    #[track_caller]
    pub fn spawn_on<S, F, T>(self, on: &S, f: F) -> Result<Fiber<T>, SpawnError>
    where
        S: SpawnOn,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        on.send(self.0, f)
    }

    pub(crate) fn into_settings(self) -> Settings {
        self.0
    }

    #[track_caller]
    fn make<F, T>(self, start: Start, origin: Origin, f: F) -> io::Result<Fiber<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        match attach::with_current(|core| launch::spawn(core, self.0, start, origin, f)) {
            Ok(made) => made.map(Fiber::from_receiver),
            Err(none) => {
                contain::panic_once(&none);
                Err(io::Error::other(none.to_string()))
            }
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.0.name)
            .field("stack_size", &self.0.stack_size)
            .field("measure_stack", &self.0.measure_stack)
            .finish()
    }
}
