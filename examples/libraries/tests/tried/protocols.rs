//! Protocols, and pools of connections.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use switchback::{HubPool, blocking, io::Blocking, prelude::*, spawn};
use tokio::io::duplex;

use crate::support::{in_root_fiber, multi_thread_runtime, watched};
use crate::through::{Seen, reads, text, writes};

/// Reads until the head of a message is complete.
fn parse_head(from: &mut dyn Read) -> Seen<Vec<(String, String)>> {
    let (mut bytes, mut buf) = (Vec::new(), [0; 64]);
    loop {
        let count = from.read(&mut buf).map_err(text)?;
        if count == 0 {
            return Err("it is cut off".to_owned());
        }
        bytes.extend_from_slice(&buf[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        if request.parse(&bytes).map_err(text)?.is_complete() {
            let header = |header: &httparse::Header<'_>| {
                let value = String::from_utf8_lossy(header.value).into_owned();
                (header.name.to_owned(), value)
            };
            return Ok(request.headers.iter().map(header).collect());
        }
    }
}

#[test]
fn httparse() {
    let mut request = b"GET / HTTP/1.1\r\n".to_vec();
    for n in 0..50 {
        write!(request, "header-{n}: {}\r\n", "value".repeat(n)).unwrap();
    }
    request.extend_from_slice(b"\r\n");
    reads(request, parse_head);
}

/// The messages of a server, as far as a client reads them.
fn answers(from: &mut dyn Read) -> Seen<Vec<String>> {
    let (mut bytes, mut buf, mut seen) = (BytesMut::new(), [0; 64], Vec::new());
    loop {
        match Message::parse(&mut bytes).map_err(text)? {
            Some(Message::AuthenticationOk) => seen.push("authenticated".to_owned()),
            Some(Message::ParameterStatus(status)) => {
                let name = status.name().map_err(text)?;
                seen.push(format!("{name}={}", status.value().map_err(text)?));
            }
            Some(Message::ReadyForQuery(_)) => return Ok(seen),
            Some(_) => return Err("it was not asked for".to_owned()),
            None => match from.read(&mut buf).map_err(text)? {
                0 => return Err("it is cut off".to_owned()),
                count => bytes.extend_from_slice(&buf[..count]),
            },
        }
    }
}

#[test]
fn postgres_protocol() {
    let mut session = vec![b'R', 0, 0, 0, 8, 0, 0, 0, 0];
    for n in 0..50 {
        let status = format!("name-{n}\0{}\0", "value".repeat(n));
        session.push(b'S');
        session.extend_from_slice(&(4 + status.len() as u32).to_be_bytes());
        session.extend_from_slice(status.as_bytes());
    }
    session.extend_from_slice(&[b'Z', 0, 0, 0, 5, b'I']);
    reads(session, answers);
    writes(|out| {
        let mut bytes = BytesMut::new();
        frontend::startup_message([("user", "ann")], &mut bytes).map_err(text)?;
        frontend::query(&"select 1; ".repeat(1000), &mut bytes).map_err(text)?;
        out.write_all(&bytes).map_err(text)
    });
}

/// What a pool of r2d2 keeps.
struct Manager(AtomicUsize);

impl r2d2::ManageConnection for Manager {
    type Connection = usize;
    type Error = io::Error;

    fn connect(&self) -> io::Result<usize> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn is_valid(&self, _: &mut usize) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut usize) -> bool {
        false
    }
}

/// Its `get` blocks the thread when the pool is empty, so it goes to a thread that may block; the
/// connection is used, and given back, in the fiber.
#[test]
fn r2d2() {
    watched(|| {
        let hubs = Arc::new(HubPool::new(1).unwrap());
        let manager = Manager(AtomicUsize::new(0));
        let pool = r2d2::Pool::builder().max_size(3).build(manager).unwrap();
        multi_thread_runtime().block_on(async {
            let calls: Vec<_> = (0..50)
                .map(|_| {
                    let pool = pool.clone();
                    hubs.call(move || {
                        let connection = blocking(move || pool.get().unwrap()).wait();
                        switchback::yield_now().wait();
                        *connection
                    })
                })
                .collect();
            for call in calls {
                assert!(call.await.unwrap() < 3);
            }
        });
    });
}

/// `hyper` gives the connection away after an upgrade; the synchronous protocol goes on in a fiber.
#[test]
fn hyper_upgrade() {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use hyper_util::rt::TokioIo;

    in_root_fiber(|| {
        let (near, far) = duplex(64);
        spawn(move || {
            let service = hyper::service::service_fn(async |mut request: Request<_>| {
                spawn(move || {
                    let upgraded = hyper::upgrade::on(&mut request).wait().unwrap();
                    let mut stream = Blocking::new(TokioIo::new(upgraded));
                    let mut name = [0; 3];
                    stream.read_exact(&mut name).unwrap();
                    stream.write_all(b"hello, ").unwrap();
                    stream.write_all(&name).unwrap();
                    stream.shutdown_write().unwrap();
                });
                let response = hyper::Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header("connection", "upgrade")
                    .header("upgrade", "hello");
                response.body(Body::empty())
            });
            let server = hyper::server::conn::http1::Builder::new();
            let served = server.serve_connection(TokioIo::new(near), service);
            served.with_upgrades().wait().unwrap();
        });
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(far));
        let (mut sender, connection) = handshake.wait().unwrap();
        spawn(move || connection.with_upgrades().wait().unwrap());
        let request = Request::get("/")
            .header("host", "test")
            .header("connection", "upgrade")
            .header("upgrade", "hello")
            .body(Body::empty())
            .unwrap();
        let mut response = sender.send_request(request).wait().unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(&mut response).wait().unwrap();
        let mut stream = Blocking::new(TokioIo::new(upgraded));
        stream.write_all(b"Ann").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello, Ann");
    });
}
