//! A synchronous WebSocket server with unmodified tungstenite: 2,000 clients at once on one
//! thread, compared with the same server with a thread for each client, and with
//! tokio-tungstenite.
//!
//! Run with: `cargo run --release -p libraries --example websocket`
//!
//! Each server runs in a process of its own, so that its memory can be measured. Its
//! clients, which are fibers with tungstenite too, run in another process. On a busy
//! machine, many threads get a larger share than one does; the processor time is still
//! comparable. To run a single server, or another size: `cargo run --release -p libraries
//! --example websocket -- fibers 2000 100`, with `threads` or `tokio` for the other servers,
//! the number of clients, and the messages of each.

mod client;
mod server;
mod usage;

use std::env;
use std::error::Error;
use std::process::{Command, Stdio};

use tungstenite::protocol::WebSocketConfig;

type Failed = Box<dyn Error + Send + Sync>;

const CLIENTS: usize = 2_000;
const MESSAGES: usize = 50;
const SIZE: usize = 128; // bytes in a message

/// Small buffers, as tungstenite's documentation advises for many clients.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4096)
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => compare(CLIENTS, MESSAGES),
        ["client", address, clients, messages] => {
            client::run(address.parse()?, clients.parse()?, messages.parse()?)
        }
        ["server", kind, clients, messages] => server::run(kind, clients, messages),
        [kind] => in_process(&["server", kind, &CLIENTS.to_string(), &MESSAGES.to_string()])
            .map(|out| print!("{out}")),
        [kind, clients, messages] => {
            in_process(&["server", kind, clients, messages]).map(|out| print!("{out}"))
        }
        _ => Err("arguments: [fibers|threads|tokio [CLIENTS MESSAGES]]".into()),
    }
}

/// Runs all three servers in turn, three times, and prints how they compare.
fn compare(clients: usize, messages: usize) -> Result<(), Failed> {
    println!("{clients} clients, {messages} messages of {SIZE} bytes each, every one checked");
    let (clients, messages) = (clients.to_string(), messages.to_string());
    let (mut threads, mut tokio) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut rates = Vec::new();
        for kind in ["fibers", "threads", "tokio"] {
            let out = in_process(&["server", kind, &clients, &messages])?;
            print!("{out}");
            let rate = out.split_whitespace().nth(1).unwrap_or_default();
            rates.push(rate.parse::<f64>()?);
        }
        threads.push(rates[0] / rates[1]);
        tokio.push(rates[0] / rates[2]);
    }
    let (threads, tokio) = (median(threads), median(tokio));
    println!("fibers: {threads:.2} times the threads' messages/s, {tokio:.2} times tokio's");
    Ok(())
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Runs this program with other arguments, and returns its output.
fn in_process(arguments: &[&str]) -> Result<String, Failed> {
    // Many systems allow a process 1,024 open files unless it asks for more.
    let more_files = r#"ulimit -n "$(ulimit -Hn)"; exec "$0" "$@""#;
    let child = Command::new("sh")
        .args(["-c", more_files])
        .arg(env::current_exe()?)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?} failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
