//! Reads a compressed CSV of 200 MiB, record by record, from a tokio socket through flate2
//! and csv, two unmodified synchronous libraries. It does so in a fiber, and for comparison
//! runs the same code over std's socket in a thread.
//!
//! Run with: `cargo run --release -p libraries --example csv`, or with another number of MiB:
//! `cargo run --release -p libraries --example csv -- 1000`
//!
//! The peer is a thread that sends the same compressed MiB repeatedly. The data is never in
//! memory as a whole: the resident memory of the process does not grow with the size.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;
use std::{env, fs, thread};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use switchback::{io::Blocking, prelude::*};

type Failed = Box<dyn Error + Send + Sync>;

const MIB: usize = 1 << 20;

/// Plain synchronous code. Returns the number of records and the sum of a column.
fn sum(stream: impl Read) -> Result<(u64, u64), Failed> {
    let mut records = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(MultiGzDecoder::new(stream));
    let (mut record, mut count, mut total) = (csv::ByteRecord::new(), 0, 0);
    while records.read_byte_record(&mut record)? {
        count += 1;
        total += std::str::from_utf8(&record[1])?.parse::<u64>()?;
    }
    Ok((count, total))
}

/// Returns a MiB of rows, and the result that `sum` must return for them.
fn rows() -> (Vec<u8>, (u64, u64)) {
    let (mut text, mut count, mut total) = (Vec::with_capacity(MIB + 64), 0, 0);
    while text.len() < MIB {
        let amount = count * 7919 % 10_007;
        writeln!(text, "{count:07},{amount},\"a name, quoted\",2026-11-22").unwrap();
        (count, total) = (count + 1, total + amount);
    }
    (text, (count, total))
}

/// Sends `times` MiB to the first client that connects.
fn peer(compressed: Vec<u8>, times: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        (0..times).try_for_each(|_| stream.write_all(&compressed))
    });
    Ok(address)
}

fn in_fiber(address: SocketAddr) -> Result<(u64, u64), Failed> {
    switchback::run(move || {
        let stream = tokio::net::TcpStream::connect(address).wait()?;
        sum(Blocking::new(stream))
    })?
}

fn in_thread(address: SocketAddr) -> Result<(u64, u64), Failed> {
    let run = move || sum(std::net::TcpStream::connect(address)?);
    thread::spawn(run).join().expect("it does not panic")
}

fn main() -> Result<(), Failed> {
    let size = env::args().nth(1).map_or(Ok(200), |size| size.parse())?;
    let (text, (count, total)) = rows();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&text)?;
    let compressed = encoder.finish()?;
    let sent = size * compressed.len() / 1024;
    println!("{size} MiB of CSV, {sent} KiB compressed");
    let ways: [(_, fn(_) -> _); 2] = [("fiber", in_fiber), ("thread", in_thread)];
    for (name, run) in ways {
        let begin = Instant::now();
        let sums = run(peer(compressed.clone(), size)?)?;
        let seconds = begin.elapsed().as_secs_f64();
        assert_eq!(sums, (count * size as u64, total * size as u64));
        let rate = size as f64 / seconds;
        println!(
            "{name:>6}: {} records, {rate:.0} MiB/s{}",
            sums.0,
            resident()
        );
    }
    Ok(())
}

fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!(", at most {} resident", peak.unwrap_or("?").trim())
}
