//! Rows `body-...`: synchronous code makes a body, in chunks of 16 KiB or of 64 bytes, and a task of
//! the multi-thread runtime reads it.
//!
//! switchback has `HubPool::output`, where the code writes, and otherwise `HubPool::reader`, where it
//! is read. With `spawn_blocking`, it sends its chunks through a channel that holds 64 KiB. With
//! tokio's `duplex` of 64 KiB, it writes to a `Blocking` in a fiber of a pool; the end of this one is
//! clean even if the code has panicked. An `AsyncReader` runs the code in the task that reads, which
//! therefore stays on its thread.

use std::future::Future;
use std::io::{self, Read, Write};
use std::time::Instant;

use switchback::HubPool;
use switchback::io::{AsyncReader, Blocking};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::rounds::{Column, Row, Unit};
use crate::worlds::{in_multi_thread_task, on_multi_thread};

const MIB: usize = 1 << 20;
/// What the pipes hold.
const ROOM: usize = 64 * 1024;

pub(crate) fn rows() -> [Row; 2] {
    let body = |name, chunk, mib: usize| {
        let total = mib * MIB;
        Row::new(name, Unit::PerSecond("MiB"))
            .column(Column::Switchback, move || output(chunk, total))
            .column(Column::Otherwise, move || reader(chunk, total))
            .column(Column::SpawnBlocking, move || channel(chunk, total))
            .column(Column::Duplex, move || duplex(chunk, total))
            .column(Column::InPlace, move || in_place(chunk, total))
    };
    [body("body-16k", 16 * 1024, 512), body("body-64", 64, 16)]
}

/// Makes the body, by writing it.
fn write(mut out: impl Write, chunk: usize, total: usize) -> io::Result<()> {
    let chunk = vec![7; chunk];
    (0..total / chunk.len()).try_for_each(|_| out.write_all(&chunk))
}

/// Makes the body, by being read.
struct Source {
    chunk: Vec<u8>,
    left: usize,
}

impl Source {
    fn new(chunk: usize, total: usize) -> Source {
        Source {
            chunk: vec![7; chunk],
            left: total,
        }
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let amount = self.chunk.len().min(buf.len()).min(self.left);
        buf[..amount].copy_from_slice(&self.chunk[..amount]);
        self.left -= amount;
        Ok(amount)
    }
}

fn output(chunk: usize, total: usize) -> f64 {
    with_pool(total, move |pool| {
        read(pool.output(move |out| write(out, chunk, total)))
    })
}

fn reader(chunk: usize, total: usize) -> f64 {
    with_pool(total, move |pool| {
        read(pool.reader(move || Source::new(chunk, total)))
    })
}

fn duplex(chunk: usize, total: usize) -> f64 {
    with_pool(total, move |pool| {
        let (near, far) = tokio::io::duplex(ROOM);
        let call = pool.call(move || write(Blocking::new(far), chunk, total));
        async {
            let read = read(near).await;
            let written = call.await.expect("the fiber does not panic");
            written.expect("somebody reads");
            read
        }
    })
}

fn channel(chunk: usize, total: usize) -> f64 {
    in_multi_thread_task(async move {
        let begin = Instant::now();
        let (sender, mut receiver) = mpsc::channel(ROOM / chunk);
        let job = tokio::task::spawn_blocking(move || {
            let bytes = vec![7_u8; chunk];
            for _ in 0..total / chunk {
                let sent = sender.blocking_send(bytes.clone());
                sent.expect("somebody receives");
            }
        });
        let mut count = 0;
        while let Some(bytes) = receiver.recv().await {
            count += bytes.len();
        }
        job.await.expect("the closure does not panic");
        mib_per_second(begin, count, total)
    })
}

fn in_place(chunk: usize, total: usize) -> f64 {
    on_multi_thread(async move {
        let begin = Instant::now();
        let count = read(AsyncReader::new(move || Source::new(chunk, total))).await;
        mib_per_second(begin, count, total)
    })
}

fn with_pool<C>(total: usize, read: impl FnOnce(&HubPool) -> C + Send + 'static) -> f64
where
    C: Future<Output = usize> + Send,
{
    let pool = HubPool::new(1).expect("a thread can be started");
    in_multi_thread_task(async move {
        let begin = Instant::now();
        let count = read(&pool).await;
        let figure = mib_per_second(begin, count, total);
        pool.close().await;
        figure
    })
}

/// Reads to the end. Returns how many bytes there were.
async fn read(mut from: impl AsyncRead + Unpin) -> usize {
    let (mut count, mut buf) = (0, vec![0; 16 * 1024]);
    loop {
        match from.read(&mut buf).await.expect("the body does not fail") {
            0 => return count,
            amount => count += amount,
        }
    }
}

fn mib_per_second(begin: Instant, count: usize, total: usize) -> f64 {
    assert_eq!(count, total);
    total as f64 / MIB as f64 / begin.elapsed().as_secs_f64()
}
