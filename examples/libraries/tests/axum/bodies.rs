//! Bodies that synchronous libraries make and take, in fibers of a pool.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use futures::{StreamExt, TryStreamExt};
use switchback::{HubPool, yield_now};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::client::{self, in_chunks, live_fibers, read, send, serving};
use crate::makers::{Ends, MAKERS, content, gzip_reader, made, maker};
use crate::support::Drops;

const AT_ONCE: usize = 200;

type Pool = State<Arc<HubPool>>;

/// What a maker writes.
async fn written(
    State(pool): Pool,
    Path((kind, seed, ends)): Path<(String, usize, String)>,
) -> Body {
    let (make, ends) = (maker(&kind), Ends::parse(&ends));
    let output = pool.output(move |out| make(out, seed, ends));
    Body::from_stream(ReaderStream::new(output))
}

/// What an encoder is read for.
async fn encoded(State(pool): Pool, Path((seed, ends)): Path<(usize, String)>) -> Body {
    let ends = Ends::parse(&ends);
    let reader = pool.reader(move || gzip_reader(seed, ends));
    Body::from_stream(ReaderStream::new(reader))
}

/// The items of an iterator, as lines.
async fn listed(State(pool): Pool, Path((count, ends)): Path<(u32, String)>) -> Body {
    let ends = Ends::parse(&ends);
    let lines = pool.iter(move || {
        (0..count).map(move |n| {
            if n % 100 == 0 {
                yield_now().wait();
            }
            match ends {
                Ends::Well => Bytes::from(format!("line {n}\n")),
                _ if n < count / 2 => Bytes::from(format!("line {n}\n")),
                _ => panic!("half way"),
            }
        })
    });
    Body::from_stream(lines)
}

/// Decodes the body of the request, and returns what it has decoded.
async fn decoded(State(pool): Pool, request: Request<Body>) -> Response {
    let (tell, told) = oneshot::channel();
    let mut decoder = pool.writer(
        || GzDecoder::new(Vec::new()),
        move |decoder| {
            let _ = tell.send(decoder.finish()?);
            Ok(())
        },
    );
    let body = request.into_body().into_data_stream();
    let mut body = StreamReader::new(body.map_err(io::Error::other));
    let taken = async {
        tokio::io::copy_buf(&mut body, &mut decoder).await?;
        decoder.shutdown().await
    };
    match taken.await {
        Ok(()) => told.await.unwrap().into_response(),
        Err(e) => (StatusCode::BAD_REQUEST, e.to_string()).into_response(),
    }
}

fn router(pool: Arc<HubPool>) -> Router {
    Router::new()
        .route("/written/{kind}/{seed}/{ends}", get(written))
        .route("/encoded/{seed}/{ends}", get(encoded))
        .route("/listed/{count}/{ends}", get(listed))
        .route("/decoded", post(decoded))
        .with_state(pool)
}

fn lines(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("line {n}\n").into_bytes())
        .collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every kind of body, by its path, and what it has to be.
fn every_body(ends: Ends, seed: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (kind, make) in MAKERS {
        all.push((format!("/written/{kind}/{seed}/{ends:?}"), made(make, seed)));
    }
    all.push((format!("/encoded/{seed}/{ends:?}"), made(maker("gz"), seed)));
    let count = 2000 + seed as u32;
    all.push((format!("/listed/{count}/{ends:?}"), lines(count)));
    all
}

#[test]
fn every_byte_of_200_bodies_at_once_is_there() {
    serving(router, async |server, _| {
        let mut clients = JoinSet::new();
        let bodies = (0..).flat_map(|seed| every_body(Ends::Well, seed));
        for (path, expected) in bodies.take(AT_ONCE) {
            clients.spawn(async move {
                let (bytes, is_whole) = read(client::get(server, &path).await).await;
                assert!(is_whole, "{path}");
                assert!(bytes == expected, "{path}");
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    });
}

#[test]
fn a_body_that_fails_half_way_breaks_off_for_the_peer() {
    serving(router, async |server, _| {
        let mut clients = JoinSet::new();
        for (ends, seed) in (0..24).map(|n| match n % 2 {
            0 => (Ends::WithError, n),
            _ => (Ends::WithPanic, n),
        }) {
            for (path, expected) in every_body(ends, seed) {
                clients.spawn(async move {
                    let Some(response) = client::try_get(server, &path).await else {
                        // It broke off before its head was sent.
                        return;
                    };
                    let (bytes, is_whole) = read(response).await;
                    assert!(!is_whole, "{path}");
                    assert!(bytes.len() < expected.len(), "{path}");
                    // The writer of `zip` ends its archive when it is dropped: see `half.rs`.
                    assert!(
                        path.contains("zip") || expected.starts_with(&bytes),
                        "{path}"
                    );
                });
            }
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    });
}

#[test]
fn uploads_go_through_a_decoder_and_its_errors_come_back() {
    serving(router, async |server, _| {
        let mut clients = JoinSet::new();
        for seed in 0..AT_ONCE {
            clients.spawn(async move {
                let plain = content(seed, 0);
                let mut body = gzipped(&plain);
                let is_damaged = seed % 4 == 3;
                if is_damaged {
                    body.truncate(body.len() / 2);
                }
                let body = in_chunks(&body, 1 + seed * 37);
                let response = send(server, Request::post("/decoded"), body).await;
                let status = response.status();
                let (answer, is_whole) = read(response).await;
                assert!(is_whole);
                match is_damaged {
                    true => assert_eq!(status, StatusCode::BAD_REQUEST),
                    false => assert!(status == StatusCode::OK && answer == plain),
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    });
}

/// Clients that stop reading hold up what they would read; when they go, it ends.
#[test]
fn clients_that_stop_reading_hold_up_their_bodies_and_no_others() {
    const STALLED: usize = 20;
    /// More than the system's buffers, hyper's, and the pipe hold.
    const MOST: usize = 32 << 20;
    let (drops, made) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
    let endless = {
        let (drops, made) = (drops.clone(), made.clone());
        async move |State(pool): Pool| {
            let (token, made) = (drops.token(), made.clone());
            let output = pool.output(move |out| {
                let _token = token;
                loop {
                    out.write_all(&[7; 10_000])?;
                    made.fetch_add(10_000, Ordering::SeqCst);
                }
            });
            Body::from_stream(ReaderStream::new(output))
        }
    };
    let router = move |pool: Arc<HubPool>| {
        let endless = Router::new().route("/endless", get(endless));
        router(pool.clone()).merge(endless.with_state(pool))
    };
    serving(router, async move |server, pool| {
        let mut stalled = Vec::new();
        for _ in 0..STALLED {
            let mut stream = TcpStream::connect(server).await.unwrap();
            let request = b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n";
            stream.write_all(request).await.unwrap();
            stalled.push(stream);
        }
        // Until nothing more is made.
        let mut before = usize::MAX;
        while made.load(Ordering::SeqCst) != before || live_fibers(&pool) < STALLED {
            before = made.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(before <= STALLED * MOST, "{before} bytes");
        for (path, expected) in every_body(Ends::Well, 1) {
            let (bytes, is_whole) = read(client::get(server, &path).await).await;
            assert!(is_whole && bytes == expected, "{path}");
        }
        assert_eq!(drops.count(), 0);
        drop(stalled);
        while drops.count() < STALLED {
            tokio::task::yield_now().await;
        }
    });
}

/// An upload that breaks off cancels the fiber that takes it.
#[test]
fn an_upload_that_breaks_off_ends_its_fiber() {
    serving(router, async |server, pool| {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(server).await.unwrap();
            let head = b"POST /decoded HTTP/1.1\r\nhost: test\r\ncontent-length: 10000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            stream.write_all(&gzipped(b"some of it")).await.unwrap();
            while live_fibers(&pool) == 0 {
                tokio::task::yield_now().await;
            }
            drop(stream);
            while live_fibers(&pool) > 0 {
                tokio::task::yield_now().await;
            }
        }
    });
}

/// The stream of a pool is what a task of any thread may hold.
#[test]
fn a_body_may_be_read_on_any_task() {
    serving(router, async |_, pool| {
        let output = pool.output(|out| out.write_all(&[7; 100_000]));
        let chunks = ReaderStream::new(output);
        let read = tokio::spawn(
            chunks
                .map(|chunk| chunk.unwrap().len())
                .fold(0, async |a, b| a + b),
        );
        assert_eq!(read.await.unwrap(), 100_000);
    });
}
