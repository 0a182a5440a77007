//! [`fiber_local!`](crate::fiber_local): values of which each fiber has its own.
//!
//! A key is a static; it is told from others by its address and its type. The values are with the
//! stack, in its [`Locals`], or with the thread.

use std::any::{Any, TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::rc::Rc;

use crate::current::{AccessError, LocalId, Locals, Place, with_place};

/// Declares statics of type [`LocalKey`], of which each fiber has a value of its
/// own.
///
/// The syntax is that of [`thread_local!`](std::thread_local): attributes, a
/// visibility, several statics, a `const { }` block as initialiser.
///
/// # Whose value
///
/// A fiber has its own, the root fiber too, and so has the body of a
/// [`bridge`](crate::bridge()). Spawned fibers do not inherit it. A future that a
/// fiber polls in a wait uses that fiber's. All other code, that is plain threads,
/// async code and the hub's callbacks, uses the value of its thread.
///
/// # Initialisation
///
/// A value is made when it is first used. The initialiser may wait: unlike in
/// `thread_local!`, that is safe, since no other fiber makes the same value
/// meanwhile. If the initialiser uses its own key, and so makes a value first, that
/// one stays and the later one is dropped. If it panics, there is no value, and
/// the next use tries again.
///
/// # Destruction
///
/// The values of a fiber are dropped on its own stack when its body has returned
/// or unwound, after its closure, and also after its result if nobody is going to
/// join it; the fiber has not ended before, and joiners wake after it. What was
/// initialised last is dropped first. A destructor may wait, and use other
/// fiber-locals: those that have not been dropped have their values, those that
/// had none are initialised, and dropped in their turn; those that were dropped or
/// are being dropped give an [`AccessError`]. If it panics, that is reported and
/// the others are dropped. A cancel that comes in a wait of it ends that destructor
/// and nothing else: the result of the fiber stands. After all of this, for
/// example in the destructor of a result whose [`Fiber`](crate::Fiber) was dropped
/// meanwhile, every use gives an [`AccessError`].
///
/// The values of an abandoned fiber are leaked with it. Those of a thread are
/// dropped when it exits, as std drops thread-locals; destructors cannot use
/// fiber-locals then.
///
/// # Waiting while a value is in use
///
/// References that [`with`](LocalKey::with) hands out, and `RefCell` borrows, may
/// be held over a wait. Other fibers have values of their own, so they never see
/// it; of a `thread_local!` they would.
///
/// # Examples
///
/// ```
/// use std::cell::{Cell, RefCell};
/// use switchback::{fiber_local, prelude::*, spawn, yield_now};
///
/// fiber_local! {
///     static DEPTH: Cell<u32> = const { Cell::new(0) };
///     /// What the request of this fiber has to say.
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

/// Refers to the value that the running fiber has of a
/// [`fiber_local!`](crate::fiber_local), whose documentation has the rules.
///
/// Its methods are those of [`std::thread::LocalKey`]. None of them waits, unless
/// the initialiser or the closure does.
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey { init }
    }

    /// Calls `f` with the value, which is made first if there is none.
    ///
    /// # Panics
    ///
    /// With the panic of `f` or of the initialiser; and if the value was dropped
    /// or is being dropped, for which [`try_with`](LocalKey::try_with) returns an
    /// error.
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

    /// As [`with`](LocalKey::with), but returns an error where there is no value
    /// any more.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the value was dropped or is being dropped.
    ///
    /// # Panics
    ///
    /// With the panic of `f` or of the initialiser.
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let value = self.value(self.init)?;
        Ok(f(&value))
    }

    /// The value; `make` makes it if there is none.
    fn value(&'static self, make: impl FnOnce() -> T) -> Result<Rc<T>, AccessError> {
        let id = self.id();
        let value = match with_locals(|locals| locals.get(id))? {
            Some(value) => value,
            None => {
                let made: Rc<dyn Any> = Rc::new(make());
                // The one that stays; should `make` have come here too, not the
                // one just made, which is then dropped at the end of this block.
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

    /// Puts in what `make` makes of `inner`, if there is nothing, which spares the
    /// initialiser. Otherwise gives it back, with what is there.
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
    /// If the value was dropped or is being dropped.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        if let Some((cell, value)) = self.put_first(value, Cell::new) {
            cell.set(value);
        }
    }

    /// A copy of the value.
    ///
    /// # Panics
    ///
    /// As [`with`](LocalKey::with).
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
    /// As [`with`](LocalKey::with).
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
    /// As [`with`](LocalKey::with).
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
    /// As [`with`](LocalKey::with), and if the value is mutably borrowed.
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
    /// As [`with`](LocalKey::with), and if the value is borrowed.
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
    /// If the value is borrowed, was dropped or is being dropped.
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
    /// As [`with`](LocalKey::with), and if the value is borrowed.
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
    /// As [`with`](LocalKey::with), and if the value is borrowed.
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

/// Calls `f`, which is no user code, with the fiber-locals of the code that runs.
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

/// The fiber-locals of a thread, for what runs on it outside of fibers.
struct OfThread(Locals);

impl Drop for OfThread {
    fn drop(&mut self) {
        self.0.end(None);
    }
}
