//! The clients: they check each answer, or hang up.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answers::{check_archive, check_orders, orders};
use crate::watch::Watch;

/// How many requests are made, unless `SWITCHBACK_REQUESTS` says another number.
const REQUESTS: usize = 2_000;

/// How many are made at once, unless `SWITCHBACK_AT_ONCE` says another number. These keep two
/// processors busy, so that each fiber also waits for the others; eight leave them time.
const AT_ONCE: usize = 200;

/// Makes all requests, and prints what came of them.
pub(crate) async fn run(server: SocketAddr, watch: &Arc<Watch>) {
    let requests = setting("SWITCHBACK_REQUESTS").unwrap_or(REQUESTS);
    let at_once = setting("SWITCHBACK_AT_ONCE").unwrap_or(AT_ONCE);
    let begin = Instant::now();
    let turns = Arc::new(Semaphore::new(at_once));
    let mut clients = JoinSet::new();
    for number in 0..requests {
        let turn = turns.clone().acquire_owned().await.unwrap();
        let watch = watch.clone();
        clients.spawn(async move {
            // Numbers that look random. One client in three hangs up, within 60 ms.
            let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let patience = match random % 3 {
                0 => Duration::from_micros((random / 3 % 60_000) as u64),
                _ => Duration::MAX,
            };
            let mut request = Box::pin(request(server, number));
            let answered = timeout(patience, request.as_mut()).await;
            if answered.is_err() {
                watch.hang_up(number); // with the drop of `request`
            }
            drop((request, turn));
            answered.ok()
        });
    }
    let (mut whole, mut failed, mut hung_up) = (0, 0, 0);
    while let Some(client) = clients.join_next().await {
        match client.expect("every answer is right") {
            Some(true) => whole += 1,
            Some(false) => failed += 1,
            None => hung_up += 1,
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{requests} requests in {seconds:.1} s, {at_once} at once");
    println!("{whole} whole answers, {failed} errors that arrived, {hung_up} hang-ups");
}

fn setting(name: &str) -> Option<usize> {
    let given = env::var(name).ok()?;
    Some(
        given
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {given}")),
    )
}

/// Makes a request on a connection of its own. Returns whether it succeeds; if it should fail, and
/// does not, or the other way round, this panics. Dropping it hangs up.
async fn request(server: SocketAddr, number: usize) -> bool {
    let stream = TcpStream::connect(server)
        .await
        .expect("the server listens");
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("it is a connection");
    let exchange = async {
        let is_download = number % 2 == 0;
        let request = match is_download {
            true => Request::get(format!("/archives/{number}")).body(Body::empty()),
            false => Request::post(format!("/orders/{number}")).body(orders(number)),
        };
        let mut request = request.expect("it is a request");
        let host = "archive".parse().expect("it is a name");
        request.headers_mut().insert("host", host);
        let response = sender
            .send_request(request)
            .await
            .expect("there is an answer");
        let is_success = response.status().is_success();
        let body = response.into_body().collect().await;
        match is_download {
            true => check_archive(number, body.ok().map(|body| body.to_bytes())),
            false => check_orders(number, is_success, &body.expect("it is whole").to_bytes()),
        }
    };
    // The connection is driven, and dropped, in this task.
    tokio::select! {
        biased;
        is_success = exchange => is_success,
        _ = async { connection.await.ok(); std::future::pending::<()>().await } => unreachable!(),
    }
}
