//! [`spawn`] and [`Builder`].

use std::fmt;
use std::io;

use super::{JoinHandle, Scope, ScopedJoinHandle};
use crate::handles;

/// Spawns a fiber, as [`std::thread::spawn`] does a thread.
///
/// Dropping the handle detaches the fiber. It ends with its hub at the latest.
///
/// # Panics
///
/// Panics where [`switchback::spawn`](crate::spawn()) does, such as on a plain thread. Use
/// [`Builder::spawn`] to handle the lack of a stack.
///
/// # Examples
///
/// ```
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let words = vec!["one", "two", "three"];
/// let counter = thread::spawn(move || words.iter().map(|word| word.len()).sum::<usize>());
/// assert_eq!(counter.join().unwrap(), 11);
/// # }).unwrap();
/// ```
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use switchback::thread;
///
/// let fiber = thread::Builder::new().spawn(|| 6 * 7).unwrap();
/// assert_eq!(fiber.join().unwrap(), 42);
/// # }).unwrap();
/// ```
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    JoinHandle::new(handles::spawn(f))
}

/// The settings of a fiber, as [`std::thread::Builder`] has those of a thread.
///
/// # Examples
///
/// ```
/// use switchback::thread;
///
/// # switchback::run(|| {
/// let worker = thread::Builder::new()
///     .name("worker".to_owned())
///     .stack_size(128 * 1024)
///     .spawn(|| thread::current().name() == Some("worker"))?;
/// assert!(worker.join().unwrap());
/// # std::io::Result::Ok(())
/// # }).unwrap().unwrap();
/// ```
#[must_use = "a builder makes a fiber only with `spawn` or `spawn_scoped`"]
pub struct Builder(handles::Builder);

impl Builder {
    /// Creates a builder with the defaults: no name, and the stack size of the hub.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let builder = thread::Builder::new().name("worker".to_string());
    /// let fiber = builder.spawn(|| thread::current().name().map(String::from)).unwrap();
    /// assert_eq!(fiber.join().unwrap().as_deref(), Some("worker"));
    /// # }).unwrap();
    /// ```
    #[allow(clippy::new_without_default)] // std's has none either
    pub fn new() -> Builder {
        Builder(handles::Builder::new())
    }

    /// Names the fiber.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let builder = thread::Builder::new().name("worker".to_string());
    /// let fiber = builder.spawn(|| ()).unwrap();
    /// assert_eq!(fiber.thread().name(), Some("worker"));
    /// # }).unwrap();
    /// ```
    pub fn name(self, name: String) -> Builder {
        Builder(self.0.name(name))
    }

    /// Sets the size of the stack, in bytes. It is rounded up, to at least 64 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use switchback::thread;
    ///
    /// let builder = thread::Builder::new().stack_size(8 * 1024 * 1024);
    /// builder.spawn(|| println!("something deep")).unwrap();
    /// # }).unwrap();
    /// ```
    pub fn stack_size(self, size: usize) -> Builder {
        Builder(self.0.stack_size(size))
    }

    /// Spawns a fiber with these settings.
    ///
    /// # Errors
    ///
    /// Returns an error if no stack of that size can be allocated, or if the hub is closed.
    ///
    /// # Panics
    ///
    /// Panics where there is no hub, as [`spawn`] does.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.0.spawn(f).map(JoinHandle::new)
    }

    /// Spawns a fiber with these settings in a [`scope`](super::scope()).
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Builder::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use switchback::thread;
    ///
    /// # switchback::run(|| {
    /// let mut total = 0;
    /// thread::scope(|s| {
    ///     let named = thread::Builder::new().name("adder".to_owned());
    ///     named.spawn_scoped(s, || total += 1).map(drop)
    /// })?;
    /// assert_eq!(total, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap().unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        scope.create(self.0.into_settings(), f)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
