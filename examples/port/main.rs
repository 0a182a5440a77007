//! A server and its clients, written for threads, and the same source in fibers: only the `use` lines
//! differ.
//!
//! Run with: `cargo run --release --example port`
//!
//! `server.rs` is included twice. With the first `use` lines each connection has a thread, with the
//! second a fiber, and all fibers share one thread. The program prints what the clients were told,
//! which is the same both times.

/// With std: a thread for each connection.
mod with_threads {
    use std::io::{self, BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::thread;

    /// A thread cannot be cancelled.
    fn shield<T>(section: impl FnOnce() -> T) -> T {
        section()
    }

    include!("server.rs");
}

/// With the same modules of this crate: a fiber for each connection.
mod with_fibers {
    use std::io::{self, BufRead, BufReader, Write};
    use switchback::net::{SocketAddr, TcpListener, TcpStream};
    use switchback::shield;
    use switchback::sync::mpsc::{Sender, channel};
    use switchback::sync::{Arc, Mutex};
    use switchback::thread;

    include!("server.rs");
}

fn main() -> std::io::Result<()> {
    let threads = with_threads::serve_and_ask()?;
    let fibers = switchback::run(with_fibers::serve_and_ask)??;
    assert_eq!(threads, fibers);
    println!("{fibers}");
    println!("the same with threads and with fibers");
    Ok(())
}
