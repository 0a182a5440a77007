//! [`fiber_local!`](crate::fiber_local): statics with a separate value in each fiber.
//!
//! A key is a static, identified by its address and its type. The values of a fiber or
//! bridge are stored with its stack, in the [`Locals`] of its state, those of a thread in a
//! `thread_local!`.

use std::any::{Any, TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::rc::Rc;

use crate::current::{AccessError, LocalId, Locals, Place, with_place};

/// Declares statics of type [`LocalKey`], which have a separate value in each fiber.
///
/// The syntax is that of [`thread_local!`](std::thread_local): attributes, a visibility,
/// several statics, and a `const { }` block as initialiser.
///
/// # Whose value
///
/// Every fiber has its own value, including the root fiber, and so has the body of a
/// [`bridge`](crate::bridge()). Spawned fibers do not inherit values. A future that a fiber
/// polls in a wait uses the values of that fiber. All other code uses the values of its
/// thread: plain threads, async code and the hub's callbacks.
///
/// # Initialisation
///
/// A value is initialised on first use. The initialiser may wait. Unlike in a
/// `thread_local!` this is safe, because no other fiber initialises the same value
/// meanwhile. If the initialiser uses its own key, the value made by that inner use stays,
/// and the later one is dropped. If it panics, there is no value, and the next use tries
/// again.
///
/// # Destruction
///
/// The values of a fiber are dropped on its own stack, after its body has returned or
/// unwound and after its closure has been dropped; if the fiber is detached, also after its
/// result has been dropped. The fiber ends, and its joiners wake, only after that. Values
/// are dropped in reverse order of initialisation.
///
/// A destructor may wait, and may use other fiber-locals. A local that has not been dropped
/// still has its value. A local that had no value is initialised, and dropped in its turn.
/// A local that was dropped or is being dropped gives an [`AccessError`]. If a destructor
/// panics, the panic is reported and the remaining values are dropped. A cancel that
/// reaches a wait in a destructor ends only that destructor: the result of the fiber
/// stands.
///
/// After all values are dropped, every use gives an [`AccessError`]. This can happen, for
/// example, in the destructor of a result whose [`Fiber`](crate::Fiber) was dropped
/// meanwhile.
///
/// The values of an abandoned fiber are leaked with it. The values of a thread are dropped
/// when it exits, as std drops thread-locals; their destructors cannot use fiber-locals.
///
/// # Waiting while a value is in use
///
/// References from [`with`](LocalKey::with) and `RefCell` borrows may be held across a
/// wait. Other fibers have their own values, so they never see the borrow, unlike with a
/// `thread_local!`.
///
/// # Examples
///
/// ```
/// use std::cell::{Cell, RefCell};
/// use switchback::{fiber_local, prelude::*, spawn, yield_now};
///
/// fiber_local! {
///     static DEPTH: Cell<u32> = const { Cell::new(0) };
///     /// The log of this fiber's request.
///     pub static LOG: RefCell<Vec<String>> = RefCell::new(Vec::new());
/// }
///
/// fn handle(request: &str) -> Vec<String> {
///     DEPTH.set(DEPTH.get() + 1);
///     LOG.with_borrow_mut(|log| log.push(format!("{request} at {}", DEPTH.get())));
///     yield_now().wait(); // the other fiber runs
///     LOG.take()
/// }
///
/// # switchback::run(|| {
/// let mut one = spawn(|| handle("one"));
/// let mut two = spawn(|| handle("two"));
/// assert_eq!(one.join().wait().unwrap(), ["one at 1"]);
/// assert_eq!(two.join().wait().unwrap(), ["two at 1"]);
/// assert_eq!(DEPTH.get(), 0);
/// # }).unwrap();
/// ```
#[doc(alias = "thread_local")]
#[doc(alias = "ThreadLocal")]
#[doc(alias = "task_local")]
#[doc(alias = "local")]
#[macro_export]
macro_rules! fiber_local {
    () => {};
    (
        $(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = const $init:block;
        $($rest:tt)*
    ) => {
        $crate::fiber_local!($(#[$attr])* $vis static $name: $type = const $init);
        $crate::fiber_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = const $init:block) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$type> =
            $crate::LocalKey::new(|| -> $type { const { $init } });
    };
    (
        $(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = $init:expr;
        $($rest:tt)*
    ) => {
        $crate::fiber_local!($(#[$attr])* $vis static $name: $type = $init);
        $crate::fiber_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $type:ty = $init:expr) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$type> =
            $crate::LocalKey::new(|| -> $type { $init });
    };
}

/// A key of a [`fiber_local!`](crate::fiber_local): refers to the running fiber's value.
/// The documentation of the macro has the rules.
///
/// The methods are those of [`std::thread::LocalKey`]. They wait only if the initialiser or
/// the closure does.
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey { init }
    }

    /// Calls `f` with the value, which is initialised first if necessary.
    ///
    /// # Panics
    ///
    /// Panics if `f` or the initialiser panics, or if the value was dropped or is being
    /// dropped, for which [`try_with`](LocalKey::try_with) returns an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// switchback::fiber_local! { static NAME: String = "nobody".to_owned(); }
    ///
    /// assert_eq!(NAME.with(|name| name.len()), 6);
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        f(&self.value_or_panic(self.init))
    }

    /// Like [`with`](LocalKey::with), but returns an error if the value is gone.
    ///
    /// # Errors
    ///
    /// Returns [`AccessError`] if the value was dropped or is being dropped.
    ///
    /// # Panics
    ///
    /// Panics if `f` or the initialiser panics.
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let value = self.value(self.init)?;
        Ok(f(&value))
    }

    /// Returns the value, and calls `make` if there is none.
    fn value(&'static self, make: impl FnOnce() -> T) -> Result<Rc<T>, AccessError> {
        let id = self.id();
        let value = match with_locals(|locals| locals.get(id))? {
            Some(value) => value,
            None => {
                let made: Rc<dyn Any> = Rc::new(make());
                // `insert` returns the value that stays. If `make` has initialised the same
                // key in between, that one stays, and the one made here is dropped at the
                // end of this block.
                with_locals(|locals| locals.insert(id, &made))?
            }
        };
        match value.downcast() {
            Ok(value) => Ok(value),
            Err(_) => unreachable!("a key has the id of its type"),
        }
    }

    #[track_caller]
    fn value_or_panic(&'static self, make: impl FnOnce() -> T) -> Rc<T> {
        match self.value(make) {
            Ok(value) => value,
            Err(AccessError) => panic!(
                "a fiber-local of type `{}` was used after it was dropped, or while it is being \
                 dropped; use `try_with` in destructors",
                type_name::<T>(),
            ),
        }
    }

    /// Initialises the value to `make(inner)` if there is none, which avoids running the
    /// initialiser. Otherwise returns `inner` and the existing value.
    #[track_caller]
    fn put_first<I>(&'static self, inner: I, make: fn(I) -> T) -> Option<(Rc<T>, I)> {
        let mut inner = Some(inner);
        let value = self.value_or_panic(|| match inner.take() {
            Some(inner) => make(inner),
            None => unreachable!("a value is made once"),
        });
        inner.map(|inner| (value, inner))
    }

    fn id(&'static self) -> LocalId {
        LocalId {
            address: std::ptr::from_ref(self).addr(),
            type_id: TypeId::of::<T>(),
        }
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Sets the value. If there was none, the initialiser does not run.
    ///
    /// # Panics
    ///
    /// Panics if the value was dropped or is being dropped.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        if let Some((cell, value)) = self.put_first(value, Cell::new) {
            cell.set(value);
        }
    }

    /// Returns a copy of the value.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value and leaves the default of its type.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does.
    #[track_caller]
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Sets the value and returns the old one.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does.
    #[track_caller]
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `f` with a shared borrow of the value.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does, and if the value is mutably borrowed.
    #[track_caller]
    pub fn with_borrow<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        f(&self.value_or_panic(self.init).borrow())
    }

    /// Calls `f` with a mutable borrow of the value.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does, and if the value is borrowed.
    #[track_caller]
    pub fn with_borrow_mut<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&mut T) -> R,
    {
        f(&mut self.value_or_panic(self.init).borrow_mut())
    }

    /// Sets the value. If there was none, the initialiser does not run.
    ///
    /// # Panics
    ///
    /// Panics if the value is borrowed, was dropped or is being dropped.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        if let Some((cell, value)) = self.put_first(value, RefCell::new) {
            drop(cell.replace(value));
        }
    }

    /// Takes the value and leaves the default of its type.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does, and if the value is borrowed.
    #[track_caller]
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with_borrow_mut(mem::take)
    }

    /// Sets the value and returns the old one.
    ///
    /// # Panics
    ///
    /// Panics where [`with`](LocalKey::with) does, and if the value is borrowed.
    #[track_caller]
    pub fn replace(&'static self, value: T) -> T {
        self.value_or_panic(self.init).replace(value)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// Calls `f`, which must not run user code, with the fiber-locals of the running code.
fn with_locals<R>(f: impl FnOnce(&Locals) -> Result<R, AccessError>) -> Result<R, AccessError> {
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
