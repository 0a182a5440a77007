//! Five programs that were written for threads, each under the `use` lines of std and under ours, which
//! are all that differs. Their outputs are the same.

use std::io;
use std::path::Path;

use crate::support::{folder, watched};

/// Includes a program twice. In the second list of `use` lines, `std` has become `switchback` where a
/// module is ours.
macro_rules! program {
    ($name:ident, $file:literal: { $($std:item)* } { $($ours:item)* }) => {
        mod $name {
            pub(super) mod with_std {
                $($std)*
                include!($file);
            }

            pub(super) mod with_ours {
                $($ours)*
                include!($file);
            }
        }
    };
}

program! { chat, "programs/chat.rs":
    {
        use std::collections::BTreeMap;
        use std::io::{self, BufRead, BufReader, Lines, Write};
        use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
        use std::sync::mpsc::{Sender, channel};
        use std::sync::{Arc, Mutex};
        use std::thread;
    }
    {
        use std::collections::BTreeMap;
        use std::io::{self, BufRead, BufReader, Lines, Write};
        use switchback::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
        use switchback::sync::mpsc::{Sender, channel};
        use switchback::sync::{Arc, Mutex};
        use switchback::thread;
    }
}

#[cfg(feature = "fs")]
program! { store, "programs/store.rs":
    {
        use std::collections::BTreeMap;
        use std::fmt;
        use std::fs::{self, File, OpenOptions};
        use std::io::{self, BufRead, BufReader, BufWriter, Write};
        use std::net::{SocketAddr, TcpListener, TcpStream};
        use std::path::Path;
        use std::sync::atomic::{AtomicUsize, Ordering};
        use std::sync::{Arc, Mutex, RwLock};
        use std::thread;
    }
    {
        use std::collections::BTreeMap;
        use std::fmt;
        use switchback::fs::{self, File, OpenOptions};
        use std::io::{self, BufRead, BufReader, BufWriter, Write};
        use switchback::net::{SocketAddr, TcpListener, TcpStream};
        use std::path::Path;
        use switchback::sync::atomic::{AtomicUsize, Ordering};
        use switchback::sync::{Arc, Mutex, RwLock};
        use switchback::thread;
    }
}

program! { scanner, "programs/scanner.rs":
    {
        use std::collections::VecDeque;
        use std::io::{self, Read, Write};
        use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
        use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        use std::sync::mpsc::{SyncSender, sync_channel};
        use std::sync::{Arc, Mutex};
        use std::thread;
        use std::time::Duration;
    }
    {
        use std::collections::VecDeque;
        use std::io::{self, Read, Write};
        use switchback::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
        use switchback::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        use switchback::sync::mpsc::{SyncSender, sync_channel};
        use switchback::sync::{Arc, Mutex};
        use switchback::thread;
        use std::time::Duration;
    }
}

program! { queue, "programs/queue.rs":
    {
        use std::collections::{BTreeMap, VecDeque};
        use std::sync::{Condvar, Mutex};
        use std::thread;
        use std::time::Duration;
    }
    {
        use std::collections::{BTreeMap, VecDeque};
        use switchback::sync::{Condvar, Mutex};
        use switchback::thread;
        use std::time::Duration;
    }
}

#[cfg(all(unix, feature = "fs", feature = "process"))]
program! { pipeline, "programs/pipeline.rs":
    {
        use std::fs::{self, File};
        use std::io::{self, BufRead, BufReader, Read, Write};
        use std::path::Path;
        use std::process::{Child, ChildStderr, Command, Stdio};
        use std::sync::mpsc::{Sender, channel};
        use std::thread;
        use std::time::{Duration, Instant};
    }
    {
        use switchback::fs::{self, File};
        use std::io::{self, BufRead, BufReader, Read, Write};
        use std::path::Path;
        use switchback::process::{Child, ChildStderr, Command, Stdio};
        use switchback::sync::mpsc::{Sender, channel};
        use switchback::thread;
        use std::time::{Duration, Instant};
    }
}

/// The line that `main` needs besides: its body runs in a hub.
fn in_hub<T: Send + 'static>(program: impl FnOnce() -> T + Send + 'static) -> T {
    watched(|| switchback::run(program).unwrap())
}

#[track_caller]
fn assert_same(with_std: io::Result<String>, with_ours: io::Result<String>) {
    let (with_std, with_ours) = (with_std.unwrap(), with_ours.unwrap());
    assert_eq!(with_ours, with_std);
    assert!(with_std.lines().count() > 8, "{with_std}");
}

/// Runs a program with a folder of its own.
#[allow(dead_code)] // without features
fn with_folder(
    name: &str,
    program: fn(&Path) -> io::Result<String>,
) -> impl FnOnce() -> io::Result<String> + Send + 'static {
    let folder = folder(name);
    move || program(folder.path())
}

#[test]
fn the_chat_server_is_ported() {
    assert_same(watched(chat::with_std::run), in_hub(chat::with_ours::run));
}

#[cfg(feature = "fs")]
#[test]
fn the_key_value_store_is_ported() {
    let with_std = with_folder("store-std", store::with_std::run);
    let with_ours = with_folder("store-ours", store::with_ours::run);
    assert_same(watched(with_std), in_hub(with_ours));
}

#[test]
fn the_port_scanner_is_ported() {
    assert_same(
        watched(scanner::with_std::run),
        in_hub(scanner::with_ours::run),
    );
}

#[test]
fn the_work_queue_is_ported() {
    assert_same(
        Ok(watched(queue::with_std::run)),
        Ok(in_hub(queue::with_ours::run)),
    );
}

#[cfg(all(unix, feature = "fs", feature = "process"))]
#[test]
fn the_pipeline_of_processes_is_ported() {
    let with_std = with_folder("pipeline-std", pipeline::with_std::run);
    let with_ours = with_folder("pipeline-ours", pipeline::with_ours::run);
    assert_same(watched(with_std), in_hub(with_ours));
}
