//! Rows `copy-64k` and `copy-64`: one connection is copied to another, with a buffer of 64
//! KiB or of 64 bytes. switchback uses std's `Read` and `Write` over `io::Blocking`. Row
//! `csv`: a compressed CSV is read from a connection, record by record, through flate2 and
//! csv.
//!
//! The peers are the same threads for all columns. The copying side measures the time.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use switchback::io::Blocking;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_fiber, in_task};

const MIB: usize = 1 << 20;
/// The MiB that are copied, with a large buffer and with a small one.
const LARGE: usize = 1024;
const SMALL: usize = 8;
/// The MiB of CSV before compression.
const CSV: usize = 200;

pub(crate) fn rows() -> Vec<Row> {
    let copy = |name, buffer, mib| {
        Row::new(name, Unit::PerSecond("MiB"))
            .column(Column::Switchback, move || {
                copied(mib, |from, to| {
                    in_fiber(move || {
                        copy(blocking(from), blocking(to), buffer);
                    })
                })
            })
            .column(Column::TokioTasks, move || {
                copied(mib, |from, to| {
                    in_task(async move {
                        copy_async(asynchronous(from), asynchronous(to), buffer).await;
                    })
                })
            })
            .column(Column::Threads, move || {
                copied(mib, |from, to| copy(from, to, buffer))
            })
    };
    vec![
        copy("copy-64k", 64 * 1024, LARGE),
        copy("copy-64", 64, SMALL),
        Row::new("csv", Unit::PerSecond("MiB"))
            .column(Column::Switchback, || {
                parsed(|from| in_fiber(|| parse(blocking(from))))
            })
            .column(Column::Threads, || parsed(parse)),
    ]
}

/// Returns both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let near = TcpStream::connect(address).expect("it listens");
    (near, listener.accept().expect("it was connected").0)
}

fn asynchronous(stream: TcpStream) -> tokio::net::TcpStream {
    stream.set_nonblocking(true).expect("the stream is open");
    tokio::net::TcpStream::from_std(stream).expect("a runtime runs here")
}

fn blocking(stream: TcpStream) -> Blocking<tokio::net::TcpStream> {
    Blocking::new(asynchronous(stream))
}

/// Has `mib` MiB copied from one connection to another. Returns MiB per second.
fn copied(mib: usize, copy: impl FnOnce(TcpStream, TcpStream)) -> f64 {
    let (mut source, from) = connection();
    let (to, mut sink) = connection();
    let sends = thread::spawn(move || {
        let block = vec![7; MIB];
        let mut sent = (0..mib).map(|_| source.write_all(&block));
        sent.try_for_each(|sent| sent).expect("somebody reads");
    });
    let receives = thread::spawn(move || {
        let mut block = vec![0; MIB];
        let mut received = 0;
        loop {
            match sink.read(&mut block).expect("somebody writes") {
                0 => break received,
                n => received += n,
            }
        }
    });
    let begin = Instant::now();
    copy(from, to);
    let seconds = begin.elapsed().as_secs_f64();
    sends.join().expect("the source does not panic");
    let received = receives.join().expect("the sink does not panic");
    assert_eq!(received, mib * MIB);
    mib as f64 / seconds
}

fn copy(mut from: impl Read, mut to: impl Write, size: usize) {
    let mut buffer = vec![0; size];
    loop {
        match from.read(&mut buffer).expect("it can be read") {
            0 => break,
            n => to.write_all(&buffer[..n]).expect("it can be written"),
        }
    }
}

async fn copy_async(mut from: tokio::net::TcpStream, mut to: tokio::net::TcpStream, size: usize) {
    let mut buffer = vec![0; size];
    loop {
        match from.read(&mut buffer).await.expect("it can be read") {
            0 => break,
            n => to.write_all(&buffer[..n]).await.expect("it can be written"),
        }
    }
}

/// Has the CSV parsed from a connection. Returns its MiB per second.
fn parsed(parse: impl FnOnce(TcpStream) -> usize) -> f64 {
    static COMPRESSED: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    let (compressed, records) = COMPRESSED.get_or_init(mebibyte);
    let (mut source, from) = connection();
    let sends = thread::spawn(move || {
        let mut sent = (0..CSV).map(|_| source.write_all(compressed));
        sent.try_for_each(|sent| sent).expect("somebody reads");
    });
    let begin = Instant::now();
    let parsed = parse(from);
    let seconds = begin.elapsed().as_secs_f64();
    sends.join().expect("the source does not panic");
    assert_eq!(parsed, CSV * records);
    CSV as f64 / seconds
}

/// Returns a MiB of CSV, compressed, and the number of its records.
fn mebibyte() -> (Vec<u8>, usize) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let (mut size, mut records) = (0, 0);
    while size < MIB {
        let row = format!(
            "{records:07},{},\"a name, quoted\"\n",
            records * 7919 % 10_007
        );
        encoder.write_all(row.as_bytes()).expect("there is memory");
        (size, records) = (size + row.len(), records + 1);
    }
    (encoder.finish().expect("there is memory"), records)
}

fn parse(from: impl Read) -> usize {
    let decoder = MultiGzDecoder::new(from);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(decoder);
    let mut record = csv::ByteRecord::new();
    let mut records = 0;
    while reader.read_byte_record(&mut record).expect("it is CSV") {
        black_box(&record);
        records += 1;
    }
    records
}
