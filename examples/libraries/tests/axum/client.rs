//! A server with a pool, and its clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use switchback::HubPool;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{multi_thread_runtime, watched};

/// Serves `router`, which has the pool, while `clients` run. No fiber may be left then.
pub(crate) fn serving<S, C>(
    router: impl FnOnce(Arc<HubPool>) -> Router + Send + 'static,
    clients: S,
) where
    S: FnOnce(SocketAddr, Arc<HubPool>) -> C + Send + 'static,
    C: Future<Output = ()>,
{
    watched(|| {
        let pool = Arc::new(HubPool::new(2).unwrap());
        multi_thread_runtime().block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            let listener = socket.listen(1024).unwrap();
            let address = listener.local_addr().unwrap();
            let server = axum::serve(listener, router(pool.clone()));
            let server = tokio::spawn(server.into_future());
            clients(address, pool.clone()).await;
            while live_fibers(&pool) > 0 {
                tokio::task::yield_now().await;
            }
            server.abort();
        });
        while live_fibers(&pool) > 0 {
            thread::yield_now();
        }
    });
}

pub(crate) fn live_fibers(pool: &HubPool) -> usize {
    let live = pool.handles().map(|hub| hub.metrics().live_fibers());
    live.sum()
}

/// Sends a request on a connection of its own, which ends with the body of the response.
async fn try_send(server: SocketAddr, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(server).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

pub(crate) async fn send(
    server: SocketAddr,
    request: request::Builder,
    body: Body,
) -> Response<Incoming> {
    let request = request.header("host", "test").body(body).unwrap();
    try_send(server, request).await.unwrap()
}

pub(crate) async fn get(server: SocketAddr, path: &str) -> Response<Incoming> {
    send(server, Request::get(path), Body::empty()).await
}

/// Like [`get`]; `None` if the connection ends before the response begins.
pub(crate) async fn try_get(server: SocketAddr, path: &str) -> Option<Response<Incoming>> {
    let request = Request::get(path).header("host", "test");
    try_send(server, request.body(Body::empty()).unwrap())
        .await
        .ok()
}

/// Reads a body to its end, or to an error: the bytes, and whether it came to its end.
pub(crate) async fn read(mut response: Response<Incoming>) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(frame) = response.body_mut().frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => all.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

/// A body of chunks.
pub(crate) fn in_chunks(bytes: &[u8], size: usize) -> Body {
    let chunks: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    Body::from_stream(futures::stream::iter(
        chunks.into_iter().map(Ok::<_, std::io::Error>),
    ))
}
