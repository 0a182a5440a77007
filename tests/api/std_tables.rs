//! The tables of the modules in std's shape have every item of std's, and every one of ours.

use std::fs;

use crate::{sources, surface};

/// The stable items of std's modules, with the methods of their types, as of Rust 1.95.
const STD: [(&str, &str); 2] = [
    (
        "thread",
        "available_parallelism current panicking park park_timeout park_timeout_ms scope sleep \
         sleep_ms spawn yield_now AccessError Builder Builder::new Builder::name \
         Builder::stack_size Builder::spawn Builder::spawn_unchecked Builder::spawn_scoped \
         JoinHandle JoinHandle::thread JoinHandle::join JoinHandle::is_finished LocalKey Scope \
         Scope::spawn ScopedJoinHandle ScopedJoinHandle::thread ScopedJoinHandle::join \
         ScopedJoinHandle::is_finished Thread Thread::id Thread::name Thread::unpark ThreadId \
         Result",
    ),
    (
        "sync",
        "Arc Weak PoisonError TryLockError LockResult TryLockResult atomic Mutex Mutex::new \
         Mutex::lock Mutex::try_lock Mutex::is_poisoned Mutex::clear_poison Mutex::into_inner \
         Mutex::get_mut MutexGuard RwLock RwLock::new RwLock::read RwLock::try_read RwLock::write \
         RwLock::try_write RwLock::is_poisoned RwLock::clear_poison RwLock::into_inner \
         RwLock::get_mut RwLockReadGuard RwLockWriteGuard RwLockWriteGuard::downgrade Condvar \
         Condvar::new Condvar::wait Condvar::wait_while Condvar::wait_timeout \
         Condvar::wait_timeout_ms Condvar::wait_timeout_while Condvar::notify_one \
         Condvar::notify_all WaitTimeoutResult WaitTimeoutResult::timed_out channel sync_channel \
         Sender Sender::send SyncSender SyncSender::send SyncSender::try_send Receiver \
         Receiver::recv Receiver::try_recv Receiver::recv_timeout Receiver::iter \
         Receiver::try_iter Iter TryIter IntoIter SendError TrySendError RecvError TryRecvError \
         RecvTimeoutError",
    ),
];

/// Returns the lines of a module's table.
fn table(module: &str) -> String {
    let folder = sources::root().join(module);
    let text = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("//! |"));
    rows.map(|row| format!("{row}\n")).collect()
}

/// Returns the name of a public item, with that of its type if it is a method.
fn item(head: &str) -> Option<String> {
    let (of, head) = match head.split_once(": pub ") {
        Some((of, head)) => (Some(of), head),
        None => (None, head.strip_prefix("pub ")?),
    };
    let mut words = head
        .split(' ')
        .skip_while(|word| ["const", "async"].contains(word));
    let name = match words.next()? {
        "fn" | "struct" | "enum" | "trait" | "type" => words.next()?,
        _ => return None,
    };
    let end = |text: &str| text.split(['<', '(', ':', ';']).next().unwrap().to_owned();
    let Some(of) = of else {
        return Some(end(name));
    };
    // `impl<T: Bound<U>> Type<T>` or `impl Type<T>`.
    let mut depth = 0;
    let generics = of.strip_prefix("impl").unwrap();
    let after = generics.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && c == ' '
    });
    let name_of = end(generics[after.unwrap()..].trim());
    Some(format!("{name_of}::{}", end(name)))
}

#[test]
fn an_item_is_named_after_its_type() {
    for (head, name) in [
        ("pub fn park()", "park"),
        ("pub struct Thing<T: ?Sized>", "Thing"),
        (
            "impl<T: Into<A>> Thing<T>: pub fn new(t: T) -> Thing<T>",
            "Thing::new",
        ),
        (
            "impl<T> Thing<T>: pub const fn new(t: T) -> Thing<T>",
            "Thing::new",
        ),
        ("impl Plain: pub fn it<F>(f: F)", "Plain::it"),
        ("impl Plain: pub async fn it(&self)", "Plain::it"),
    ] {
        assert_eq!(item(head).as_deref(), Some(name));
    }
    assert_eq!(item("impl Drop for Thing"), None);
}

#[test]
fn the_tables_have_every_item_of_std_and_every_one_of_ours() {
    for (module, std) in STD {
        let table = table(module);
        let folder = sources::root().join(module);
        let mut ours = Vec::new();
        for (path, text) in sources::read() {
            if path.starts_with(&folder) {
                ours.extend(surface::public(&text).iter().filter_map(|head| item(head)));
            }
        }
        assert!(ours.len() > 10, "{module}: {ours:?}");
        let all = std.split_whitespace().map(str::to_owned).chain(ours);
        let lacking: Vec<_> = all
            .filter(|name| !table.contains(&format!("`{name}`")))
            .collect();
        assert!(
            lacking.is_empty(),
            "the table of `{module}` lacks {lacking:?}"
        );
    }
}
