//! Calls of a pool in a handler, for clients that hang up.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::routing::post;
use futures::StreamExt;
use http_body_util::BodyExt;
use switchback::{HubPool, io::Blocking, prelude::*, sleep, yield_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::client::{live_fibers, serving};
use crate::support::Drops;
use crate::support::ending::Count;

/// How many requests are made; `SWITCHBACK_REQUESTS` says another number.
fn requests() -> usize {
    let number = std::env::var("SWITCHBACK_REQUESTS").ok();
    number.map_or(10_000, |number| number.parse().unwrap())
}

/// Numbers that look random, and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn head(path: &str, body: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {body}\r\n\r\n")
}

/// What a request does to its fiber: it waits so often, and then gives an answer or waits for ever.
#[derive(Clone, Copy)]
enum Asks {
    Answer(u64),
    Nothing(u64),
}

#[test]
fn requests_whose_clients_hang_up_leave_no_fibers() {
    let (begun, drops) = (Count::new(), Drops::new());
    let answered = Count::new();
    let handler = {
        let (begun, drops) = (begun.clone(), drops.clone());
        async move |State(pool): State<Arc<HubPool>>,
                    Path((waits, is_answered)): Path<(u64, bool)>,
                    body: String| {
            let token = drops.token();
            begun.add();
            let called = pool.call(move || {
                let _token = token;
                for n in 0..waits {
                    match n % 4 {
                        0 => sleep(Duration::from_millis(1)).wait(),
                        _ => yield_now().wait(),
                    }
                }
                if !is_answered {
                    pending::<()>().wait();
                }
                body
            });
            called.await.unwrap()
        }
    };
    let seen = answered.clone();
    let route = move |pool| {
        let route = Router::new().route("/{waits}/{is_answered}", post(handler));
        route.with_state(pool)
    };
    serving(route, async move |server, pool| {
        let at_once = Arc::new(Semaphore::new(200));
        let mut clients = JoinSet::new();
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for _ in 0..requests() {
            let turn = at_once.clone().acquire_owned().await.unwrap();
            let asks = match random.below(4) {
                0 => Asks::Nothing(random.below(16)),
                _ => Asks::Answer(random.below(16)),
            };
            let patience = Duration::from_micros(random.below(8_000));
            let answered = answered.clone();
            clients.spawn(async move {
                let _turn = turn;
                let mut stream = TcpStream::connect(server).await.unwrap();
                let path = match asks {
                    Asks::Answer(waits) => format!("/{waits}/true"),
                    Asks::Nothing(waits) => format!("/{waits}/false"),
                };
                let request = head(&path, 5) + "hello";
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = vec![0; 12];
                let read = stream.read_exact(&mut answer);
                if let Ok(read) = tokio::time::timeout(patience, read).await {
                    read.unwrap();
                    assert_eq!(answer, b"HTTP/1.1 200");
                    assert!(matches!(asks, Asks::Answer(_)));
                    answered.add();
                }
            });
            while clients.try_join_next().is_some_and(|client| client.is_ok()) {}
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        while live_fibers(&pool) > 0 || drops.count() < begun.get() {
            tokio::task::yield_now().await;
        }
        assert_eq!(drops.count(), begun.get());
        // Some came to their end, and some did not.
        assert!((1..begun.get()).contains(&seen.get()));
    });
}

/// Sends `request`, and waits until its fiber has begun.
async fn begin(server: std::net::SocketAddr, pool: &HubPool, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    while live_fibers(pool) == 0 {
        tokio::task::yield_now().await;
    }
    stream
}

/// A client that shuts down its side after the request waits for the answer, says TCP. Hyper takes it
/// for one that has hung up.
#[test]
fn a_half_close_counts_as_a_hang_up() {
    let drops = Drops::new();
    let handler = {
        let drops = drops.clone();
        async move |State(pool): State<Arc<HubPool>>, _body: String| {
            let token = drops.token();
            let called = pool.call(move || {
                let _token = token;
                pending::<()>().wait();
            });
            called.await.unwrap();
        }
    };
    let route = move |pool| Router::new().route("/", post(handler)).with_state(pool);
    serving(route, async move |server, pool| {
        let request = head("/", 5) + "hello";
        let mut stream = begin(server, &pool, &request).await;
        stream.shutdown().await.unwrap();
        while drops.count() == 0 {
            tokio::task::yield_now().await;
        }
        // There is no answer.
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    });
}

/// While the body of the request is unread, hyper does not look whether the client is there. The
/// fiber goes on, until it reads the body and is told so.
#[test]
fn post_unread_body_hangup() {
    let drops = Drops::new();
    let (go, gone) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let once = Arc::new(std::sync::Mutex::new(Some((gone, tell))));
    let handler = {
        let drops = drops.clone();
        async move |State(pool): State<Arc<HubPool>>, request: Request<Body>| {
            let token = drops.token();
            let (gone, tell) = once.lock().unwrap().take().unwrap();
            let called = pool.call(move || {
                let _token = token;
                gone.wait().unwrap();
                let body = request.into_body().into_data_stream();
                let body = body.map(|chunk| chunk.map_err(std::io::Error::other));
                let body = tokio_util::io::StreamReader::new(Box::pin(body));
                let read = std::io::Read::read_to_end(&mut Blocking::new(body), &mut Vec::new());
                tell.send(read.is_err()).unwrap();
            });
            called.await.unwrap();
        }
    };
    let route = move |pool| Router::new().route("/", post(handler)).with_state(pool);
    serving(route, async move |server, pool| {
        let request = head("/", 100) + "some of the body";
        drop(begin(server, &pool, &request).await);
        // Long enough for a server that would look; whether it did, no machine is too slow for this.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((drops.count(), live_fibers(&pool)), (0, 1));
        go.send(()).unwrap();
        assert!(told.await.unwrap(), "the body is an error");
        while drops.count() == 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// A body that was sent is seen to end, with the connection, once it is being read.
#[test]
fn a_client_that_hangs_up_while_it_reads_ends_what_it_reads() {
    let drops = Drops::new();
    let handler = {
        let drops = drops.clone();
        async move |State(pool): State<Arc<HubPool>>, body: Body| {
            body.collect().await.unwrap();
            let token = drops.token();
            let output = pool.output(move |out| {
                let _token = token;
                out.write_all(b"begun")?;
                out.flush()?;
                pending().wait()
            });
            Body::from_stream(tokio_util::io::ReaderStream::new(output))
        }
    };
    let route = move |pool| Router::new().route("/", post(handler)).with_state(pool);
    serving(route, async move |server, pool| {
        let request = head("/", 5) + "hello";
        let mut stream = begin(server, &pool, &request).await;
        let mut answer = String::new();
        while !answer.contains("begun") {
            let mut buf = [0; 100];
            let count = stream.read(&mut buf).await.unwrap();
            answer.push_str(std::str::from_utf8(&buf[..count]).unwrap());
        }
        drop(stream);
        while drops.count() == 0 {
            tokio::task::yield_now().await;
        }
    });
}
