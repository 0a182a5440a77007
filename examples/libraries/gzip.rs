//! Gzip in async code with flate2, an unmodified synchronous library: an encoder as
//! `AsyncWrite`, and a decoder as `AsyncRead`.
//!
//! Run with: `cargo run --release -p libraries --example gzip`
//!
//! The sender compresses a text into one end of a pipe while the receiver decompresses what
//! comes out of the other. Both are tasks of the multi-thread runtime; there is no hub and no
//! thread for either. Neither holds more than a few buffers of the text.

use std::io;

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use switchback::io::{AsyncReader, AsyncWriter, Blocking};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, duplex};

const LINES: usize = 200_000;

async fn send(pipe: impl AsyncWrite + Unpin + 'static) -> io::Result<()> {
    let mut encoder = AsyncWriter::new(
        pipe,
        |sink| GzEncoder::new(sink, Compression::fast()),
        |encoder| encoder.finish().map(drop),
    );
    for n in 0..LINES {
        let line = format!("line {n} of {LINES}\n");
        encoder.write_all(line.as_bytes()).await?;
    }
    encoder.shutdown().await // writes the end of the gzip data
}

async fn receive(pipe: impl AsyncRead + Unpin + 'static) -> io::Result<(usize, usize)> {
    let decoder = AsyncReader::new(|| GzDecoder::new(Blocking::new(pipe)));
    let (mut lines, mut count, mut bytes) = (decoder.lines(), 0, 0);
    while let Some(line) = lines.next_line().await? {
        assert_eq!(line, format!("line {count} of {LINES}"));
        count += 1;
        bytes += line.len() + 1;
    }
    Ok((count, bytes))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let (near, far) = duplex(4096);
    let ((), (count, bytes)) = tokio::try_join!(send(near), receive(far))?;
    assert_eq!(count, LINES);
    println!("{count} lines, {bytes} bytes, through a pipe of 4096");
    Ok(())
}
