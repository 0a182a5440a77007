//! The table of glue in the module `io`: what makes others' types ones for a `Blocking`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::Stdio;

use bytes::Bytes;
use futures::{StreamExt, stream};
use switchback::{io::Blocking, prelude::*, spawn};
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use tokio_util::io::StreamReader;

use crate::support::in_root_fiber;

#[test]
fn a_stream_of_chunks_is_read() {
    in_root_fiber(|| {
        let chunks = (0..100).map(|n| Ok(Bytes::from(format!("line {n}\n"))));
        let failure = Err(std::io::Error::from(ErrorKind::ConnectionReset));
        let stream = stream::iter(chunks.chain([failure])).then(async |chunk| {
            switchback::yield_now().await;
            chunk
        });
        let mut reader = Blocking::new(StreamReader::new(Box::pin(stream)));
        for n in 0..100 {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert_eq!(line, format!("line {n}\n"));
        }
        let error = reader.read_line(&mut String::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_stream_with_the_traits_of_futures_is_read_and_written() {
    in_root_fiber(|| {
        let (near, far) = tokio::io::duplex(16);
        // It stands for one that has only these traits.
        let futures_near = near.compat();
        let mut near = Blocking::new(FuturesAsyncReadCompatExt::compat(futures_near));
        let echo = spawn(move || {
            let (mut read, mut write) = Blocking::new(far).into_split();
            std::io::copy(&mut read.by_ref().take(1000), &mut write)
        });
        let writes = [7; 1000];
        let mut back = Vec::new();
        for chunk in writes.chunks(10) {
            near.write_all(chunk).unwrap();
            let mut read = [0; 10];
            near.read_exact(&mut read).unwrap();
            back.extend_from_slice(&read);
        }
        assert_eq!(back, writes);
        assert_eq!(echo.wait().unwrap().unwrap(), 1000);
    });
}

#[test]
fn a_socket_of_std_is_read_and_written() {
    in_root_fiber(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        let [mut near, mut far] = [near, far].map(|socket| {
            socket.set_nonblocking(true).unwrap();
            Blocking::new(tokio::net::TcpStream::from_std(socket).unwrap())
        });
        let reader = spawn(move || {
            let mut line = String::new();
            BufReader::new(&mut far).read_line(&mut line).unwrap();
            line
        });
        near.write_all(b"hello\n").unwrap();
        assert_eq!(reader.wait().unwrap(), "hello\n");
    });
}

#[test]
fn the_pipes_of_a_child_are_read_and_written() {
    in_root_fiber(|| {
        let mut child = tokio::process::Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = Blocking::new(child.stdin.take().unwrap());
        let mut stdout = Blocking::new(child.stdout.take().unwrap());
        let writer = spawn(move || stdin.write_all(&[7; 300_000]));
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).unwrap();
        writer.wait().unwrap().unwrap();
        assert!(all == [7; 300_000]);
        assert!(child.wait().wait().unwrap().success());
    });
}
