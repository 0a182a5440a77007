//! The clients, which also use tungstenite in fibers.

use std::net::SocketAddr;
use std::time::Instant;

use switchback::{Fiber, io::Blocking, prelude::*, spawn};
use tokio::net::TcpStream;
use tungstenite::client::client_with_config;
use tungstenite::{Message, WebSocket};

use crate::{Failed, SIZE, config};

type Socket = WebSocket<Blocking<TcpStream>>;

/// Runs all clients and prints their messages per second.
pub(crate) fn run(address: SocketAddr, clients: usize, messages: usize) -> Result<(), Failed> {
    switchback::run(move || {
        let mut sockets = Vec::new();
        for number in 0..clients {
            let mut socket = connect(address)?;
            exchange(&mut socket, number, 0)?; // before the clock starts
            sockets.push(socket);
        }

        let begin = Instant::now();
        let exchanged = sockets.into_iter().enumerate().map(|(number, mut socket)| {
            spawn(move || {
                for n in 1..=messages {
                    exchange(&mut socket, number, n)?;
                }
                Ok(socket)
            })
        });
        let sockets = all(exchanged)?;
        let seconds = begin.elapsed().as_secs_f64();

        all(sockets
            .into_iter()
            .map(|socket| spawn(move || close(socket))))?;
        println!("{:.0}", (clients * messages) as f64 / seconds);
        Ok(())
    })?
}

fn all<T>(fibers: impl Iterator<Item = Fiber<Result<T, Failed>>>) -> Result<Vec<T>, Failed> {
    let fibers: Vec<_> = fibers.collect();
    fibers.into_iter().map(|fiber| fiber.wait()?).collect()
}

fn connect(address: SocketAddr) -> Result<Socket, Failed> {
    let stream = TcpStream::connect(address).wait()?;
    stream.set_nodelay(true)?;
    let url = format!("ws://{address}/");
    let connected = client_with_config(url, Blocking::new(stream), Some(config()));
    Ok(connected.map_err(|e| e.to_string())?.0)
}

/// Sends a message that no other client sends, and checks what comes back.
fn exchange(socket: &mut Socket, number: usize, n: usize) -> Result<(), Failed> {
    let bytes: Vec<u8> = (0..SIZE).map(|i| (number * 31 + n * 7 + i) as u8).collect();
    socket.send(Message::binary(bytes.clone()))?;
    match socket.read()? {
        Message::Binary(back) if back == bytes => Ok(()),
        other => Err(format!("client {number}, message {n}: {other:?}").into()),
    }
}

fn close(mut socket: Socket) -> Result<(), Failed> {
    socket.close(None)?;
    while socket.read().is_ok() {}
    Ok(())
}
