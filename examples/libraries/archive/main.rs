//! An axum server on tokio's multi-thread runtime that streams a zip while the synchronous `zip`
//! crate makes it, and takes an upload through `csv` into a synchronous state machine. Its own
//! clients check each answer, or hang up at a random moment. The program shows that every fiber ends,
//! how soon, and that errors arrive; then it ends itself.
//!
//! Run with: `cargo run --release -p libraries --example archive`

mod answers;
mod clients;
mod gate;
mod legacy;
mod watch;

use std::io;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures::TryStreamExt;
use switchback::HubPool;
use switchback::io::Blocking;
use tokio::net::TcpSocket;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::watch::Watch;

/// The state that the handlers need.
#[derive(Clone)]
struct App {
    pool: Arc<HubPool>,
    watch: Arc<Watch>,
}

/// Sends an archive while it is made. If its making fails, the response breaks off. If the client
/// hangs up, the body is dropped, and the fiber unwinds.
async fn download(State(app): State<App>, Path(number): Path<usize>) -> Body {
    let watch = app.watch.clone();
    let output = app.pool.output(move |out| {
        let _watched = watch.begin(number);
        legacy::write_archive(out, number)
    });
    Body::from_stream(app.watch.body(number, ReaderStream::new(output)))
}

/// Reads the body of the request in a fiber, as it comes.
async fn upload(
    State(app): State<App>,
    Path(number): Path<usize>,
    body: Body,
) -> (StatusCode, String) {
    let chunks = body.into_data_stream().map_err(io::Error::other);
    let watch = app.watch.clone();
    let mut called = pin!(app.pool.call(move || {
        let _watched = watch.begin(number);
        legacy::read_orders(Blocking::new(StreamReader::new(Box::pin(chunks))))
    }));
    let _before = app.watch.before_drop(number); // is dropped before `called`
    match called.as_mut().await {
        Ok(Ok(shipped)) => (StatusCode::OK, format!("{shipped} shipped")),
        Ok(Err(e)) => (StatusCode::UNPROCESSABLE_ENTITY, e.to_string()),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

#[tokio::main] // many threads
async fn main() -> io::Result<()> {
    let app = App {
        pool: Arc::new(HubPool::new(2)?),
        watch: Arc::default(),
    };
    let router = Router::new()
        .route("/archives/{number}", get(download))
        .route("/orders/{number}", post(upload))
        .with_state(app.clone());

    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1024)?; // room for the connections of all clients
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router).into_future());

    clients::run(address, &app.watch).await;
    let live = || app.pool.handles().map(|hub| hub.metrics().live_fibers());
    while live().sum::<usize>() > 0 {
        tokio::task::yield_now().await;
    }
    app.watch.report();
    app.pool.close().await;
    Ok(())
}
