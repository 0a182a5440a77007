//! Streams out of a pool and into it: readers, writers and iterators in fibers.

use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;

use futures::{Stream, StreamExt};
use switchback::{
    HubPool, JoinError, PoolIter, PoolReader, PoolWriter, current_fiber, prelude::*, yield_now,
};
use tokio::io::{AsyncBufRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::support::ending::{Count, poll_once};
use crate::support::hostile::{Hostile, Method};
use crate::support::{Drops, OnDrop, Token, multi_thread_runtime, watched};

/// What the two ends of a stream hold, and what the fiber reads at a time.
const MOST: usize = (64 + 16) * 1024;

/// How a source ends after its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Well,
    WithError(ErrorKind),
    WithPanic,
    WithPanicInDrop,
    WithTooMuch,
    /// Its fiber is cancelled, while it waits.
    WithCancel,
    /// Its pool is closed, while it waits.
    WithClose,
}

/// Gives the bytes of a pattern, a few at a time.
struct Source {
    given: usize,
    total: usize,
    at_once: usize,
    ends: Ends,
}

impl Source {
    fn new(total: usize, at_once: usize, ends: Ends) -> Source {
        Source {
            given: 0,
            total,
            at_once,
            ends,
        }
    }
}

fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let from = self.given;
        let amount = buf.len().min(self.at_once).min(self.total - from);
        if amount > 0 {
            for (byte, at) in buf[..amount].iter_mut().zip(from..) {
                *byte = pattern(at);
            }
            self.given += amount;
            return Ok(amount);
        }
        match self.ends {
            Ends::Well | Ends::WithPanicInDrop => Ok(0),
            Ends::WithError(kind) => Err(io::Error::new(kind, "of the source")),
            Ends::WithPanic => resume_unwind(Box::new("in the source")),
            Ends::WithTooMuch => Ok(buf.len() + 1),
            Ends::WithCancel => {
                switchback::current_fiber().unwrap().cancel();
                switchback::check_cancelled();
                unreachable!();
            }
            Ends::WithClose => {
                std::future::pending::<()>().wait();
                unreachable!();
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.ends == Ends::WithPanicInDrop {
            resume_unwind(Box::new("in the drop"));
        }
    }
}

/// Reads to the end or to an error, by `at_once` bytes: the bytes, and the error.
async fn read_all(stream: &mut PoolReader, at_once: usize) -> (Vec<u8>, Option<io::Error>) {
    let (mut all, mut buf) = (Vec::new(), vec![0; at_once]);
    loop {
        match stream.read(&mut buf).await {
            Ok(0) => return (all, None),
            Ok(amount) => all.extend_from_slice(&buf[..amount]),
            Err(e) => return (all, Some(e)),
        }
    }
}

fn assert_pattern(bytes: &[u8], total: usize) {
    assert_eq!(bytes.len(), total);
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == pattern(at))
    );
}

// Readers.

#[test]
fn a_reader_gives_every_byte_whatever_the_sizes() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            for total in [0, 1, 1000, 32 * 1024, 300_000] {
                for (gives, takes) in [(7, 100_000), (100_000, 7), (4096, 4096), (100_000, 100_000)]
                {
                    let mut stream = pool.reader(move || Source::new(total, gives, Ends::Well));
                    let (bytes, error) = read_all(&mut stream, takes).await;
                    assert!(error.is_none());
                    assert_pattern(&bytes, total);
                    // The end stays.
                    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
                }
            }
        });
    });
}

#[test]
fn many_tasks_read_at_once() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            let tasks: Vec<_> = (0..200)
                .map(|i| {
                    let mut stream =
                        pool.reader(move || Source::new(100_000 + i, 5000, Ends::Well));
                    tokio::spawn(async move { read_all(&mut stream, 3000).await.0 })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_pattern(&task.await.unwrap(), 100_000 + i);
            }
        });
    });
}

/// Every way in which a fiber can fail gives an error, once all bytes are there.
#[test]
fn reader_panic_is_error_after_data() {
    let ways = [
        (
            Ends::WithError(ErrorKind::InvalidData),
            ErrorKind::InvalidData,
            "of the source",
        ),
        (
            Ends::WithError(ErrorKind::WouldBlock),
            ErrorKind::WouldBlock,
            "of the source",
        ),
        (
            Ends::WithPanic,
            ErrorKind::Other,
            "panicked with message \"in the source\"",
        ),
        (
            Ends::WithPanicInDrop,
            ErrorKind::Other,
            "panicked with message \"in the drop\"",
        ),
        (
            Ends::WithTooMuch,
            ErrorKind::Other,
            "has read more than there was room for",
        ),
        (Ends::WithCancel, ErrorKind::Other, "was cancelled"),
        (
            Ends::WithClose,
            ErrorKind::Other,
            "was cancelled: the hub is closing",
        ),
    ];
    watched(move || {
        for (ends, kind, text) in ways {
            for total in [0, 1, 200_000] {
                if (ends, total) == (Ends::WithClose, 0) {
                    // It would not have begun before the close.
                    continue;
                }
                let pool = HubPool::new(1).unwrap();
                let mut stream = pool.reader(move || Source::new(total, 5000, ends));
                multi_thread_runtime().block_on(async {
                    let mut first = vec![0; total];
                    stream.read_exact(&mut first).await.unwrap();
                    assert_pattern(&first, total);
                    let mut close = Box::pin(pool.close());
                    if ends == Ends::WithClose {
                        let _ = poll_once(close.as_mut());
                    }
                    let (rest, error) = read_all(&mut stream, 100).await;
                    let error = error.unwrap_or_else(|| panic!("{ends:?} is a clean end"));
                    assert_eq!((rest.len(), error.kind()), (0, kind), "{ends:?}");
                    assert!(error.to_string().contains(text), "{error}");
                    // It stays an error.
                    for _ in 0..2 {
                        let again = stream.read(&mut [0; 1]).await.unwrap_err();
                        assert_eq!(again.kind(), kind, "{ends:?}");
                    }
                });
            }
        }
    });
}

#[test]
fn a_reader_of_a_closed_pool_is_an_error_and_drops_what_it_was_given() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let drops = Drops::new();
        // Not even a panic there does any harm.
        let token = OnDrop({
            let token = Mutex::new(Some(drops.token()));
            move || {
                drop(token.lock().unwrap().take());
                resume_unwind(Box::new("in a drop"));
            }
        });
        let mut stream = pool.reader(move || {
            let _token = &token;
            io::empty()
        });
        pool.close().wait();
        let error = stream.read(&mut [0; 1]).wait().unwrap_err();
        assert!(
            error.to_string().contains("its pool of hubs is closed"),
            "{error}"
        );
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn nothing_begins_before_the_first_poll() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let (begun, drops) = (Count::new(), Drops::new());
        let begin = || {
            let (begun, token) = (begun.clone(), drops.token());
            move || {
                let _token = token;
                begun.add();
            }
        };
        let (one, two, three) = (begin(), begin(), begin());
        let reader = pool.reader(move || {
            one();
            io::empty()
        });
        let writer = pool.writer(
            move || {
                two();
                io::sink()
            },
            |_| Ok(()),
        );
        let iter = pool.iter(move || {
            three();
            0..3
        });
        pool.call(|| ()).wait().unwrap();
        drop((reader, writer, iter));
        pool.close().wait();
        assert_eq!((begun.get(), drops.count()), (0, 3));
    });
}

#[test]
fn a_reader_that_nobody_reads_waits_with_a_full_pipe() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let given = Arc::new(AtomicUsize::new(0));
        let seen = given.clone();
        let mut stream = pool.reader(move || {
            let source = Source::new(10_000_000, 5000, Ends::Well);
            ByRef(source, seen)
        });
        let mut one = [0; 1];
        stream.read_exact(&mut one).wait().unwrap();
        // It is asked often enough: each time the fiber gets as many turns.
        for _ in 0..200 {
            pool.call(|| yield_now().wait()).wait().unwrap();
            assert!(given.load(Ordering::SeqCst) <= MOST);
        }
        let (rest, error) = multi_thread_runtime().block_on(read_all(&mut stream, 100_000));
        assert!(error.is_none());
        assert_eq!(rest.len() + 1, 10_000_000);
    });
}

/// Tells how much was read of a source.
struct ByRef(Source, Arc<AtomicUsize>);

impl Read for ByRef {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let amount = self.0.read(buf)?;
        self.1.fetch_add(amount, Ordering::SeqCst);
        Ok(amount)
    }
}

#[test]
fn a_buffered_read_sees_the_bytes_and_consumes_what_it_is_told() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let mut stream = pool.reader(|| Source::new(10, 5000, Ends::Well));
        multi_thread_runtime().block_on(async {
            use tokio::io::AsyncBufReadExt;
            let seen = stream.fill_buf().await.unwrap();
            assert_eq!(seen[0], 0);
            stream.consume(4);
            assert_eq!(stream.fill_buf().await.unwrap()[0], 4);
            // More than there is harms nothing.
            Pin::new(&mut stream).consume(usize::MAX);
            assert!(stream.fill_buf().await.unwrap().is_empty());
        });
    });
}

// Output: the reader of what is written.

/// Writes a pattern, a few bytes at a time, and ends as it is told.
fn write_pattern(out: &mut dyn Write, total: usize, at_once: usize, ends: Ends) -> io::Result<()> {
    let mut source = Source::new(total, at_once, ends);
    let mut buf = vec![0; at_once];
    loop {
        match source.read(&mut buf)? {
            0 => return Ok(()),
            amount if amount > at_once => return Err(io::Error::other("too much")),
            amount => out.write_all(&buf[..amount])?,
        }
    }
}

#[test]
fn an_output_gives_every_byte_whatever_the_sizes_and_the_end() {
    let ways = [
        (Ends::Well, None),
        (
            Ends::WithError(ErrorKind::InvalidData),
            Some("of the source"),
        ),
        (Ends::WithPanic, Some("\"in the source\"")),
        (Ends::WithPanicInDrop, Some("\"in the drop\"")),
        (Ends::WithCancel, Some("was cancelled")),
        (Ends::WithTooMuch, Some("too much")),
    ];
    watched(move || {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            for (ends, text) in ways {
                for total in [0, 1, 1000, 16 * 1024, 300_000] {
                    for (gives, takes) in [(7, 100_000), (100_000, 7), (4096, 4096)] {
                        let write =
                            move |out: &mut dyn Write| write_pattern(out, total, gives, ends);
                        let mut stream = pool.output(write);
                        let (bytes, error) = read_all(&mut stream, takes).await;
                        // What was written before the end is there, whatever the end.
                        assert_pattern(&bytes, total);
                        match (text, error) {
                            (None, None) => {}
                            (Some(text), Some(e)) => assert!(e.to_string().contains(text), "{e}"),
                            (_, error) => panic!("{ends:?}: {error:?}"),
                        }
                    }
                }
            }
        });
    });
}

#[test]
fn an_output_that_nobody_reads_waits_with_a_full_pipe() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        for at_once in [10, 5000, 50_000] {
            let given = Arc::new(AtomicUsize::new(0));
            let seen = given.clone();
            let mut stream = pool.output(move |out| {
                for _ in 0..10_000_000 / at_once {
                    out.write_all(&vec![7; at_once])?;
                    seen.fetch_add(at_once, Ordering::SeqCst);
                }
                Ok(())
            });
            let mut one = [0; 1];
            stream.read_exact(&mut one).wait().unwrap();
            for _ in 0..100 {
                pool.call(|| yield_now().wait()).wait().unwrap();
                assert!(given.load(Ordering::SeqCst) <= MOST);
            }
            let (rest, error) = multi_thread_runtime().block_on(read_all(&mut stream, 100_000));
            assert!(error.is_none());
            assert_eq!(rest.len() + 1, 10_000_000);
        }
    });
}

#[test]
fn a_flush_passes_on_what_was_written() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let go = Arc::new(Semaphore::new(0));
        let gone = go.clone();
        let mut stream = pool.output(move |out| {
            out.write_all(b"first")?;
            out.flush()?;
            gone.acquire().wait().unwrap().forget();
            out.write_all(b"second")
        });
        let mut first = [0; 5];
        stream.read_exact(&mut first).wait().unwrap();
        assert_eq!(&first, b"first");
        go.add_permits(1);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).wait().unwrap();
        assert_eq!(rest, "second");
    });
}

/// An encoder writes its end when it is dropped, as that of `zip` does.
struct WritesInDrop<'a>(&'a mut dyn Write, mpsc::Sender<io::Result<()>>);

impl Drop for WritesInDrop<'_> {
    fn drop(&mut self) {
        let written = self.0.write_all(b"the end");
        self.1.send(written.and_then(|()| self.0.flush())).unwrap();
    }
}

/// What the reader gets, whose error says so, when `ends` unwinds an encoder.
fn cut_off(ends: fn() -> io::Result<()>, is_caught: bool) -> (Vec<u8>, String) {
    let pool = HubPool::new(1).unwrap();
    let (tell, told) = mpsc::channel();
    let mut stream = pool.output(move |out| {
        out.write_all(b"half of it")?;
        let encode = move || {
            let _encoder = WritesInDrop(out, tell);
            ends()
        };
        match is_caught {
            true => {
                catch_unwind(AssertUnwindSafe(encode)).unwrap_err();
                Ok(())
            }
            false => encode(),
        }
    });
    let (bytes, error) = multi_thread_runtime().block_on(read_all(&mut stream, 1000));
    let refused = told.recv().unwrap().unwrap_err().to_string();
    assert!(
        refused.contains("while its fiber was unwinding"),
        "{refused}"
    );
    (bytes, error.unwrap().to_string())
}

#[test]
fn what_an_encoder_writes_while_it_unwinds_does_not_make_a_half_look_whole() {
    watched(|| {
        let panics = || -> io::Result<()> { resume_unwind(Box::new("half way")) };
        let (bytes, error) = cut_off(panics, false);
        assert_eq!(bytes, b"half of it");
        assert!(error.contains("half way"), "{error}");
        // The body goes on after the panic, and knows nothing of the write that was refused.
        let (bytes, error) = cut_off(panics, true);
        assert_eq!(bytes, b"half of it");
        assert!(error.contains("a destructor wrote"), "{error}");
        // A cancel while somebody reads.
        let cancelled = || {
            current_fiber().unwrap().cancel();
            std::future::pending().wait()
        };
        let (bytes, error) = cut_off(cancelled, false);
        assert_eq!(bytes, b"half of it");
        assert!(error.contains("was cancelled"), "{error}");
    });
}

#[test]
fn an_encoder_whose_reader_is_gone_unwinds_without_waiting() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let (tell, told) = mpsc::channel();
        let mut stream = pool.output(move |out| {
            out.write_all(b"begun")?;
            out.flush()?;
            let _encoder = WritesInDrop(out, tell);
            std::future::pending().wait()
        });
        let mut first = [0; 5];
        stream.read_exact(&mut first).wait().unwrap();
        drop(stream);
        told.recv().unwrap().unwrap_err();
        pool.close().wait();
    });
}

// Dropping, for all of them.

/// Which stream a test is about, polled once so that it has begun.
fn begun(pool: &HubPool, which: &str, token: Token) -> Box<dyn Send> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let (begins, has_begun) = mpsc::channel();
    let begin = move || {
        begins.send(()).unwrap();
    };
    let stream: Box<dyn Send> = match which {
        "reader that waits in its source" | "reader that waits for room" => {
            let ends = match which {
                "reader that waits for room" => Ends::Well,
                _ => Ends::WithClose,
            };
            let total = if ends == Ends::Well { 10_000_000 } else { 0 };
            let mut reader = pool.reader(move || {
                begin();
                Held(Source::new(total, 5000, ends), token)
            });
            let _ = Pin::new(&mut reader).poll_fill_buf(&mut cx);
            Box::new(reader)
        }
        "output that waits for room" => {
            let mut output = pool.output(move |out| {
                begin();
                let _token = token;
                std::iter::repeat(()).try_for_each(|()| out.write_all(&[7; 5000]))
            });
            let _ = Pin::new(&mut output).poll_fill_buf(&mut cx);
            Box::new(output)
        }
        "writer" => {
            let mut writer = pool.writer(
                move || {
                    begin();
                    Sink(token, Vec::new())
                },
                |_| unreachable!(),
            );
            let _ = Pin::new(&mut writer).poll_write(&mut cx, b"some");
            Box::new(writer)
        }
        _ => {
            let mut iter = pool.iter(move || {
                begin();
                let token = token;
                std::iter::from_fn(move || {
                    let _token = &token;
                    Some(0)
                })
            });
            let _ = Pin::new(&mut iter).poll_next(&mut cx);
            Box::new(iter)
        }
    };
    has_begun.recv().unwrap();
    stream
}

/// A source with a token.
struct Held(Source, #[allow(dead_code)] Token);

impl Read for Held {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

/// Takes bytes, and has a token.
struct Sink(#[allow(dead_code)] Token, Vec<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.1, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const STREAMS: [&str; 5] = [
    "reader that waits in its source",
    "reader that waits for room",
    "output that waits for room",
    "writer",
    "iter",
];

#[test]
fn dropping_a_stream_ends_its_fiber() {
    watched(|| {
        for which in STREAMS {
            let pool = HubPool::new(1).unwrap();
            let drops = Drops::new();
            drop(begun(&pool, which, drops.token()));
            while drops.count() == 0 {
                thread::yield_now();
            }
            while pool.handles().next().unwrap().metrics().live_fibers() > 0 {
                thread::yield_now();
            }
        }
    });
}

#[test]
fn dropping_a_stream_ends_a_fiber_that_catches_its_cancel() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let caught = Count::new();
        let seen = caught.clone();
        let mut stream = pool.iter(move || {
            (0..).inspect(move |_| {
                // The iterator is called again and again, whatever it does with a cancel.
                if switchback::catch_cancel(switchback::check_cancelled).is_err() {
                    seen.add();
                }
            })
        });
        assert_eq!(stream.next().wait().unwrap().unwrap(), 0);
        drop(stream);
        while pool.handles().next().unwrap().metrics().live_fibers() > 0 {
            thread::yield_now();
        }
    });
}

#[test]
fn forgetting_a_stream_is_no_worse_than_a_leak() {
    watched(|| {
        for which in STREAMS {
            let pool = HubPool::new(1).unwrap();
            let drops = Drops::new();
            std::mem::forget(begun(&pool, which, drops.token()));
            pool.close().wait();
            assert_eq!(drops.count(), 1, "{which}");
        }
    });
}

#[test]
fn a_waker_that_panics_harms_only_its_own_task() {
    watched(|| {
        for method in Method::ALL {
            let pool = HubPool::new(1).unwrap();
            let hostile = Hostile::new(method, || resume_unwind(Box::new("in a waker")));
            let go = Arc::new(Semaphore::new(0));
            let gone = go.clone();
            let mut stream = pool.reader(move || {
                gone.acquire().wait().unwrap().forget();
                Source::new(100, 5000, Ends::Well)
            });
            hostile.arm(true);
            let waker = hostile.waker();
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut stream).poll_fill_buf(&mut cx).is_pending());
            go.add_permits(1);
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).wait().unwrap();
            assert_pattern(&bytes, 100);
            hostile.arm(false);
        }
    });
}

// Writers.

/// A writer into a list that the test can see, and that is finished by a count.
fn listed(pool: &HubPool, ends: Ends) -> (PoolWriter, Arc<Mutex<Vec<u8>>>, Count) {
    let (list, finished) = (Arc::new(Mutex::new(Vec::new())), Count::new());
    let (there, told) = (list.clone(), finished.clone());
    let writer = pool.writer(
        move || Listed(there, ends),
        move |Listed(..)| {
            told.add();
            match ends {
                Ends::WithPanicInDrop => resume_unwind(Box::new("in the end")),
                Ends::WithTooMuch => Err(io::Error::new(ErrorKind::InvalidData, "at the end")),
                _ => Ok(()),
            }
        },
    );
    (writer, list, finished)
}

struct Listed(Arc<Mutex<Vec<u8>>>, Ends);

impl Write for Listed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.1 {
            Ends::WithError(kind) => return Err(io::Error::new(kind, "of the writer")),
            Ends::WithPanic => resume_unwind(Box::new("in the writer")),
            Ends::WithClose => std::future::pending().wait(),
            _ => {}
        }
        let few = bytes.len().min(1000);
        self.0.lock().unwrap().extend_from_slice(&bytes[..few]);
        yield_now().wait();
        Ok(few)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().push(b'!');
        Ok(())
    }
}

#[test]
fn a_writer_gets_every_byte_and_then_its_end() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            for total in [0, 1, 1000, 300_000] {
                let (mut writer, list, finished) = listed(&pool, Ends::Well);
                let bytes: Vec<_> = (0..total).map(pattern).collect();
                writer.write_all(&bytes).await.unwrap();
                assert_eq!(finished.get(), 0);
                writer.shutdown().await.unwrap();
                assert_eq!(finished.get(), 1);
                assert_pattern(&list.lock().unwrap(), total);
                // Once more harms nothing, but nothing can be written any more.
                writer.shutdown().await.unwrap();
                writer.flush().await.unwrap();
                let late = writer.write(b"late").await.unwrap_err();
                assert_eq!(late.kind(), ErrorKind::BrokenPipe);
            }
        });
    });
}

#[test]
fn a_flush_waits_until_all_is_written_and_flushed() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let (mut writer, list, _) = listed(&pool, Ends::Well);
        multi_thread_runtime().block_on(async {
            for round in 1..=3 {
                writer.write_all(b"abc").await.unwrap();
                if round == 2 {
                    // One that is given up counts for nothing.
                    let _ = poll_once(Pin::new(&mut Box::pin(writer.flush())));
                    writer.write_all(b"d").await.unwrap();
                }
                writer.flush().await.unwrap();
                let list = list.lock().unwrap();
                assert_eq!(list.last(), Some(&b'!'));
                let written = list.iter().filter(|byte| **byte != b'!').count();
                assert_eq!(written, 3 * round + usize::from(round >= 2));
            }
        });
    });
}

#[test]
fn a_writer_that_fails_is_an_error_of_the_write_or_of_the_shutdown() {
    let ways = [
        (
            Ends::WithError(ErrorKind::InvalidData),
            ErrorKind::InvalidData,
            "of the writer",
        ),
        (Ends::WithPanic, ErrorKind::Other, "in the writer"),
        (Ends::WithPanicInDrop, ErrorKind::Other, "in the end"),
        (Ends::WithTooMuch, ErrorKind::InvalidData, "at the end"),
        (Ends::WithClose, ErrorKind::Other, "the hub is closing"),
    ];
    watched(move || {
        for (ends, kind, text) in ways {
            for total in [1, 300_000] {
                let pool = HubPool::new(1).unwrap();
                let (mut writer, _, finished) = listed(&pool, ends);
                multi_thread_runtime().block_on(async {
                    if ends == Ends::WithClose {
                        writer.write_all(b"x").await.unwrap();
                        pool.call(|| ()).await.unwrap();
                        pool.close().await;
                    }
                    let written = writer.write_all(&vec![1; total]).await;
                    let error = match written {
                        Ok(()) => writer.shutdown().await.unwrap_err(),
                        Err(e) => e,
                    };
                    assert_eq!(error.kind(), kind, "{ends:?}");
                    assert!(error.to_string().contains(text), "{error}");
                    for again in [writer.shutdown().await, writer.flush().await] {
                        assert_eq!(again.unwrap_err().kind(), kind, "{ends:?}");
                    }
                    assert_eq!(writer.write(b"x").await.unwrap_err().kind(), kind);
                });
                let ends_late = matches!(ends, Ends::WithPanicInDrop | Ends::WithTooMuch);
                assert_eq!(finished.get(), usize::from(ends_late));
            }
        }
    });
}

#[test]
fn a_writer_that_is_behind_holds_up_its_task() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let mut writer = pool.writer(
            || Listed(Arc::default(), Ends::WithClose),
            |_| unreachable!(),
        );
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut taken = 0;
        loop {
            match Pin::new(&mut writer).poll_write(&mut cx, &[0; 1000]) {
                Poll::Ready(amount) => taken += amount.unwrap(),
                // Until the fiber has taken its part, there is room for more.
                Poll::Pending if taken >= 64 * 1024 => break,
                Poll::Pending => thread::yield_now(),
            }
            assert!(taken <= MOST);
        }
    });
}

// Iterators.

async fn items(mut stream: PoolIter<u32>) -> (Vec<u32>, Option<JoinError>) {
    let mut all = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(item) => all.push(item),
            Err(e) => {
                assert!(stream.next().await.is_none());
                return (all, Some(e));
            }
        }
    }
    assert!(stream.next().await.is_none());
    (all, None)
}

#[test]
fn an_iterator_gives_all_its_items_in_their_order() {
    watched(|| {
        let pool = HubPool::new(2).unwrap();
        multi_thread_runtime().block_on(async {
            for count in [0, 1, 8, 9, 5000] {
                let stream = pool.iter(move || {
                    (0..count).inspect(|n| {
                        if n % 7 == 0 {
                            yield_now().wait();
                        }
                    })
                });
                let (all, error) = tokio::spawn(items(stream)).await.unwrap();
                assert!(error.is_none());
                assert_eq!(all, Vec::from_iter(0..count));
            }
        });
    });
}

#[test]
fn a_panic_of_an_iterator_is_its_last_item() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        for count in [0, 1, 100] {
            let stream = pool.iter(move || {
                (0..).inspect(move |n| {
                    if *n == count {
                        resume_unwind(Box::new("in the iterator"));
                    }
                })
            });
            let (all, error) = multi_thread_runtime().block_on(items(stream));
            assert_eq!(all, Vec::from_iter(0..count));
            assert!(error.unwrap().is_panic());
        }
    });
}

#[test]
fn an_iterator_is_ahead_by_a_few_items() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let made = Count::new();
        let seen = made.clone();
        let mut stream = pool.iter(move || (0..1_000_000).inspect(move |_| seen.add()));
        for taken in 1..=50 {
            stream.next().wait().unwrap().unwrap();
            pool.call(|| yield_now().wait()).wait().unwrap();
            // 8 in each end of the pipe, and one in the hand of the fiber.
            assert!(made.get() <= taken + 17, "{} of {taken}", made.get());
        }
    });
}

#[test]
fn items_that_nobody_takes_are_dropped_once() {
    watched(|| {
        let pool = HubPool::new(1).unwrap();
        let drops = Drops::new();
        let made = Arc::new(AtomicUsize::new(0));
        let (from, count) = (drops.clone(), made.clone());
        let mut stream = pool.iter(move || {
            std::iter::repeat_with(move || {
                count.fetch_add(1, Ordering::SeqCst);
                from.token()
            })
        });
        drop(stream.next().wait().unwrap().unwrap());
        drop(stream);
        pool.close().wait();
        assert_eq!(drops.count(), made.load(Ordering::SeqCst));
    });
}
