//! [`Ambient`]: state of the thread that belongs to the code that runs.
//!
//! Where one stack stops and another runs, the state of the first is taken off the thread:
//!
//! | where | what happens |
//! |---|---|
//! | a stack suspends, also for ever | [`without`]: taken off before, put back when it is resumed |
//! | a hub's turn begins, a bridge is polled or ended, a hub ends by force | [`without`], around all stacks that run there |
//! | a fiber or bridge is made | [`inherit`], for [`super::heritage`] |
//! | its body begins and ends | the inherited state is entered; what is left is taken off and dropped: [`discard`] |
//!
//! So a stack that begins finds nothing entered. With no ambient registered, each of these is one load
//! and a branch. The spans of `tracing` come before all that are registered: see [`super::spans`].

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

#[cfg(feature = "tracing")]
use super::spans;
use super::{StackState, hook};
use crate::base::contain;
use crate::base::lock::lock;

/// State of the thread that belongs to the code that runs, such as a span that was entered or a
/// locale. It must be possible to take it off the thread and to put it back whole.
///
/// Once it is [registered](register), each fiber has its own: it is taken off the thread when the
/// fiber suspends and put back when the fiber goes on. New fibers inherit it.
///
/// Each method is called on the thread whose state is meant, in the midst of a switch between fibers,
/// and counts as a poll: it cannot wait, and a fiber that it spawns inherits nothing. If it panics, the
/// panic is reported, and this ambient is skipped for this time. If it runs other stacks itself, such as a
/// bridge, the ambient is skipped in the midst of those.
pub trait Ambient: Send + Sync + 'static {
    /// What is kept of the state while its fiber does not run. It lies on the fiber's stack. Fibers
    /// that are sent to other threads take what they inherit with them.
    type Saved: Send + 'static;

    /// Returns the state that a new fiber begins with. Called in the code that makes the fiber, whose
    /// own state stays as it is.
    fn inherit(&self) -> Self::Saved;

    /// Takes the state off the thread, which is then as if nothing had been entered.
    fn leave(&self) -> Self::Saved;

    /// Puts the state on the thread, where nothing is entered.
    fn enter(&self, saved: Self::Saved);
}

/// Registers an ambient for all fibers of the process, until the returned value is dropped.
///
/// Where there are several, the first one enters first and leaves last. Fibers that are suspended
/// meanwhile have no state of this ambient yet.
///
/// The state follows fibers, their scopes' children, the root fiber of [`run`](crate::run), bridges and
/// the adapters that are built on them, whether they end by themselves, unwind or are left for ever.
/// After a hub's turn and after a poll of a bridge, the thread has the state that it had before.
///
/// With the feature `tracing`, the spans that are entered are such an ambient, which is always there.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use switchback::{ambient, prelude::*, spawn, yield_now};
///
/// thread_local! { static LOCALE: Cell<&'static str> = const { Cell::new("C") }; }
///
/// struct Locale;
///
/// impl ambient::Ambient for Locale {
///     type Saved = &'static str;
///
///     fn inherit(&self) -> &'static str {
///         LOCALE.get()
///     }
///     fn leave(&self) -> &'static str {
///         LOCALE.replace("C")
///     }
///     fn enter(&self, locale: &'static str) {
///         LOCALE.set(locale);
///     }
/// }
///
/// let _registration = ambient::register(Locale);
/// # switchback::run(|| {
/// LOCALE.set("de_CH");
/// let fiber = spawn(|| {
///     assert_eq!(LOCALE.get(), "de_CH"); // inherited
///     LOCALE.set("fr_CH");
///     yield_now().wait();
///     assert_eq!(LOCALE.get(), "fr_CH"); // its own
/// });
/// fiber.wait().unwrap();
/// assert_eq!(LOCALE.get(), "de_CH");
/// # }).unwrap();
/// ```
pub fn register(ambient: impl Ambient) -> Registration {
    let entry: Arc<dyn Registered> = Arc::new(Entry {
        ambient,
        is_gone: AtomicBool::new(false),
    });
    change(|entries| entries.push(entry.clone()));
    Registration(entry)
}

/// Keeps an ambient [registered](register). Dropping it ends that. Suspended fibers then drop the state
/// that they had, on their stacks, when they go on.
#[must_use = "dropping it ends the registration"]
pub struct Registration(Arc<dyn Registered>);

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.end_registration();
        let is_this = |entry: &Arc<dyn Registered>| Arc::ptr_eq(entry, &self.0);
        change(|entries| entries.retain(|entry| !is_this(entry)));
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

/// An ambient of any type.
trait Registered: Send + Sync {
    /// Returns what enters the inherited state.
    fn inherit(self: Arc<Self>) -> Option<Box<dyn FnOnce() + Send>>;

    /// Takes the state off while `run` runs.
    fn without(&self, run: &mut dyn FnMut());

    /// Takes the state off for good.
    fn discard(&self);

    fn end_registration(&self);
}

struct Entry<A> {
    ambient: A,
    is_gone: AtomicBool,
}

impl<A: Ambient> Entry<A> {
    fn leave(&self) -> Option<A::Saved> {
        hook::call("an ambient's `leave`", || self.ambient.leave())
    }

    fn enter(&self, saved: A::Saved) {
        hook::call("an ambient's `enter`", || {
            match self.is_gone.load(Ordering::Acquire) {
                true => drop(saved),
                false => self.ambient.enter(saved),
            }
        });
    }
}

impl<A: Ambient> Registered for Entry<A> {
    fn inherit(self: Arc<Self>) -> Option<Box<dyn FnOnce() + Send>> {
        let saved = hook::call("an ambient's `inherit`", || self.ambient.inherit())?;
        Some(Box::new(move || self.enter(saved)))
    }

    fn without(&self, run: &mut dyn FnMut()) {
        let _reenter = Reenter {
            entry: self,
            saved: self.leave(),
        };
        run();
    }

    fn discard(&self) {
        hook::call("an ambient's `leave`", || drop(self.ambient.leave()));
    }

    fn end_registration(&self) {
        self.is_gone.store(true, Ordering::Release);
    }
}

/// Puts the state back when it is dropped, also on unwind.
struct Reenter<'a, A: Ambient> {
    entry: &'a Entry<A>,
    saved: Option<A::Saved>,
}

impl<A: Ambient> Drop for Reenter<'_, A> {
    fn drop(&mut self) {
        if let Some(saved) = self.saved.take() {
            self.entry.enter(saved);
        }
    }
}

/// The registered ambients, in order.
#[derive(Default)]
struct List(Vec<Arc<dyn Registered>>);

impl Drop for List {
    fn drop(&mut self) {
        for entry in self.0.drain(..) {
            contain::run("the drop of an ambient", || drop(entry));
        }
    }
}

/// The number of the present list; 0 if it is empty.
///
/// Ordering: a thread that sees a number of another thread's finds that list, or a newer one, under
/// the lock. One that does not see it yet is as if it had come before the change. So `Relaxed`.
static VERSION: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct Present {
    list: Arc<List>,
    /// The value of [`VERSION`].
    version: u64,
    changes: u64,
}

fn present() -> &'static Mutex<Present> {
    static PRESENT: OnceLock<Mutex<Present>> = OnceLock::new();
    PRESENT.get_or_init(Mutex::default)
}

/// Makes a new list from the present one.
fn change(edit: impl FnOnce(&mut Vec<Arc<dyn Registered>>)) {
    let old = {
        let mut present = lock(present());
        let mut entries = present.list.0.clone();
        edit(&mut entries);
        present.changes += 1;
        present.version = match entries.is_empty() {
            true => 0,
            false => present.changes,
        };
        VERSION.store(present.version, Ordering::Relaxed);
        mem::replace(&mut present.list, Arc::new(List(entries)))
    };
    drop(old);
}

thread_local! {
    /// The list that this thread has seen last, and its number.
    static KNOWN: RefCell<(u64, Arc<List>)> = RefCell::default();
}

/// Returns the present list.
fn list() -> Arc<List> {
    let version = VERSION.load(Ordering::Relaxed);
    let known = KNOWN.try_with(|known| {
        let known = known.borrow();
        (known.0 == version).then(|| known.1.clone())
    });
    if let Ok(Some(list)) = known {
        return list;
    }
    let (version, list) = {
        let present = lock(present());
        (present.version, present.list.clone())
    };
    let old = KNOWN.try_with(|known| known.replace((version, list.clone())));
    drop(old);
    list
}

/// Returns whether any ambient is registered.
#[inline(always)]
pub(super) fn any() -> bool {
    #[cfg(feature = "tracing")]
    if spans::any() {
        return true;
    }
    VERSION.load(Ordering::Relaxed) != 0
}

/// Calls `run` with every ambient taken off the thread, and puts them back.
#[inline(always)]
pub(crate) fn without<R>(run: impl FnOnce() -> R) -> R {
    match any() {
        true => without_any(run),
        false => run(),
    }
}

/// Like [`without`], in code of the stack with this state, which knows that there are [`any`].
#[inline(always)]
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
pub(super) fn without_on<R>(state: &StackState, run: impl FnOnce() -> R) -> R {
    #[cfg(feature = "tracing")]
    if VERSION.load(Ordering::Relaxed) == 0 {
        return spans::without_on(state, run);
    }
    without_any(run)
}

#[cold]
fn without_any<R>(run: impl FnOnce() -> R) -> R {
    let list = list();
    let mut run = Some(run);
    let mut result = None;
    nest(&list.0, &mut || result = run.take().map(|run| run()));
    result.expect("it runs once")
}

/// Takes the ambients off, the last one first, and calls `run` inside of that.
fn nest(entries: &[Arc<dyn Registered>], run: &mut dyn FnMut()) {
    match entries.split_last() {
        Some((last, others)) => last.without(&mut || nest(others, run)),
        #[cfg(feature = "tracing")]
        None => spans::without(run),
        #[cfg(not(feature = "tracing"))]
        None => run(),
    }
}

/// Returns what enters the state of each ambient in a fiber that the running code makes.
pub(super) fn inherit() -> Vec<Box<dyn FnOnce() + Send>> {
    let entries = list().0.clone();
    entries
        .into_iter()
        .filter_map(Registered::inherit)
        .collect()
}

/// Takes every ambient off for good.
#[cold]
pub(super) fn discard() {
    list().0.iter().rev().for_each(|entry| entry.discard());
    #[cfg(feature = "tracing")]
    spans::discard();
}

#[cfg(all(test, not(switchback_loom)))]
mod tests {
    use super::*;

    struct Nothing;

    impl Ambient for Nothing {
        type Saved = ();
        fn inherit(&self) {}
        fn leave(&self) {}
        fn enter(&self, (): ()) {}
    }

    #[test]
    fn a_thread_knows_the_list_by_its_number() {
        let number = || VERSION.load(Ordering::Relaxed);
        let known = || KNOWN.with_borrow(|known| known.0);
        let registration = register(Nothing);
        assert_eq!(list().0.len(), 1);
        assert_eq!(known(), number());
        drop(registration);
        assert!(list().0.is_empty());
        assert_eq!((known(), number()), (0, 0));
    }
}
