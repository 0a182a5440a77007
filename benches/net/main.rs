//! An echo server of 100 connections, for `ci/net.sh` to count its instructions per message: with
//! `switchback::net`, or with tokio's sockets and `.wait()`.
//!
//! Run with: `cargo bench --bench net -- WHICH ROUNDS`, where `WHICH` is `net` or `tokio`. In each
//! round, each connection carries one message. The clients are another process, which is not counted.

use std::env;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, ExitCode};

use switchback::{net, prelude::*, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONNECTIONS: usize = 100;
const SIZE: usize = 64;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments = env::args().skip(1).filter(|a| !a.starts_with("--"));
    let arguments: Vec<String> = arguments.collect();
    let result = match &arguments.iter().map(|a| &**a).collect::<Vec<_>>()[..] {
        [] => serve("net", "10").and_then(|()| serve("tokio", "10")),
        ["clients", address, rounds] => clients(address, rounds),
        [which, rounds] => serve(which, rounds),
        _ => Err(io::Error::other("expected WHICH ROUNDS")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a server in this process, and its clients in another.
fn serve(which: &str, rounds: &str) -> io::Result<()> {
    let (which, rounds) = (which.to_owned(), rounds.to_owned());
    switchback::run(move || match &*which {
        "net" => {
            let listener = net::TcpListener::bind("127.0.0.1:0")?;
            let mut clients = start_clients(listener.local_addr()?, &rounds)?;
            let mut fibers = Vec::new();
            for _ in 0..CONNECTIONS {
                let (stream, _) = listener.accept()?;
                fibers.push(spawn(move || echo_net(stream)));
            }
            for fiber in fibers {
                fiber.wait()??;
            }
            clients.wait().map(drop)
        }
        "tokio" => {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").wait()?;
            let mut clients = start_clients(listener.local_addr()?, &rounds)?;
            let mut fibers = Vec::new();
            for _ in 0..CONNECTIONS {
                let (stream, _) = listener.accept().wait()?;
                fibers.push(spawn(move || echo_tokio(stream)));
            }
            for fiber in fibers {
                fiber.wait()??;
            }
            clients.wait().map(drop)
        }
        _ => Err(io::Error::other(
            "there are servers with `net` and with `tokio`",
        )),
    })?
}

fn echo_net(mut stream: net::TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

fn echo_tokio(mut stream: tokio::net::TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).wait()? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).wait()?,
        }
    }
}

fn start_clients(address: SocketAddr, rounds: &str) -> io::Result<std::process::Child> {
    Command::new(env::current_exe()?)
        .args(["clients", &address.to_string(), rounds])
        .spawn()
}

/// Sends a message on each connection and reads the answers, `rounds` times.
fn clients(address: &str, rounds: &str) -> io::Result<()> {
    let rounds: usize = rounds.parse().map_err(io::Error::other)?;
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    for round in 0..rounds {
        let message = [round as u8; SIZE];
        for stream in &mut streams {
            stream.write_all(&message)?;
        }
        for stream in &mut streams {
            let mut answer = [0; SIZE];
            stream.read_exact(&mut answer)?;
            assert_eq!(answer, message);
        }
    }
    Ok(())
}
