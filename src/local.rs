//! [`fiber_local!`](crate::fiber_local): statics with a separate value in each fiber.
//!
//! A key is a static, identified by its address and its type. The values of a fiber or
//! bridge are stored with its stack, in the `Locals` of its state, those of a thread in a
//! `thread_local!`.

use std::any::{Any, TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::current::{AccessError, Local, LocalId, MakeLocal, Passing, with_locals};

/// Declares statics of type [`LocalKey`], which have a separate value in each fiber.
///
/// The syntax is that of [`thread_local!`](std::thread_local): attributes, a visibility,
/// several statics, and a `const { }` block as initialiser.
///
/// # Whose value
///
/// Every fiber has its own value, including the root fiber, and so has the body of a
/// [`bridge`](crate::bridge()). A future that a fiber polls in a wait uses the values of that
/// fiber. All other code uses the values of its thread: plain threads, async code and the hub's
/// callbacks. [`LocalKey::scope`] sets a value for one future, [`LocalKey::sync_scope`] for a
/// block.
///
/// # Inheritance
///
/// A new fiber or bridge begins without values, except those of statics that are declared as
/// `#[inherited]`. If the code that makes the fiber has such a value, the fiber begins with a clone
/// of it. The type has to be `Clone` and `Send`, since fibers are sent to other threads, by
/// [`HubHandle`](crate::HubHandle) and [`HubPool`](crate::HubPool). For `#[inherited(local)]` it
/// need only be `Clone`; fibers that are sent do not inherit it.
///
/// ```
/// use std::cell::RefCell;
/// use switchback::{fiber_local, prelude::*, spawn};
///
/// fiber_local! {
///     /// The request that is served.
///     #[inherited]
///     static REQUEST: RefCell<String> = RefCell::default();
/// }
///
/// # switchback::run(|| {
/// REQUEST.set("GET /".to_owned());
/// let fiber = spawn(|| REQUEST.with_borrow(|request| request.len()));
/// assert_eq!(fiber.wait().unwrap(), 5);
/// # }).unwrap();
/// ```
///
/// The clone is made in the code that makes the fiber, and counts as a poll: it cannot wait. If it
/// panics, the panic is reported, and the fiber does not inherit that value.
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
    // One static after the other, and of each one attribute after the other.
    (@key $new:ident [$(#[$attr:meta])*] #[inherited] $($rest:tt)*) => {
        $crate::fiber_local!(@key inherited [$(#[$attr])*] $($rest)*);
    };
    (@key $new:ident [$(#[$attr:meta])*] #[inherited(local)] $($rest:tt)*) => {
        $crate::fiber_local!(@key inherited_here [$(#[$attr])*] $($rest)*);
    };
    (@key $new:ident [$(#[$attr:meta])*] #[$next:meta] $($rest:tt)*) => {
        $crate::fiber_local!(@key $new [$(#[$attr])* #[$next]] $($rest)*);
    };
    (
        @key $new:ident [$(#[$attr:meta])*]
        $vis:vis static $name:ident: $type:ty = const $init:block $(; $($rest:tt)*)?
    ) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$type> =
            $crate::LocalKey::$new(|| -> $type { const { $init } });
        $($crate::fiber_local!($($rest)*);)?
    };
    (
        @key $new:ident [$(#[$attr:meta])*]
        $vis:vis static $name:ident: $type:ty = $init:expr $(; $($rest:tt)*)?
    ) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$type> =
            $crate::LocalKey::$new(|| -> $type { $init });
        $($crate::fiber_local!($($rest)*);)?
    };
    (@key $($other:tt)*) => {
        ::std::compile_error!(
            "a fiber-local is declared as in `static NAME: TYPE = VALUE;`: its first value is made in \
             each fiber that uses it"
        );
    };
    ($($statics:tt)+) => {
        $crate::fiber_local!(@key new [] $($statics)+);
    };
}

/// A key of a [`fiber_local!`](crate::fiber_local): refers to the running fiber's value.
/// The documentation of the macro has the rules.
///
/// The methods are those of [`std::thread::LocalKey`]. They wait only if the initialiser or
/// the closure does.
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
    /// How new fibers inherit the value; `None` if they do not.
    passing: Option<Passing>,
}

impl<T: Clone + 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn inherited_here(init: fn() -> T) -> LocalKey<T> {
        let copy = |value: &dyn Any| -> Rc<dyn Any> { Rc::new(typed::<T>(value).clone()) };
        LocalKey {
            init,
            passing: Some(Passing::Here(copy)),
        }
    }

    #[doc(hidden)]
    pub const fn inherited(init: fn() -> T) -> LocalKey<T>
    where
        T: Send,
    {
        let copy = |value: &dyn Any| -> MakeLocal {
            let copy = typed::<T>(value).clone();
            Box::new(move || Rc::new(copy))
        };
        LocalKey {
            init,
            passing: Some(Passing::Anywhere(copy)),
        }
    }
}

fn typed<T: 'static>(value: &dyn Any) -> &T {
    match value.downcast_ref() {
        Some(value) => value,
        None => unreachable!("a key has the id of its type"),
    }
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey {
            init,
            passing: None,
        }
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
                let made = self.local(Rc::new(make()));
                // `insert` returns the value that stays. If `make` has initialised the same
                // key in between, that one stays, and the one made here is dropped at the
                // end of this block.
                with_locals(|locals| locals.insert(&made))?
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

    /// Calls `f` with this value in place of the one that there is, if there is one. Afterwards,
    /// also when `f` unwinds, that one is back, and this one is dropped.
    ///
    /// In async code `f` cannot await; use [`scope`](LocalKey::scope).
    ///
    /// The design is that of tokio's `LocalKey` for task-locals.
    ///
    /// # Panics
    ///
    /// Panics if `f` panics, or if the value was dropped or is being dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # switchback::run(|| {
    /// use std::cell::Cell;
    ///
    /// switchback::fiber_local! { static DEPTH: Cell<u32> = Cell::new(0); }
    ///
    /// let inner = DEPTH.sync_scope(Cell::new(7), || DEPTH.get());
    /// assert_eq!((inner, DEPTH.get()), (7, 0));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let _scope = Scope::enter_or_panic(self, value);
        f()
    }

    /// Returns a future that polls `future` with this value in place of the one that there is, if
    /// there is one. Fibers that `future` makes inherit it, if the static is `#[inherited]`.
    ///
    /// The future is `Send` if the value and `future` are. The value is dropped with it, after
    /// `future`, which is dropped with the value in place too.
    ///
    /// The design is that of tokio's `LocalKey` for task-locals.
    ///
    /// # Cancel safety
    ///
    /// As `future`: dropping it drops `future`.
    ///
    /// # Panics
    ///
    /// A poll panics if `future` panics, or if the value was dropped or is being dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    /// use switchback::{fiber_local, spawn};
    ///
    /// fiber_local! {
    ///     #[inherited]
    ///     static REQUEST: Cell<u32> = Cell::new(0);
    /// }
    ///
    /// async fn serve() -> u32 {
    ///     spawn(|| REQUEST.get()).await.unwrap()
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let served = tokio::join!(
    ///     REQUEST.scope(Cell::new(1), serve()),
    ///     REQUEST.scope(Cell::new(2), serve()),
    /// );
    /// assert_eq!((served, REQUEST.get()), ((1, 2), 0));
    /// # }
    /// ```
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> LocalScope<T, F> {
        LocalScope {
            key: self,
            value: Some(value),
            future: Some(future),
        }
    }

    fn local(&'static self, value: Rc<dyn Any>) -> Local {
        Local {
            id: self.id(),
            value,
            passing: self.passing,
        }
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

/// A value that a key has for a while. Dropping this drops the value and restores the former one.
struct Scope<T: 'static> {
    key: &'static LocalKey<T>,
    former: Option<Local>,
}

impl<T: 'static> Scope<T> {
    fn enter(key: &'static LocalKey<T>, value: T) -> Result<Scope<T>, AccessError> {
        let local = key.local(Rc::new(value));
        let former = with_locals(|locals| locals.replace(key.id(), Some(local)))?;
        Ok(Scope { key, former })
    }

    #[track_caller]
    fn enter_or_panic(key: &'static LocalKey<T>, value: T) -> Scope<T> {
        match Scope::enter(key, value) {
            Ok(scope) => scope,
            Err(AccessError) => panic!(
                "a fiber-local of type `{}` was set after it was dropped, or while it is being \
                 dropped; set it before",
                type_name::<T>(),
            ),
        }
    }

    /// Ends the scope, and returns the value that was set.
    fn leave(mut self) -> Option<T> {
        let set = self.restore();
        mem::forget(self);
        // Nothing else has it, since `with` ends before a poll does.
        Rc::into_inner(set?.value.downcast().ok()?)
    }

    fn restore(&mut self) -> Option<Local> {
        let former = self.former.take();
        let set = with_locals(|locals| locals.replace(self.key.id(), former));
        set.ok().flatten()
    }
}

impl<T: 'static> Drop for Scope<T> {
    fn drop(&mut self) {
        drop(self.restore());
    }
}

pin_project! {
    /// The future of [`LocalKey::scope`].
    #[must_use = "futures do nothing unless they are awaited or waited for"]
    pub struct LocalScope<T: 'static, F> {
        key: &'static LocalKey<T>,
        // `None` while the future is polled, and after a poll that has panicked.
        value: Option<T>,
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for LocalScope<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let set = this.value.take().filter(|_| this.future.is_some());
            // Where the key has no value any more, the future is dropped without.
            let _scope = set.map(|value| Scope::enter(this.key, value));
            this.future.set(None);
        }
    }
}

impl<T: 'static, F: Future> Future for LocalScope<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let (Some(value), Some(future)) = (this.value.take(), this.future.as_mut().as_pin_mut())
        else {
            panic!("the future of `LocalKey::scope` was polled after it was over; make another one")
        };
        let scope = Scope::enter_or_panic(this.key, value);
        let polled = future.poll(cx);
        if polled.is_ready() {
            // The value is dropped last.
            this.future.set(None);
        } else {
            *this.value = scope.leave();
        }
        polled
    }
}

impl<T: 'static, F> fmt::Debug for LocalScope<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope").finish_non_exhaustive()
    }
}
