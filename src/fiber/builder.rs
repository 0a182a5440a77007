//! [`Builder`]: what can be set about a fiber before it is made.

use std::io;
use std::thread::panicking;

use super::Fiber;
use crate::hub::registry;

/// Makes fibers with a name or a stack size of their own.
///
/// * [`name`](Builder::name): for messages and errors; default `Fiber-N`.
/// * [`stack_size`](Builder::stack_size): default that of the hub, 1 MiB.
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
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
}

impl Builder {
    /// A builder with the defaults.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the fiber.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Sets the size of the stack in bytes of address space; memory is used page
    /// by page as the stack grows. Less than 64 KiB is raised to that.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// Makes a fiber and starts it: [`spawn`](crate::spawn) with these settings.
    ///
    /// # Errors
    ///
    /// If no stack of that size can be had, or the hub is closed.
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
        let fiber = self.create(f)?;
        fiber.start();
        Ok(fiber)
    }

    /// Makes a fiber without starting it: [`Fiber::new`] with these settings.
    ///
    /// # Errors
    ///
    /// If no stack of that size can be had, or the hub is closed.
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
        match registry::current() {
            Ok(core) => Fiber::create(&core, self.name, self.stack_size, f),
            // A second panic would abort the process.
            Err(none) if panicking() => Err(io::Error::other(none.to_string())),
            Err(none) => panic!("{none}"),
        }
    }
}
