//! Fetches 100 mailboxes at once on one thread with imap, an unmodified synchronous client
//! that is generic over `Read + Write`.
//!
//! Run with: `cargo run --release -p libraries --example imap`
//!
//! Each client is a fiber. The mail server is a tokio task of the same program. The number
//! of messages in a mailbox is its user's number.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use switchback::{io::Blocking, prelude::*, spawn};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

type Failed = Box<dyn Error + Send + Sync>;

const USERS: usize = 100;

/// Plain synchronous code. Returns the subjects in a user's inbox.
fn subjects(stream: impl io::Read + io::Write, user: usize) -> imap::error::Result<Vec<String>> {
    let mut client = imap::Client::new(stream);
    client.read_greeting()?;
    let login = client.login(format!("user{user}"), "secret");
    let mut session = login.map_err(|(e, _)| e)?;
    let exists = session.select("INBOX")?.exists;
    let messages = session.fetch(format!("1:{exists}"), "RFC822.HEADER")?;
    let headers = messages.iter().filter_map(|message| message.header());
    let subjects = headers.map(|header| String::from_utf8_lossy(header).trim().to_owned());
    let subjects = subjects.collect();
    session.logout().map(|()| subjects)
}

/// A mail server with just the commands that the clients use.
async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let mut user = 0;
    stream.write_all(b"* OK ready\r\n").await?;
    loop {
        stream.flush().await?;
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let (tag, command) = line.trim().split_once(' ').unwrap_or_default();
        let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
        let mut answer = match command {
            "LOGIN" => {
                let digits = rest.chars().filter(char::is_ascii_digit);
                user = digits.collect::<String>().parse().unwrap_or_default();
                String::new()
            }
            "SELECT" => format!("* {user} EXISTS\r\n"),
            "FETCH" => (1..=user)
                .map(|n| {
                    let header = format!("Subject: {n} of {user}\r\n\r\n");
                    let length = header.len();
                    format!("* {n} FETCH (RFC822.HEADER {{{length}}}\r\n{header})\r\n")
                })
                .collect(),
            _ => "* BYE\r\n".to_owned(),
        };
        answer += &format!("{tag} OK {command} completed\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn fetch(address: SocketAddr, user: usize) -> Result<Vec<String>, Failed> {
    let stream = Blocking::new(TcpStream::connect(address).wait()?);
    Ok(subjects(stream, user)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });

    let begin = Instant::now();
    let fibers: Vec<_> = (1..=USERS)
        .map(|user| spawn(move || fetch(address, user)))
        .collect();
    let mut messages = 0;
    for (user, fiber) in (1..).zip(fibers) {
        let subjects = fiber.await??;
        assert_eq!(subjects.len(), user);
        assert_eq!(subjects[user - 1], format!("Subject: {user} of {user}"));
        messages += subjects.len();
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{USERS} mailboxes with {messages} messages fetched in {seconds:.2} s");
    Ok(())
}
