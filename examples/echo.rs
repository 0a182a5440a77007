//! A TCP echo server in blocking style: an accept loop in a fiber, and a fiber
//! per connection, over tokio's sockets.
//!
//! Run with: `cargo run --release --example echo`
//!
//! The clients are ordinary tokio tasks on the same runtime: 100 connections that send
//! 1,000 messages each and check every byte that comes back. The program prints what it
//! served and ends.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use switchback::{prelude::*, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 100;
const MESSAGES: usize = 1_000;
const SIZE: usize = 64;

/// Sends back what arrives until the peer has finished; returns the bytes served.
fn echo(mut stream: TcpStream) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let mut served = 0;
    loop {
        let n = stream.read(&mut buffer).wait()?;
        if n == 0 {
            return Ok(served);
        }
        stream.write_all(&buffer[..n]).wait()?;
        served += n;
    }
}

/// Serves as many connections as this program opens; returns the bytes served.
fn serve(listener: TcpListener) -> io::Result<usize> {
    let mut fibers = Vec::new();
    for _ in 0..CONNECTIONS {
        let (stream, _) = listener.accept().wait()?;
        stream.set_nodelay(true)?;
        fibers.push(spawn(move || echo(stream)));
    }
    let mut served = 0;
    for fiber in fibers {
        served += fiber.wait()??;
    }
    Ok(served)
}

/// Sends messages that no other client sends, and checks the replies.
async fn client(address: SocketAddr, number: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    for message in 0..MESSAGES {
        let sent: [u8; SIZE] = std::array::from_fn(|i| (number * 31 + message * 7 + i) as u8);
        let mut received = [0; SIZE];
        stream.write_all(&sent).await?;
        stream.read_exact(&mut received).await?;
        assert_eq!(received, sent, "client {number}, message {message}");
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let begin = Instant::now();

    let server = spawn(move || serve(listener));
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        clients.spawn(client(address, number));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let bytes = server.await??;

    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(bytes, CONNECTIONS * MESSAGES * SIZE);
    let messages = bytes / SIZE;
    let rate = messages as f64 / seconds;
    println!("{CONNECTIONS} connections, {messages} messages, {bytes} bytes");
    println!("{seconds:.2} s, {rate:.0} messages/s");
    Ok(())
}
