//! [`RawLock`]: a lock without a value, held by one exclusively or shared by several.
//!
//! # The word
//!
//! | bits | meaning |
//! |---|---|
//! | `EXCLUSIVE` | one holds the lock exclusively |
//! | `QUEUED` | somebody is in the line. It is changed under the lock of the line only, and is set there if and only if the line is not empty |
//! | the rest | how many hold it shared, in units of `SHARED` |
//!
//! Guards can be forgotten, and on 32-bit systems as many as the word can count. So once the highest bit
//! is set, `FULL`, those who want to share the lock wait too.
//!
//! Free and unqueued, the lock is taken with one compare-exchange, and given back with one. Who finds it
//! held joins the line, under the line's lock, in the same step in which it sets `QUEUED`. Who gives it
//! back finds that bit and looks at the line. So either the one sees that the lock is free, or the other
//! sees who waits.
//!
//! # Fairness
//!
//! The lock is *handed over*, without being free in between, to the first in the line, if that one or
//! another that waits near the front is on the thread that gives it back: among the fibers of a hub the
//! lock goes first in, first out. A fiber that gave the lock back and took it again before it yields would
//! otherwise keep it from the others for ever.
//!
//! If those who wait are on other threads, the lock becomes free and the first of them is *notified*: it
//! stays first in the line and tries to take the lock when it runs. Meanwhile others may take it, since
//! to hand over to a thread that sleeps makes everybody wait for its wake. If the first has been kept
//! waiting so for [`PATIENCE`], the lock is handed over. One who wants to share the lock does not pass
//! those who are in the line, so writers are not kept waiting by readers.
//!
//! Ordering: taking the lock acquires what giving it back has released. Who is handed the lock acquires it
//! through the lock of the line.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::holder::Holder;
use super::waiters::{Key, Seat, Waiter, Waiters, Wake, drop_waiter, wake};
use crate::base::lock::{ConstMutex, ConstUsize, lock};
use crate::current::{forget_lock, note, tracked_fiber};

const EXCLUSIVE: usize = 1;
const QUEUED: usize = 2;
const SHARED: usize = 4;
const FULL: usize = 1 << (usize::BITS - 1);

/// How long the first in the line is passed by those on other threads.
#[cfg_attr(all(test, switchback_loom), allow(dead_code))]
const PATIENCE: Duration = Duration::from_micros(500);
/// So many are looked at for one that is on this thread. If there are more, the lock is handed over.
const NEAR: usize = 16;

/// How the lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Exclusive,
    Shared,
}

impl Mode {
    /// What it adds to the word.
    fn unit(self) -> usize {
        match self {
            Mode::Exclusive => EXCLUSIVE,
            Mode::Shared => SHARED,
        }
    }

    /// The bits of which none may be set when it is added.
    fn conflicts(self) -> usize {
        match self {
            Mode::Exclusive => !QUEUED,
            Mode::Shared => EXCLUSIVE | FULL,
        }
    }

    /// The bits of which none may be set when one adds it who was not in the line. One who shares does
    /// not pass those in the line.
    fn conflicts_outside(self) -> usize {
        match self {
            Mode::Exclusive => self.conflicts(),
            Mode::Shared => self.conflicts() | QUEUED,
        }
    }
}

/// An exclusive hold of the lock, for the guard of one who has just taken it.
#[derive(Debug)]
pub(super) struct ExclusiveHold;

/// A shared hold of the lock, for the guard of one who has just taken it.
#[derive(Debug)]
pub(super) struct SharedHold {
    /// The number of the fiber that was recorded for it, or 0.
    recorded: u64,
}

impl ExclusiveHold {
    /// The holder was recorded when the lock was taken.
    #[inline(always)]
    pub(super) fn begin(_: &RawLock) -> ExclusiveHold {
        ExclusiveHold
    }

    #[inline(always)]
    pub(super) fn end(&self, lock: &RawLock) {
        lock.release(Mode::Exclusive);
    }
}

impl SharedHold {
    /// Records the running fiber, unless another one is recorded.
    #[inline]
    pub(super) fn begin(lock: &RawLock) -> SharedHold {
        let fiber = tracked_fiber();
        if !lock.holder.begin_shared(fiber) {
            return SharedHold { recorded: 0 };
        }
        if lock.word.load(Ordering::Relaxed) & QUEUED != 0 {
            lock.show_holder_to_line();
        }
        SharedHold { recorded: fiber }
    }

    #[inline]
    pub(super) fn end(&self, lock: &RawLock) {
        if self.recorded != 0 {
            lock.holder.end_shared(self.recorded);
        }
        lock.release(Mode::Shared);
    }
}

#[derive(Debug)]
pub(super) struct RawLock {
    word: ConstUsize,
    line: ConstMutex<Waiters<Request>>,
    holder: Holder,
}

/// One who waits.
#[derive(Debug)]
struct Request {
    mode: Mode,
    /// The thread on which it waits.
    thread: usize,
    /// Whether it was woken to try.
    notified: bool,
    /// When it was first notified instead of being handed the lock.
    passed_since: Option<Instant>,
}

impl RawLock {
    pub(super) const fn new() -> RawLock {
        RawLock {
            word: ConstUsize::new(0),
            line: ConstMutex::new(Waiters::new()),
            holder: Holder::new(),
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(super) fn try_acquire(&self, mode: Mode) -> bool {
        // Asked before the exchange, so that the compiler can join it with what the caller has asked.
        let fiber = tracked_fiber();
        let taken =
            self.word
                .compare_exchange(0, mode.unit(), Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return self.try_acquire_slowly(mode, fiber);
        }
        if mode == Mode::Exclusive {
            self.holder.begin(fiber);
        }
        true
    }

    #[cold]
    fn try_acquire_slowly(&self, mode: Mode, fiber: u64) -> bool {
        let taken = self.take_unless(mode.conflicts_outside(), mode);
        if taken {
            self.note_holder(mode, fiber);
        }
        taken
    }

    /// Records who has taken the lock, with those in the line. One who shares it does that with its
    /// [`SharedHold`].
    fn note_holder(&self, mode: Mode, fiber: u64) {
        if mode == Mode::Exclusive {
            self.holder.begin(fiber);
            self.show_holder();
        }
    }

    /// Renews the copy of who holds the lock. The caller has the lock of the line, or holds this one
    /// exclusively. The copy is true, or is about to be renewed, because one who gives the lock back after
    /// somebody has joined the line waits for the line's lock.
    fn show_holder(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.holder.show(word & EXCLUSIVE == 0);
    }

    /// Takes the lock unless any of these bits is set.
    fn take_unless(&self, conflicts: usize, mode: Mode) -> bool {
        let taken = |word: usize| (word & conflicts == 0).then(|| word + mode.unit());
        self.word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, taken)
            .is_ok()
    }

    /// Tries for a short time. This is for threads, where the holder is running elsewhere.
    pub(super) fn spin(&self, mode: Mode) -> bool {
        const TRIES: usize = 100;
        (0..TRIES).any(|_| {
            std::hint::spin_loop();
            let word = self.word.load(Ordering::Relaxed);
            word & mode.conflicts() == 0 && self.try_acquire(mode)
        })
    }

    /// Gives the lock back.
    #[inline]
    pub(super) fn release(&self, mode: Mode) {
        match mode {
            Mode::Exclusive => {
                self.holder.end();
                if !self.release_unqueued() {
                    self.release_to_line(EXCLUSIVE);
                }
            }
            Mode::Shared => {
                let before = self.word.fetch_sub(SHARED, Ordering::Release);
                if before & QUEUED != 0 {
                    self.release_shared_to_line(before);
                }
            }
        }
    }

    /// Gives back the lock, which is held exclusively, if nobody is in the line.
    #[inline(always)]
    fn release_unqueued(&self) -> bool {
        self.word
            .compare_exchange(EXCLUSIVE, 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Tells those in the line that one who shared the lock has given it back. `before` is what the word
    /// was until then.
    #[cold]
    fn release_shared_to_line(&self, before: usize) {
        match before == SHARED | QUEUED {
            true => self.release_to_line(0),
            false => self.show_holder_to_line(),
        }
    }

    #[cold]
    fn show_holder_to_line(&self) {
        let _line = lock(&self.line);
        self.show_holder();
    }

    #[cold]
    fn release_to_line(&self, held: usize) {
        let mut line = lock(&self.line);
        self.show_holder();
        let woken = self.serve(&mut line, held);
        drop(line);
        wake(woken);
    }

    /// Makes an exclusive hold a shared one.
    pub(super) fn downgrade(&self) -> SharedHold {
        let recorded = self.holder.share();
        let mut line = lock(&self.line);
        // Release, for those who share it too.
        self.word.fetch_add(SHARED - EXCLUSIVE, Ordering::Release);
        self.show_holder();
        let woken = self.serve(&mut line, 0);
        drop(line);
        wake(woken);
        SharedHold { recorded }
    }

    /// Gives back what the caller has `held` (nothing or `EXCLUSIVE`), and lets the first in the line
    /// have the lock if it can. Returns whom to wake.
    fn serve(&self, line: &mut Waiters<Request>, held: usize) -> Woken {
        let mut woken = Woken::default();
        let Some(first) = line.first_alive() else {
            self.word.fetch_and(!(held | QUEUED), Ordering::Release);
            return woken;
        };
        let mode = line.get(first).mode;
        if !hands_over(line, first) {
            let before = self.word.fetch_and(!held, Ordering::Release);
            let request = line.get(first);
            if before & !held & mode.conflicts() == 0 && !request.notified {
                request.notified = true;
                request.passed_since.get_or_insert_with(Instant::now);
                woken.one = line.call(first);
            }
            return woken;
        }
        // All at the front who want to share it get it together.
        let mut last = Some(first);
        let mut count = 0;
        while let Some(key) = last.filter(|key| line.get(*key).mode == mode) {
            count += 1;
            last = match mode {
                Mode::Exclusive => None,
                Mode::Shared => line.next_alive(key),
            };
        }
        let given = |word: usize| {
            let word = word & !held;
            (word & mode.conflicts() == 0).then(|| word + count * mode.unit())
        };
        let handed = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, given);
        if handed.is_ok() {
            for _ in 0..count {
                let first = line.first().expect("they were counted");
                woken.add(line.tell(first));
            }
            self.unqueue_if_empty(line);
        }
        // Otherwise somebody has taken it meanwhile, and will look at the line.
        woken
    }

    fn unqueue_if_empty(&self, line: &Waiters<Request>) {
        if line.is_empty() {
            self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        }
    }

    /// Takes the lock, or waits in the line for it.
    fn poll(&self, seat: &mut Seat, mode: Mode, cx: &mut Context<'_>) -> Poll<()> {
        if seat.key.is_none() && self.try_acquire(mode) {
            return Poll::Ready(());
        }
        let waiter = seat.waiter(cx.waker());
        let fiber = tracked_fiber();
        let blocker = self.holder.blocker(mode == Mode::Shared);
        let mut woken = Woken::default();
        let was_queued = seat.key.is_some();
        let (polled, unused) = {
            let mut line = lock(&self.line);
            match seat.key {
                None => {
                    let dropped_dead = line.drop_dead();
                    if dropped_dead {
                        self.unqueue_if_empty(&line);
                    }
                    if self.take_or_queue(mode) {
                        self.note_holder(mode, fiber);
                        (Poll::Ready(()), Some(waiter))
                    } else {
                        let request = Request {
                            mode,
                            thread: this_thread(),
                            notified: false,
                            passed_since: None,
                        };
                        seat.key = Some(line.add(request, Some(waiter)));
                        self.show_holder();
                        if dropped_dead {
                            woken = self.serve(&mut line, 0);
                        }
                        (Poll::Pending, None)
                    }
                }
                Some(own) if line.is_told(own) => {
                    seat.key = None;
                    drop(line.remove(own));
                    self.note_holder(mode, fiber);
                    (Poll::Ready(()), Some(waiter))
                }
                Some(own) => {
                    let request = line.get(own);
                    if std::mem::take(&mut request.notified)
                        && self.take_unless(mode.conflicts(), mode)
                    {
                        seat.key = None;
                        let (_, old) = line.remove(own);
                        debug_assert!(
                            !matches!(old, Some(Waiter::Future(_))),
                            "it was taken by the notification",
                        );
                        self.note_holder(mode, fiber);
                        self.unqueue_if_empty(&line);
                        if mode == Mode::Shared {
                            woken = self.serve(&mut line, 0);
                        }
                        (Poll::Ready(()), Some(waiter))
                    } else {
                        (Poll::Pending, line.set_waiter(own, Some(waiter)))
                    }
                }
            }
        };
        drop_waiter(unused);
        wake(woken);
        if polled.is_pending() {
            blocker.into_iter().for_each(note);
            if !was_queued {
                self.holder.report_if_abandoned();
            }
        }
        polled
    }

    /// Takes the lock, or announces that somebody joins the line, whose lock the caller has.
    fn take_or_queue(&self, mode: Mode) -> bool {
        let conflicts = mode.conflicts_outside();
        let change = |word: usize| match word & conflicts {
            0 => Some(word + mode.unit()),
            _ => Some(word | QUEUED),
        };
        let before = self
            .word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, change);
        before.is_ok_and(|word| word & conflicts == 0)
    }

    /// Ends a wait that was not finished.
    #[cold]
    fn leave(&self, key: Key, mode: Mode) {
        forget_lock();
        let mut line = lock(&self.line);
        let was_told = line.is_told(key);
        let was_first = line.first() == Some(key);
        let (_, unused) = line.remove(key);
        let mut woken = Woken::default();
        if !was_told {
            self.unqueue_if_empty(&line);
            if was_first && !line.is_empty() {
                // It may have been notified, or have kept others from sharing.
                woken = self.serve(&mut line, 0);
            }
        }
        drop(line);
        drop_waiter(unused);
        wake(woken);
        if was_told {
            // No holder was noted.
            self.release(mode);
        }
    }
}

/// Returns whether the first in the line is to be handed the lock, by the calling thread.
fn hands_over(line: &mut Waiters<Request>, first: Key) -> bool {
    let passed = line.get(first).passed_since;
    if passed.is_some_and(is_out_of_patience) {
        return true;
    }
    let here = this_thread();
    let mut next = Some(first);
    for _ in 0..NEAR {
        let Some(key) = next else {
            return false;
        };
        if line.get(key).thread == here {
            return true;
        }
        next = line.after(key);
    }
    true
}

#[cfg(not(all(test, switchback_loom)))]
fn is_out_of_patience(since: Instant) -> bool {
    since.elapsed() >= PATIENCE
}

/// A model has no time: the first in the line is passed once.
#[cfg(all(test, switchback_loom))]
fn is_out_of_patience(_: Instant) -> bool {
    true
}

/// Whom to wake: seldom more than one.
#[derive(Default)]
struct Woken {
    one: Option<Wake>,
    more: Vec<Wake>,
}

impl Woken {
    fn add(&mut self, wake: Option<Wake>) {
        match self.one {
            None => self.one = wake,
            Some(_) => self.more.extend(wake),
        }
    }
}

impl IntoIterator for Woken {
    type Item = Wake;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Wake>, std::vec::IntoIter<Wake>>;

    fn into_iter(self) -> Self::IntoIter {
        self.one.into_iter().chain(self.more)
    }
}

/// A number that no other thread has at the same time.
#[cfg(not(all(test, switchback_loom)))]
pub(super) fn this_thread() -> usize {
    thread_local! {
        static ADDRESS: u8 = const { 0 };
    }
    ADDRESS.with(|address| std::ptr::from_ref(address).addr())
}

/// As above: the threads of a model share those of the system.
#[cfg(all(test, switchback_loom))]
pub(super) fn this_thread() -> usize {
    loom::thread_local! {
        static ADDRESS: Box<u8> = Box::new(0);
    }
    ADDRESS.with(|address| std::ptr::from_ref(&**address).addr())
}

/// A future that takes the lock. Dropped after it was ready, it does nothing.
#[derive(Debug)]
pub(super) struct Acquire<'a> {
    lock: &'a RawLock,
    mode: Mode,
    seat: Seat,
}

impl<'a> Acquire<'a> {
    pub(super) fn new(lock: &'a RawLock, mode: Mode, seat: Seat) -> Acquire<'a> {
        Acquire { lock, mode, seat }
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.lock.poll(&mut this.seat, this.mode, cx)
    }
}

impl Drop for Acquire<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(key) = self.seat.key {
            self.lock.leave(key, self.mode);
        }
    }
}

#[cfg(all(test, not(switchback_loom)))]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn one_shared_by_as_many_as_it_can_count_is_shared_by_no_more() {
        let lock = RawLock::new();
        // As if their guards had been forgotten.
        lock.word.store(FULL - SHARED, Ordering::Relaxed);
        assert!(lock.try_acquire(Mode::Shared));
        assert!(!lock.try_acquire(Mode::Shared));
        assert!(!lock.spin(Mode::Shared));
        assert!(!lock.try_acquire(Mode::Exclusive));
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut waits = pin!(Acquire::new(&lock, Mode::Shared, Seat::of_future()));
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            assert_eq!(lock.word.load(Ordering::Relaxed), FULL | QUEUED);
            lock.release(Mode::Shared);
        }
        assert!(lock.try_acquire(Mode::Shared));
        assert_eq!(lock.word.load(Ordering::Relaxed), FULL);
    }
}

#[cfg(all(test, switchback_loom))]
mod loom_tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use loom::cell::UnsafeCell;
    use loom::future::block_on;
    use loom::thread;

    use super::*;

    /// A lock with a value, whose use at the same time the model finds.
    struct Locked {
        lock: RawLock,
        value: UnsafeCell<usize>,
    }

    // SAFETY: this is what the models check.
    #[allow(unsafe_code)]
    unsafe impl Sync for Locked {}

    impl Locked {
        fn new() -> Arc<Locked> {
            let locked = Locked {
                lock: RawLock::new(),
                value: UnsafeCell::new(0),
            };
            // What is made at its first use is made before it is shared.
            assert!(locked.lock.try_acquire(Mode::Exclusive));
            locked.lock.release(Mode::Exclusive);
            Arc::new(locked)
        }

        fn add(&self) {
            block_on(Acquire::new(&self.lock, Mode::Exclusive, Seat::of_future()));
            self.value.with_mut(|value| {
                #[allow(unsafe_code)]
                // SAFETY: the lock is held, which the model checks.
                let value = unsafe { &mut *value };
                *value += 1;
            });
            self.lock.release(Mode::Exclusive);
        }

        fn read(&self) -> usize {
            block_on(Acquire::new(&self.lock, Mode::Shared, Seat::of_future()));
            let read = self.value.with(|value| {
                #[allow(unsafe_code)]
                // SAFETY: the lock is held, which the model checks.
                let value = unsafe { &*value };
                *value
            });
            self.lock.release(Mode::Shared);
            read
        }

        /// Joins the line at most, and leaves it.
        fn give_up(&self, mode: Mode) {
            let mut acquire = pin!(Acquire::new(&self.lock, mode, Seat::of_future()));
            let polled = acquire
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            if polled.is_ready() {
                self.lock.release(mode);
            }
        }
    }

    #[test]
    fn one_has_it_at_a_time_and_all_get_it() {
        loom::model(|| {
            let locked = Locked::new();
            let others = [(); 2].map(|()| {
                let locked = locked.clone();
                thread::spawn(move || locked.add())
            });
            locked.add();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(locked.read(), 3);
        });
    }

    #[test]
    fn readers_and_a_writer_get_it() {
        loom::model(|| {
            let locked = Locked::new();
            let (writer, reader) = (locked.clone(), locked.clone());
            let writer = thread::spawn(move || writer.add());
            let reader = thread::spawn(move || reader.read());
            assert!(locked.read() <= 1);
            assert!(reader.join().unwrap() <= 1);
            writer.join().unwrap();
            assert_eq!(locked.read(), 1);
        });
    }

    #[test]
    fn one_who_gives_up_loses_the_wake_of_nobody() {
        for mode in [Mode::Exclusive, Mode::Shared] {
            loom::model(move || {
                let locked = Locked::new();
                let (gives_up, adds) = (locked.clone(), locked.clone());
                let gives_up = thread::spawn(move || gives_up.give_up(mode));
                let adds = thread::spawn(move || adds.add());
                locked.add();
                gives_up.join().unwrap();
                adds.join().unwrap();
                assert_eq!(locked.read(), 2);
            });
        }
    }

    #[test]
    fn a_writer_that_becomes_a_reader_lets_readers_in() {
        loom::model(|| {
            let locked = Locked::new();
            let other = locked.clone();
            let reader = thread::spawn(move || other.read());
            block_on(Acquire::new(
                &locked.lock,
                Mode::Exclusive,
                Seat::of_future(),
            ));
            locked.lock.downgrade();
            reader.join().unwrap();
            locked.lock.release(Mode::Shared);
            locked.add();
        });
    }
}
