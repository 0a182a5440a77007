//! What the clients upload, and how they check the answers.

use std::fmt::Write as _;
use std::io::{Cursor, Read};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use tokio::time::sleep;

use crate::legacy::{BROKEN, FILES, content};

/// The orders of an upload.
const ORDERS: usize = 300;

/// Checks an archive, or that it has broken off. Returns whether it is whole.
pub(crate) fn check_archive(number: usize, bytes: Option<Bytes>) -> bool {
    assert_eq!(
        bytes.is_none(),
        number % BROKEN == 0,
        "errors break off the body"
    );
    let Some(bytes) = bytes else { return false };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("it is whole");
    assert_eq!(archive.len(), FILES);
    for file in [0, FILES - 1] {
        let mut bytes = Vec::new();
        let mut entry = archive.by_index(file).expect("it is there");
        entry.read_to_end(&mut bytes).expect("it can be read");
        assert!(bytes == content(number, file));
    }
    true
}

/// The body of an upload, which takes its time. Every tenth is wrong at its end.
pub(crate) fn orders(number: usize) -> Body {
    let chunks = ["place", "pay", "ship"].map(|event| {
        let mut lines = String::new();
        for order in 0..ORDERS {
            writeln!(lines, "{order},{event}").expect("it is written to memory");
        }
        lines
    });
    let wrong = (number % 10 == 1).then(|| "7,pay\n".to_owned());
    let chunks = futures::stream::iter(chunks.into_iter().chain(wrong));
    Body::from_stream(chunks.then(async |lines| {
        sleep(Duration::from_millis(5)).await;
        std::io::Result::Ok(Bytes::from(lines))
    }))
}

/// Checks the answer to an upload. Returns whether it was accepted.
pub(crate) fn check_orders(number: usize, is_success: bool, answer: &[u8]) -> bool {
    let expected = match number % 10 == 1 {
        true => "order 7 is Some(Shipped): it cannot pay".to_owned(),
        false => format!("{ORDERS} shipped"),
    };
    assert_eq!(String::from_utf8_lossy(answer), expected);
    is_success
}
