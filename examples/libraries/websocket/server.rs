//! The three servers. Each echoes what its clients send until they have gone.

use std::{io, net::SocketAddr, thread};

use futures::{SinkExt, StreamExt};
use switchback::{io::Blocking, prelude::*, spawn};
use tokio_tungstenite::accept_async_with_config;

use crate::{Failed, config, in_process, usage};

/// Runs a server and its clients. Prints their rate, and the memory of the server.
pub(crate) fn run(kind: &str, clients: &str, messages: &str) -> Result<(), Failed> {
    let number = clients.parse()?;
    let (clients, messages) = (clients.to_owned(), messages.to_owned());
    let start: Start = Box::new(move |address| {
        let address = address.to_string();
        thread::spawn(move || in_process(&["client", &address, &clients, &messages]))
    });
    let driver = match kind {
        "fibers" => switchback::run(move || fibers(number, start))?,
        "threads" => threads(number, start),
        "tokio" => tokio(number, start),
        _ => Err("there are servers with `fibers`, `threads` and `tokio`".into()),
    };
    let rate = driver?.join().expect("no panic there")?;
    let (rate, buffers) = (rate.trim(), number * config().read_buffer_size / 1024);
    let used = usage::used();
    println!("{kind:>7}: {rate} messages/s, {used} ({buffers} kB are tungstenite's buffers)");
    Ok(())
}

type Clients = thread::JoinHandle<Result<String, Failed>>;
/// Runs the clients of the server at an address.
type Start = Box<dyn FnOnce(SocketAddr) -> Clients>;

/// Plain synchronous code: tungstenite over any stream that reads and writes.
fn serve(stream: impl io::Read + io::Write) {
    let mut socket = tungstenite::accept_with_config(stream, Some(config())).expect("a handshake");
    loop {
        let message = socket.read().expect("a message");
        if message.is_close() {
            let _ = socket.flush(); // answers the close
            return;
        }
        socket.send(message).expect("the client reads");
    }
}

fn fibers(number: usize, start: Start) -> Result<Clients, Failed> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").wait()?;
    let clients = start(listener.local_addr()?);
    let mut fibers = Vec::new();
    for _ in 0..number {
        let (stream, _) = listener.accept().wait()?;
        fibers.push(spawn(move || serve(Blocking::new(stream))));
    }
    fibers.into_iter().try_for_each(|fiber| fiber.wait())?;
    Ok(clients)
}

fn threads(number: usize, start: Start) -> Result<Clients, Failed> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let clients = start(listener.local_addr()?);
    let mut threads = Vec::new();
    for _ in 0..number {
        let (stream, _) = listener.accept()?;
        threads.push(thread::spawn(move || serve(stream)));
    }
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    Ok(clients)
}

#[tokio::main(flavor = "current_thread")]
async fn tokio(number: usize, start: Start) -> Result<Clients, Failed> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let clients = start(listener.local_addr()?);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..number {
        let (stream, _) = listener.accept().await?;
        tasks.spawn(async move {
            let accepted = accept_async_with_config(stream, Some(config())).await;
            let mut socket = accepted.expect("a handshake");
            while let Some(message) = socket.next().await {
                let message = message.expect("a message");
                if message.is_close() {
                    let _ = socket.flush().await;
                    return;
                }
                socket.send(message).await.expect("the client reads");
            }
        });
    }
    tasks.join_all().await;
    Ok(clients)
}
