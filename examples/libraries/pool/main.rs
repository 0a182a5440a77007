//! An HTTP server on tokio's multi-thread runtime whose handler calls synchronous code
//! through a pool of hubs. The code is a parser that asks a store for numbers, over TCP,
//! deep in its recursion. The program runs clients against the server, checks each
//! response, prints figures and ends.
//!
//! Run with: `cargo run --release -p libraries --example pool`

mod legacy;
mod load;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use switchback::io::Blocking;
use switchback::{HubPool, prelude::*};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

/// The state that the handler needs.
#[derive(Clone)]
struct App {
    pool: Arc<HubPool>,
    store: SocketAddr,
}

/// The handler: async code that needs the result of synchronous code.
async fn calculate(State(app): State<App>, expression: String) -> (StatusCode, String) {
    match calculate_in_fiber(app, expression).await {
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

async fn calculate_in_fiber(app: App, expression: String) -> io::Result<usize> {
    // Dropping this future, as axum does when the client hangs up, cancels the fiber.
    let called = app.pool.call(move || {
        let stream = TcpStream::connect(app.store).wait()?;
        legacy::calculate(&expression, Blocking::new(stream))
    });
    called.await?
}

/// The store: the value of a name is its length, and each answer takes a millisecond.
async fn serve_store(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut name = String::new();
            while stream.read_line(&mut name).await? > 0 {
                sleep(Duration::from_millis(1)).await;
                let answer = format!("{}\n", name.trim_end().len());
                stream.write_all(answer.as_bytes()).await?;
                name.clear();
            }
            io::Result::Ok(())
        });
    }
}

/// Listens with room for the connections of all clients.
fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(1024)
}

#[tokio::main] // many threads
async fn main() -> io::Result<()> {
    let (store, http) = (listen()?, listen()?);
    let address = http.local_addr()?;
    let app = App {
        pool: Arc::new(HubPool::new(2)?),
        store: store.local_addr()?,
    };
    let router = Router::new().route("/", post(calculate));
    let server = axum::serve(http, router.with_state(app.clone()));
    tokio::spawn(serve_store(store));
    tokio::spawn(server.into_future());

    load::run(address).await?;
    app.pool.close().await;
    Ok(())
}
