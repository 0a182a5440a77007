//! Rows `echo-N` and `echo-N-4k`: a TCP echo server with N connections and messages
//! of 64 bytes, or of 4 KiB.
//!
//! A sample's server runs until its last connection is closed. The clients run the same
//! code for every server, on their own runtime and thread. The clock is theirs, and starts
//! when each connection has carried a message.

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

/// The number of messages, over all connections, while the clock runs.
const MESSAGES: usize = 15_000;
const BUFFER: usize = 4096;
const ANY_PORT: &str = "127.0.0.1:0";

/// Tells the clients where the server listens.
type Listening = mpsc::Sender<SocketAddr>;

pub(crate) fn rows() -> [Row; 4] {
    [
        ("echo-100", 100, 64),
        ("echo-1000", 1_000, 64),
        ("echo-100-4k", 100, 4096),
        ("echo-1000-4k", 1_000, 4096),
    ]
    .map(|(name, connections, size)| row(name, Load { connections, size }))
}

fn row(name: &str, load: Load) -> Row {
    let sample = |server: Server| move || load.messages_per_second(server);
    Row::new(name, Unit::PerSecond("messages"))
        // Starting a thousand threads and connections takes longer than the rest.
        .rounds(if load.connections < 1_000 { 15 } else { 5 })
        .column(Column::Switchback, sample(fibers))
        .column(Column::TokioTasks, sample(tasks))
        .column(Column::May, sample(coroutines))
        .column(Column::SpawnBlocking, sample(blocking))
        .column(Column::Threads, sample(threads))
}

/// Serves a number of connections until all of them are closed.
type Server = fn(usize, Listening);

/// The load on a server.
#[derive(Clone, Copy, Debug)]
struct Load {
    connections: usize,
    /// Bytes per message.
    size: usize,
}

impl Load {
    fn messages_per_second(self, server: Server) -> f64 {
        let (listening, address) = mpsc::channel();
        let clients = thread::spawn(move || {
            let address = address.recv().expect("the server listens");
            on_runtime(self.clients(address))
        });
        server(self.connections, listening);
        clients.join().expect("the clients do not panic")
    }

    /// Returns how many messages per second all clients together got back.
    async fn clients(self, address: SocketAddr) -> f64 {
        let mut connected = Vec::new();
        // Connect one after the other, because a listener's queue is short, and a refused
        // client retries only after a second.
        for number in 0..self.connections {
            let stream = tokio::net::TcpStream::connect(address).await;
            let stream = stream.expect("the server accepts");
            stream.set_nodelay(true).expect("the stream is open");
            let mut client = Client {
                stream,
                sent: vec![number as u8; self.size],
                received: vec![0; self.size],
            };
            client.exchange(1).await;
            connected.push(client);
        }

        let messages = MESSAGES / self.connections;
        let begin = Instant::now();
        let mut clients = JoinSet::new();
        for mut client in connected {
            clients.spawn(async move {
                client.exchange(messages).await;
                client
            });
        }
        let done = clients.join_all().await;
        let seconds = begin.elapsed().as_secs_f64();
        drop(done);
        (self.connections * messages) as f64 / seconds
    }
}

struct Client {
    stream: tokio::net::TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Client {
    async fn exchange(&mut self, messages: usize) {
        for n in 0..messages {
            self.sent[0] = n as u8;
            let written = self.stream.write_all(&self.sent).await;
            written.expect("the server reads");
            let read = self.stream.read_exact(&mut self.received).await;
            read.expect("the server answers");
            assert_eq!(self.sent, self.received);
        }
    }
}

fn fibers(connections: usize, listening: Listening) {
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
        let served: Vec<_> = (0..connections).map(accept).collect();
        for mut connection in served {
            connection.join().wait().expect("no fiber panics");
        }
    });
}

fn tasks(connections: usize, listening: Listening) {
    in_task(async move {
        let listener = listen(listening).await;
        let mut served = Vec::new();
        for _ in 0..connections {
            let stream = accept(&listener).await;
            served.push(spawn_local(serve(stream)));
        }
        for connection in served {
            connection.await.expect("no task panics");
        }
    });
}

fn blocking(connections: usize, listening: Listening) {
    in_task(async move {
        let listener = listen(listening).await;
        let mut served = Vec::new();
        for _ in 0..connections {
            let stream = accept(&listener).await;
            let runtime = Handle::current();
            served.push(spawn_blocking(move || runtime.block_on(serve(stream))));
        }
        for connection in served {
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

fn coroutines(connections: usize, listening: Listening) {
    in_coroutine(move || {
        let listener = may::net::TcpListener::bind(ANY_PORT).expect("a port is free");
        listening.send(listener.local_addr().unwrap()).unwrap();
        let accept = |_| {
            let (stream, _) = listener.accept().expect("a client connects");
            stream.set_nodelay(true).expect("the stream is open");
            may::go!(move || serve_blocking(stream))
        };
        let served: Vec<_> = (0..connections).map(accept).collect();
        for connection in served {
            connection.join().expect("no coroutine panics");
        }
    });
}

fn threads(connections: usize, listening: Listening) {
    let listener = std::net::TcpListener::bind(ANY_PORT).expect("a port is free");
    listening.send(listener.local_addr().unwrap()).unwrap();
    let accept = |_| {
        let (stream, _) = listener.accept().expect("a client connects");
        stream.set_nodelay(true).expect("the stream is open");
        thread::spawn(move || serve_blocking(stream))
    };
    let served: Vec<_> = (0..connections).map(accept).collect();
    for connection in served {
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
