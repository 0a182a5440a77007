//! The tables of the modules in std's shape have every item of std's, and every one of ours.

use std::fs;

use crate::{sources, surface};

/// The stable items of std's modules, with the methods of their types, as of Rust 1.95.
const STD: [(&str, &str); 6] = [
    (
        "fs",
        "canonicalize copy create_dir create_dir_all exists hard_link metadata read read_dir \
         read_link read_to_string remove_dir remove_dir_all remove_file rename set_permissions \
         soft_link symlink_metadata write ReadDir File File::open File::create File::create_new \
         File::options File::sync_all File::sync_data File::set_len File::metadata \
         File::try_clone File::set_permissions File::set_times File::set_modified File::lock \
         File::lock_shared File::try_lock File::try_lock_shared File::unlock OpenOptions \
         OpenOptions::new OpenOptions::read OpenOptions::write OpenOptions::append \
         OpenOptions::truncate OpenOptions::create OpenOptions::create_new OpenOptions::open \
         DirBuilder DirBuilder::new DirBuilder::recursive DirBuilder::create DirEntry \
         DirEntry::path DirEntry::metadata DirEntry::file_type DirEntry::file_name",
    ),
    (
        "io",
        "Read Write BufRead Seek IsTerminal prelude BufReader BufWriter LineWriter IntoInnerError \
         WriterPanicked Bytes Chain Take Lines Split Cursor SeekFrom IoSlice IoSliceMut Error \
         ErrorKind Result Empty Repeat Sink PipeReader PipeWriter Stdin StdinLock Stdin::lock \
         Stdin::read_line Stdin::lines Stdout StdoutLock Stderr StderrLock copy empty pipe \
         read_to_string repeat sink stdin stdout stderr",
    ),
    (
        "net",
        "ToSocketAddrs ToSocketAddrs::to_socket_addrs ToSocketAddrs::Iter Incoming TcpStream \
         TcpStream::connect TcpStream::connect_timeout TcpStream::peer_addr \
         TcpStream::local_addr TcpStream::shutdown TcpStream::try_clone \
         TcpStream::set_read_timeout TcpStream::set_write_timeout TcpStream::read_timeout \
         TcpStream::write_timeout TcpStream::peek TcpStream::set_nodelay TcpStream::nodelay \
         TcpStream::set_ttl TcpStream::ttl TcpStream::take_error TcpStream::set_nonblocking \
         TcpListener TcpListener::bind TcpListener::local_addr TcpListener::try_clone \
         TcpListener::accept TcpListener::incoming TcpListener::set_ttl TcpListener::ttl \
         TcpListener::set_only_v6 TcpListener::only_v6 TcpListener::take_error \
         TcpListener::set_nonblocking UdpSocket UdpSocket::bind UdpSocket::recv_from \
         UdpSocket::peek_from UdpSocket::send_to UdpSocket::peer_addr UdpSocket::local_addr \
         UdpSocket::try_clone UdpSocket::set_read_timeout UdpSocket::set_write_timeout \
         UdpSocket::read_timeout UdpSocket::write_timeout UdpSocket::set_broadcast \
         UdpSocket::broadcast UdpSocket::set_multicast_loop_v4 UdpSocket::multicast_loop_v4 \
         UdpSocket::set_multicast_ttl_v4 UdpSocket::multicast_ttl_v4 \
         UdpSocket::set_multicast_loop_v6 UdpSocket::multicast_loop_v6 UdpSocket::set_ttl \
         UdpSocket::ttl UdpSocket::join_multicast_v4 UdpSocket::join_multicast_v6 \
         UdpSocket::leave_multicast_v4 UdpSocket::leave_multicast_v6 UdpSocket::take_error \
         UdpSocket::connect UdpSocket::send UdpSocket::recv UdpSocket::peek \
         UdpSocket::set_nonblocking UnixStream UnixStream::connect UnixStream::connect_addr \
         UnixStream::pair UnixStream::try_clone UnixStream::local_addr UnixStream::peer_addr \
         UnixStream::set_read_timeout UnixStream::set_write_timeout UnixStream::read_timeout \
         UnixStream::write_timeout UnixStream::set_nonblocking UnixStream::take_error \
         UnixStream::shutdown UnixListener UnixListener::bind UnixListener::bind_addr \
         UnixListener::accept UnixListener::try_clone UnixListener::local_addr \
         UnixListener::set_nonblocking UnixListener::take_error UnixListener::incoming \
         UnixDatagram UnixDatagram::bind UnixDatagram::bind_addr UnixDatagram::unbound \
         UnixDatagram::pair UnixDatagram::connect UnixDatagram::connect_addr \
         UnixDatagram::try_clone UnixDatagram::local_addr UnixDatagram::peer_addr \
         UnixDatagram::recv_from UnixDatagram::recv UnixDatagram::send_to \
         UnixDatagram::send_to_addr UnixDatagram::send UnixDatagram::set_read_timeout \
         UnixDatagram::set_write_timeout UnixDatagram::read_timeout UnixDatagram::write_timeout \
         UnixDatagram::set_nonblocking UnixDatagram::take_error UnixDatagram::shutdown",
    ),
    (
        "process",
        "ChildStdin ChildStdout ChildStderr Command Command::new Command::arg Command::args \
         Command::env Command::envs Command::env_remove Command::env_clear Command::current_dir \
         Command::stdin Command::stdout Command::stderr Command::spawn Command::output \
         Command::status Command::get_program Command::get_args Command::get_envs \
         Command::get_current_dir Child Child::kill Child::id Child::wait Child::try_wait \
         Child::wait_with_output",
    ),
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
         Condvar::notify_all WaitTimeoutResult WaitTimeoutResult::timed_out Barrier Barrier::new \
         Barrier::wait BarrierWaitResult BarrierWaitResult::is_leader Once Once::new \
         Once::call_once Once::call_once_force Once::is_completed Once::wait Once::wait_force \
         OnceState OnceState::is_poisoned ONCE_INIT OnceLock OnceLock::new OnceLock::get \
         OnceLock::get_mut OnceLock::set OnceLock::get_or_init OnceLock::into_inner \
         OnceLock::take OnceLock::wait LazyLock LazyLock::new LazyLock::force LazyLock::get \
         LazyLock::get_mut LazyLock::force_mut channel sync_channel \
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
    let of = of.replace("->", "");
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
        (
            "impl<F: FnOnce() -> T> Lazy<F>: pub fn it(&self)",
            "Lazy::it",
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
        // Types that a macro defines have their methods in one row, without the type.
        let in_row = |name: &String| match name.strip_prefix("$queue::") {
            Some(method) => format!("`{method}`"),
            None => format!("`{name}`"),
        };
        let lacking: Vec<_> = all
            .filter(|name| name != "$queue" && !table.contains(&in_row(name)))
            .collect();
        assert!(
            lacking.is_empty(),
            "the table of `{module}` lacks {lacking:?}"
        );
    }
}
