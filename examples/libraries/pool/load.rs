//! The clients: they send requests, check the answers and measure the time.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const CLIENTS: usize = 200;
const REQUESTS: usize = 20;

/// Runs all clients at once and prints the figures.
pub(crate) async fn run(server: SocketAddr) -> io::Result<()> {
    let begin = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(run_client(server, client)))
        .collect();
    let mut slowest = 0.0_f64;
    for client in clients {
        slowest = slowest.max(client.await??);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let requests = CLIENTS * REQUESTS;
    println!("{requests} requests of {CLIENTS} clients, each of which waits for 4 answers");
    println!("{:.0} requests per second", requests as f64 / seconds);
    println!("the slowest took {:.1} ms", slowest * 1e3);
    Ok(())
}

/// Sends requests one after the other on one connection. Returns the longest time that one
/// took.
async fn run_client(server: SocketAddr, client: usize) -> io::Result<f64> {
    let mut stream = BufReader::new(TcpStream::connect(server).await?);
    let mut slowest = 0.0_f64;
    for request in 0..REQUESTS {
        // The lengths of the names.
        let (a, b, c, d) = (client % 7 + 1, request + 1, 3, client % 5 + 2);
        let name = |length| "x".repeat(length);
        let body = format!("( {} + {} ) * {} + {}", name(a), name(b), name(c), name(d));
        let begin = Instant::now();
        let (status, answer) = post(&mut stream, &body).await?;
        slowest = slowest.max(begin.elapsed().as_secs_f64());
        assert_eq!(
            (status.as_str(), answer),
            ("200", ((a + b) * c + d).to_string())
        );
    }
    Ok(slowest)
}

/// An HTTP client with just the parts that this program needs.
async fn post(stream: &mut BufReader<TcpStream>, body: &str) -> io::Result<(String, String)> {
    let length = body.len();
    let request =
        format!("POST / HTTP/1.1\r\nhost: pool\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let (mut status, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(' ') {
            Some((word, rest)) if word.starts_with("HTTP/") => {
                status = rest.split(' ').next().unwrap_or_default().to_owned();
            }
            Some(("content-length:", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(_) => {}
            None => break,
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok((status, String::from_utf8_lossy(&answer).into_owned()))
}
