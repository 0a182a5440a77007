//! [`stdin`]: the standard input of the process, which blocks the fiber.
//!
//! One thread reads it, one block at a time, and only while somebody waits for it. It is a thread of
//! its own, which nothing waits for at the end: a read of a terminal cannot be interrupted. What it
//! has read belongs to whoever reads next.

use std::future::poll_fn;
use std::io::{self, BufRead, IsTerminal, Lines, Read};
use std::marker::PhantomData;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Condvar, Mutex};
use std::task::{Poll, Waker};
use std::{fmt, mem, thread};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::complete::complete;
use super::runtime::contained;
use crate::base::contain;
use crate::base::lock::lock;
use crate::wait::Call;

/// Returns a handle to the standard input of the process, as [`std::io::stdin`] does. Its reads block
/// the fiber.
///
/// A thread reads ahead for all handles while somebody waits; std's own handle, if it is used beside
/// this one, does not see those bytes. A `run` that ends does not wait for that thread. Standard
/// output and error are std's, since a write to them rarely waits.
///
/// # Cancel safety
///
/// What a cancelled read would have read is left for the next one. `read_line` and the like consist
/// of several reads, and lose their progress.
///
/// # Examples
///
/// ```no_run
/// use switchback::io;
///
/// # fn main() -> io::Result<()> {
/// # switchback::run(|| {
/// for line in io::stdin().lines() {
///     println!("{}", line?.to_uppercase());
/// }
/// # Ok(())
/// # })?
/// # }
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin(io::stdin())
}

/// A handle to the standard input, from [`stdin`].
///
/// # Errors
///
/// Those of std, and an error if the thread that reads cannot be started. While the fiber unwinds, a
/// call that would have to wait returns an error of the kind [`Other`](io::ErrorKind::Other).
///
/// # Panics
///
/// Panics where [`.wait()`](crate::Wait::wait) does.
#[derive(Debug)]
pub struct Stdin(io::Stdin);

/// The standard input, locked for one fiber or thread, from [`Stdin::lock`].
pub struct StdinLock<'a> {
    block: Vec<u8>,
    /// The place in the block up to which bytes are consumed.
    at: usize,
    /// `None` if the fiber was unwinding and could not wait for it.
    turn: Option<SemaphorePermit<'static>>,
    of: PhantomData<&'a ()>,
}

/// Who has locked the input.
static TURN: Semaphore = Semaphore::const_new(1);

static STATE: Mutex<State> = Mutex::new(State {
    thread: false,
    wanted: false,
    outcome: None,
    waiter: None,
});

/// Tells the thread that a block is wanted.
static WANTED: Condvar = Condvar::new();

struct State {
    /// Whether the thread was started.
    thread: bool,
    /// Whether the thread reads a block, or is about to.
    wanted: bool,
    /// What the thread has read, or what a lock has left. `None` while a block is wanted.
    outcome: Option<io::Result<Vec<u8>>>,
    /// Waits for the outcome. There is one at most, since it has the lock.
    waiter: Option<Waker>,
}

impl Stdin {
    /// Locks the input, so that several calls belong together. Waits for those who have it locked.
    ///
    /// # Panics
    ///
    /// Panics where [`.wait()`](crate::Wait::wait) does. While the fiber unwinds, the reads of a lock
    /// that would have to be waited for return errors.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use switchback::io::{self, BufRead};
    ///
    /// # fn main() -> io::Result<()> {
    /// # switchback::run(|| {
    /// let mut input = io::stdin().lock();
    /// let (mut name, mut city) = (String::new(), String::new());
    /// input.read_line(&mut name)?;
    /// input.read_line(&mut city)?;
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn lock(&self) -> StdinLock<'static> {
        let mut input = StdinLock {
            block: Vec::new(),
            at: 0,
            turn: None,
            of: PhantomData,
        };
        // If this fails, each read tries again, and returns the error.
        let _ = input.take_turn(Call::stdin("`io::Stdin::lock`"));
        input
    }

    /// Reads a line, with its end, and appends it. Returns the number of bytes, which is 0 at the end
    /// of the input.
    ///
    /// # Errors
    ///
    /// Those of std.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use switchback::io;
    ///
    /// # fn main() -> io::Result<()> {
    /// # switchback::run(|| {
    /// let mut line = String::new();
    /// if io::stdin().read_line(&mut line)? == 0 {
    ///     println!("there is no more");
    /// }
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn read_line(&self, buf: &mut String) -> io::Result<usize> {
        self.lock().read_line(buf)
    }

    /// Returns an iterator over the lines that are left, without their ends. It has the input locked.
    ///
    /// # Panics
    ///
    /// As [`lock`](Stdin::lock) does.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use switchback::io;
    ///
    /// # fn main() -> io::Result<()> {
    /// # switchback::run(|| {
    /// let longest = io::stdin().lines().map_while(Result::ok).max_by_key(String::len);
    /// # drop(longest);
    /// # Ok(())
    /// # })?
    /// # }
    /// ```
    #[track_caller]
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }

    /// Returns whether the input is a terminal, as std's `IsTerminal` does, which no other crate can
    /// implement.
    ///
    /// # Examples
    ///
    /// ```
    /// if switchback::io::stdin().is_terminal() {
    ///     println!("type something");
    /// }
    /// ```
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl Read for &Stdin {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }
}

impl Read for Stdin {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl StdinLock<'_> {
    /// Waits for the turn, and takes what the one before has left.
    #[track_caller]
    fn take_turn(&mut self, call: Call) -> io::Result<()> {
        let turn = complete(call, None, async {
            contained(TURN.acquire()).await.map_err(io::Error::other)
        })?;
        self.turn = Some(turn);
        let mut state = lock(&STATE);
        if let Some(Ok(left)) = &mut state.outcome {
            // At the end of the input it is empty, which is what the next read is to see.
            if !left.is_empty() {
                self.block = mem::take(left);
                state.outcome = None;
            }
        }
        Ok(())
    }
}

impl Read for StdinLock<'_> {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for StdinLock<'_> {
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.turn.is_none() {
            self.take_turn(Call::stdin("`io::StdinLock::fill_buf`"))?;
        }
        if self.at == self.block.len() {
            self.block = complete(Call::stdin("`io::StdinLock::fill_buf`"), None, next_block())?;
            self.at = 0;
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.block.len());
    }
}

impl Drop for StdinLock<'_> {
    fn drop(&mut self) {
        let left = self.block.split_off(self.at);
        if !left.is_empty() {
            lock(&STATE).outcome = Some(Ok(left));
        }
    }
}

/// Waits for the next block. At the end of the input it is empty.
async fn next_block() -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        // The waker is foreign code, which is cloned and dropped outside of the lock.
        let waker = contain::contained(contain::clone_waker(cx.waker()));
        let mut state = lock(&STATE);
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome);
        }
        if !state.thread {
            let started = thread::Builder::new()
                .name("switchback-stdin".into())
                .spawn(read_blocks);
            if let Err(e) = started {
                return Poll::Ready(Err(e));
            }
            state.thread = true;
        }
        let before = state.waiter.replace(waker);
        state.wanted = true;
        WANTED.notify_one();
        drop(state);
        drop(before);
        Poll::Pending
    })
    .await
}

/// Reads a block each time that one is wanted.
fn read_blocks() {
    let mut state = lock(&STATE);
    loop {
        if !state.wanted || state.outcome.is_some() {
            state = WANTED.wait(state).unwrap_or_else(|e| e.into_inner());
            continue;
        }
        drop(state);
        // As large as std's buffer, which is then left empty.
        let mut block = vec![0; 8192];
        let outcome = io::stdin().read(&mut block).map(|read| {
            block.truncate(read);
            block
        });
        state = lock(&STATE);
        state.outcome = Some(outcome);
        state.wanted = false;
        if let Some(waiter) = state.waiter.take() {
            drop(state);
            contain::wake(waiter);
            state = lock(&STATE);
        }
    }
}

impl fmt::Debug for StdinLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinLock").finish_non_exhaustive()
    }
}

#[cfg(unix)]
impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(unix)]
impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
