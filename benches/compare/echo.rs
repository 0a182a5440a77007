//! Row `echo-100`: a TCP echo server with 100 connections and messages of 64
//! bytes.
//!
//! A sample's server runs until its last connection has been closed. The clients
//! are the same code for all, on a runtime and a thread of their own; the clock
//! is theirs, and starts when each connection has carried a message.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use switchback::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking, spawn_local};

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_coroutine, in_fiber, in_task, on_runtime};

const CONNECTIONS: usize = 100;
/// Messages per connection while the clock runs.
const MESSAGES: usize = 150;
const SIZE: usize = 64;
const BUFFER: usize = 1024;
const ANY_PORT: &str = "127.0.0.1:0";

/// Tells the clients where the server listens.
type Listening = mpsc::Sender<SocketAddr>;

pub(crate) fn row() -> Row {
    Row::new("echo-100", Unit::PerSecond("messages"))
        .column(Column::Switchback, || messages_per_second(fibers))
        .column(Column::TokioTasks, || messages_per_second(tasks))
        .column(Column::May, || messages_per_second(coroutines))
        .column(Column::SpawnBlocking, || messages_per_second(blocking))
        .column(Column::Threads, || messages_per_second(threads))
}

fn messages_per_second(server: fn(Listening)) -> f64 {
    let (listening, address) = mpsc::channel();
    let clients = thread::spawn(move || {
        let address = address.recv().expect("the server listens");
        on_runtime(clients(address))
    });
    server(listening);
    clients.join().expect("the clients do not panic")
}

/// Returns how many messages a second all clients together got back.
async fn clients(address: SocketAddr) -> f64 {
    let mut streams = JoinSet::new();
    for number in 0..CONNECTIONS {
        streams.spawn(async move {
            let connected = tokio::net::TcpStream::connect(address).await;
            let stream = connected.expect("the server accepts");
            stream.set_nodelay(true).expect("the stream is open");
            exchange(stream, number as u8, 1).await
        });
    }
    let streams = streams.join_all().await;

    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for (number, stream) in streams.into_iter().enumerate() {
        clients.spawn(exchange(stream, number as u8, MESSAGES));
    }
    let streams = clients.join_all().await;
    let seconds = begin.elapsed().as_secs_f64();
    drop(streams);
    (CONNECTIONS * MESSAGES) as f64 / seconds
}

async fn exchange(
    mut stream: tokio::net::TcpStream,
    byte: u8,
    messages: usize,
) -> tokio::net::TcpStream {
    for n in 0..messages {
        let sent = [byte ^ n as u8; SIZE];
        let mut received = [0; SIZE];
        let written = stream.write_all(&sent).await;
        written.expect("the server reads");
        let read = stream.read_exact(&mut received).await;
        read.expect("the server answers");
        assert_eq!(sent, received);
    }
    stream
}

fn fibers(listening: Listening) {
    in_fiber(move || {
        let bound = tokio::net::TcpListener::bind(ANY_PORT).wait();
        let listener = bound.expect("a port is free");
        listening.send(listener.local_addr().unwrap()).unwrap();
        let accept = |_| {
            let (mut stream, _) = listener.accept().wait().expect("a client connects");
            stream.set_nodelay(true).expect("the stream is open");
            switchback::spawn(move || {
                let mut buffer = [0; BUFFER];
                loop {
                    let n = stream.read(&mut buffer).wait().expect("it can be read");
                    if n == 0 {
                        break;
                    }
                    let written = stream.write_all(&buffer[..n]).wait();
                    written.expect("it can be written");
                }
            })
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(accept).collect();
        for mut connection in connections {
            connection.join().wait().expect("no fiber panics");
        }
    });
}

fn tasks(listening: Listening) {
    in_task(async move {
        let listener = listen(listening).await;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = accept(&listener).await;
            connections.push(spawn_local(serve(stream)));
        }
        for connection in connections {
            connection.await.expect("no task panics");
        }
    });
}

fn blocking(listening: Listening) {
    in_task(async move {
        let listener = listen(listening).await;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = accept(&listener).await;
            let runtime = Handle::current();
            connections.push(spawn_blocking(move || runtime.block_on(serve(stream))));
        }
        for connection in connections {
            connection.await.expect("no closure panics");
        }
    });
}

async fn listen(listening: Listening) -> tokio::net::TcpListener {
    let bound = tokio::net::TcpListener::bind(ANY_PORT).await;
    let listener = bound.expect("a port is free");
    listening.send(listener.local_addr().unwrap()).unwrap();
    listener
}

async fn accept(listener: &tokio::net::TcpListener) -> tokio::net::TcpStream {
    let (stream, _) = listener.accept().await.expect("a client connects");
    stream.set_nodelay(true).expect("the stream is open");
    stream
}

async fn serve(mut stream: tokio::net::TcpStream) {
    let mut buffer = [0; BUFFER];
    loop {
        let n = stream.read(&mut buffer).await.expect("it can be read");
        if n == 0 {
            break;
        }
        let written = stream.write_all(&buffer[..n]).await;
        written.expect("it can be written");
    }
}

fn coroutines(listening: Listening) {
    in_coroutine(move || {
        let listener = may::net::TcpListener::bind(ANY_PORT).expect("a port is free");
        listening.send(listener.local_addr().unwrap()).unwrap();
        let accept = |_| {
            let (stream, _) = listener.accept().expect("a client connects");
            stream.set_nodelay(true).expect("the stream is open");
            may::go!(move || serve_blocking(stream))
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(accept).collect();
        for connection in connections {
            connection.join().expect("no coroutine panics");
        }
    });
}

fn threads(listening: Listening) {
    let listener = std::net::TcpListener::bind(ANY_PORT).expect("a port is free");
    listening.send(listener.local_addr().unwrap()).unwrap();
    let accept = |_| {
        let (stream, _) = listener.accept().expect("a client connects");
        stream.set_nodelay(true).expect("the stream is open");
        thread::spawn(move || serve_blocking(stream))
    };
    let connections: Vec<_> = (0..CONNECTIONS).map(accept).collect();
    for connection in connections {
        connection.join().expect("no thread panics");
    }
}

fn serve_blocking(mut stream: impl Read + Write) {
    let mut buffer = [0; BUFFER];
    loop {
        let n = stream.read(&mut buffer).expect("it can be read");
        if n == 0 {
            break;
        }
        let written = stream.write_all(&buffer[..n]);
        written.expect("it can be written");
    }
}
