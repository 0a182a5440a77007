//! What the tests share.

// Each test program uses its own part of this module.
#![allow(dead_code)]

use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::env;
use std::future::pending;
use std::io::Read;
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind, resume_unwind};
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use switchback::prelude::*;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};

pub(crate) mod ending;
pub(crate) mod hostile;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
pub(crate) mod runner;
#[cfg(unix)]
pub(crate) mod table;
pub(crate) mod threads;

#[allow(unused_imports)] // not every program skips tests
pub(crate) use runner::{emulated, skipped, this_program, under_emulation};

/// Longer than any test takes on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test's body on a thread of its own and fails the test if it hangs.
///
/// The thread that hangs is left behind: it ends with the process.
#[track_caller]
pub(crate) fn watched<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let name = thread::current().name().unwrap_or("test").to_owned();
    let (done, is_done) = mpsc::channel::<()>();
    let thread = thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            let _done = done;
            body()
        })
        .unwrap();
    // Nothing is ever sent: the sender goes when the body has ended, however.
    if let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(PATIENCE) {
        panic!("`{name}` hangs");
    }
    thread
        .join()
        .unwrap_or_else(|payload| resume_unwind(payload))
}

/// A number of milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until something from outside ends the wait.
pub(crate) fn forever() {
    pending::<()>().wait();
}

/// A current-thread runtime with everything enabled.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A current-thread runtime on a paused clock.
pub(crate) fn paused_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// A runtime of one thread, on a paused clock, on which `spawn_local` works.
pub(crate) fn paused_local_runtime() -> LocalRuntime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    builder.build_local(LocalOptions::default()).unwrap()
}

/// A runtime with two worker threads.
pub(crate) fn multi_thread_runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Runs an async body, watched, as the main task of a current-thread runtime.
#[track_caller]
pub(crate) fn in_async<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send + 'static) {
    watched(|| runtime().block_on(async { body().await }));
}

/// As [`in_async`], on a paused clock.
#[track_caller]
pub(crate) fn in_paused<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send + 'static) {
    watched(|| paused_runtime().block_on(async { body().await }));
}

/// Runs a body, watched, as the root fiber of a hub.
#[track_caller]
pub(crate) fn in_root_fiber(body: impl FnOnce() + Send + 'static) {
    watched(|| switchback::run(body).unwrap());
}

/// As [`in_root_fiber`], on stacks of 2 MiB, which is the default only where addresses have 64 bits.
#[track_caller]
pub(crate) fn on_large_stacks(body: impl FnOnce() + Send + 'static) {
    watched(|| {
        switchback::Hub::builder()
            .stack_size(2 << 20)
            .run(body)
            .unwrap()
    });
}

/// Counts the drops of the tokens it has handed out.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn new() -> Drops {
        Drops::default()
    }

    pub(crate) fn token(&self) -> Token {
        Token(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Tells its [`Drops`] when it is dropped.
pub(crate) struct Token(Drops);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether the tests were built for AddressSanitizer, as far as can be told: its
/// options are set. It has handlers and memory of its own.
pub(crate) fn under_asan() -> bool {
    env::var_os("ASAN_OPTIONS").is_some()
}

/// Calls a closure when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What happened, in order, as seen by the code of one thread.
pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log(self.0.clone())
    }
}

impl<T> Log<T> {
    pub(crate) fn new() -> Log<T> {
        Log(Rc::default())
    }

    pub(crate) fn push(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// A panic as its hook saw it.
#[derive(Clone, Debug)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl Panic {
    /// The panic's text is `message`, and it blames the code at `place` or a few
    /// lines further down, where a call is broken over several.
    #[track_caller]
    pub(crate) fn assert(&self, message: &str, place: &Location<'_>) {
        assert_eq!(self.message, message);
        self.assert_at(place);
    }

    #[track_caller]
    pub(crate) fn assert_at(&self, place: &Location<'_>) {
        let lines = place.line()..place.line() + 8;
        assert!(
            self.file == place.file() && lines.contains(&self.line),
            "{self:?} does not blame {place}",
        );
    }
}

thread_local! {
    static CAUGHT: RefCell<Vec<Panic>> = const { RefCell::new(Vec::new()) };
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` and returns the first panic that happens on this thread meanwhile,
/// whether it comes out of `f` or not.
///
/// Panics of other threads are reported as ever.
#[track_caller]
pub(crate) fn panic_of<T>(f: impl FnOnce() -> T) -> Panic {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                CAUGHT.with_borrow_mut(|caught| caught.push(seen(info)));
            } else {
                others(info);
            }
        }));
    });
    let before = CATCHING.replace(true);
    let outer = CAUGHT.take();
    let result = catch_unwind(AssertUnwindSafe(|| {
        f();
    }));
    CATCHING.set(before);
    let caught = CAUGHT.replace(outer);
    drop(result);
    let first = caught.into_iter().next();
    first.unwrap_or_else(|| panic!("nothing panicked"))
}

/// Whether `f` panics with `message`, blaming the line that calls this.
#[track_caller]
pub(crate) fn assert_panics<T>(message: &str, f: impl FnOnce() -> T) {
    panic_of(f).assert(message, Location::caller());
}

fn seen(info: &PanicHookInfo<'_>) -> Panic {
    let location = info.location().unwrap();
    Panic {
        message: text(info.payload()),
        file: location.file().to_owned(),
        line: location.line(),
    }
}

/// The text of a panic's payload.
pub(crate) fn text(payload: &(dyn Any + Send)) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_default(),
    }
}

/// How a child process ended.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Child {
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(self.status.success(), "{self:#?}");
    }

    /// Whether `text` is on its stderr, or was reported elsewhere.
    pub(crate) fn reported(&self, text: &str) -> bool {
        // With this feature, reports go to the subscriber of `tracing`.
        cfg!(feature = "tracing") || self.stderr.contains(text)
    }

    /// The child succeeded, and `text` is on its stderr `times` times.
    #[track_caller]
    pub(crate) fn assert_reported(&self, text: &str, times: usize) {
        self.assert_success();
        // With this feature, reports go to the subscriber of `tracing`.
        if cfg!(not(feature = "tracing")) {
            assert_eq!(self.stderr.matches(text).count(), times, "{self:#?}");
        }
    }
}

/// The path of the test that a closure is written in, as the test harness has it.
///
/// What the compiler calls a type is not specified, so [`run_child`] checks that there
/// is such a test.
pub(crate) fn test_of<F>(_closure: &F) -> String {
    let path = type_name::<F>();
    let (_program, path) = path.split_once("::").unwrap();
    let (test, _) = path.split_once("::{{closure}}").unwrap();
    test.to_owned()
}

/// Runs `body` in a child process, by running the test that it is written in once more;
/// `None` in the child itself. A child that hangs is killed, and the test fails.
#[track_caller]
pub(crate) fn in_child(body: impl FnOnce()) -> Option<Child> {
    in_child_of(&test_of(&body), body)
}

/// As [`in_child`], for a body that is not written in the test itself but in a helper.
#[track_caller]
pub(crate) fn in_child_of(test: &str, body: impl FnOnce()) -> Option<Child> {
    if env::var_os(CHILD).is_some_and(|child| child == test) {
        body();
        return None;
    }
    Some(run_child(test, test))
}

/// As [`in_child`], with a child for each number below `cases`, two of them at a time:
/// how each child ended, or `None` in one of the children.
#[track_caller]
pub(crate) fn in_children(cases: usize, body: impl FnOnce(usize)) -> Option<Vec<Child>> {
    let test = test_of(&body);
    let of_case = |case: usize| format!("{test} {case}");
    if let Ok(child) = env::var(CHILD) {
        body((0..cases).find(|case| of_case(*case) == child)?);
        return None;
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut children = Vec::new();
        loop {
            let case = next.fetch_add(1, Ordering::SeqCst);
            if case >= cases {
                break children;
            }
            children.push((case, run_child(&test, &of_case(case))));
        }
    };
    let mut children: Vec<_> = thread::scope(|s| {
        let threads = [s.spawn(run), s.spawn(run)];
        let joined = threads.map(|t| t.join().unwrap_or_else(|payload| resume_unwind(payload)));
        joined.into_iter().flatten().collect()
    });
    children.sort_by_key(|(case, _)| *case);
    Some(children.into_iter().map(|(_, child)| child).collect())
}

/// Tells a child which of this program's bodies it is for.
const CHILD: &str = "SWITCHBACK_TEST_CHILD";

/// Runs the test `test` of this program once more, told that it is the child `which`.
#[track_caller]
fn run_child(test: &str, which: &str) -> Child {
    let mut child = this_program()
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, which)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the child process of `{which}` hangs");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let child = Child {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    };
    // A name that no test has would pass for a child that succeeds.
    assert!(child.stdout.contains("running 1 test"), "{child:#?}");
    child
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A new folder, which is removed when it is dropped.
pub(crate) struct Folder(std::path::PathBuf);

/// Makes a folder for the test of this name.
pub(crate) fn folder(name: &str) -> Folder {
    let path = env::temp_dir().join(format!("switchback-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    Folder(path)
}

impl Folder {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
