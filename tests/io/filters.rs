//! `io::AsyncReader` and `io::AsyncWriter`: std's decoders and encoders as tokio's. Those of
//! libraries are in `examples/libraries/tests/filters.rs`.

use std::cell::Cell;
use std::future::pending;
use std::io::{self, BufWriter, ErrorKind, IoSlice, Read, Write};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use switchback::{
    io::{AsyncReader, AsyncWriter, Blocking, Sink},
    prelude::*,
    spawn, yield_now,
};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::time::timeout;

use crate::support::ending::{Count, poll_once, settle};
use crate::support::{Drops, Log, OnDrop, in_async, in_paused, in_root_fiber, runtime, watched};

const SECOND: Duration = Duration::from_secs(1);

// The reader.

/// A std reader that does what its closure says.
struct Reader<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for Reader<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (self.0)(buf)
    }
}

fn reader<F>(f: F) -> AsyncReader
where
    F: FnMut(&mut [u8]) -> io::Result<usize> + 'static,
{
    AsyncReader::new(move || Reader(f))
}

/// Reads from a stream that never has anything, and drops a token when it ends.
fn stuck_reader(drops: &Drops) -> AsyncReader {
    let (near, far) = duplex(1);
    let tokens = (drops.token(), drops.token());
    AsyncReader::new(move || {
        let (token, other) = tokens;
        let mut source = Blocking::new(near);
        Reader(move |buf: &mut [u8]| {
            let _ = (&far, &token, &other);
            source.read(buf)
        })
    })
}

async fn read_some(reader: &mut AsyncReader) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; 100];
    let n = reader.read(&mut buf).await?;
    buf.truncate(n);
    Ok(buf)
}

#[test]
fn a_reader_is_made_by_the_first_poll_and_asked_once_for_each() {
    in_async(|| async {
        let (made, reads) = (Count::new(), Count::new());
        let (makes, counts) = (made.clone(), reads.clone());
        let mut reader = AsyncReader::new(move || {
            makes.add();
            Reader(move |buf: &mut [u8]| {
                counts.add();
                buf[..3].copy_from_slice(b"abc");
                Ok(3)
            })
        });
        settle().await;
        assert_eq!(made.get(), 0);
        assert_eq!(reader.read(&mut [0; 2]).await.unwrap(), 2);
        assert_eq!(reader.read(&mut [0; 9]).await.unwrap(), 1);
        settle().await;
        assert_eq!((made.get(), reads.get()), (1, 1));
        assert_eq!(reader.read(&mut [0; 9]).await.unwrap(), 3);
        assert_eq!((made.get(), reads.get()), (1, 2));
    });
}

#[test]
fn a_read_into_no_room_does_not_run_the_reader() {
    in_async(|| async {
        let mut reader = AsyncReader::new(|| -> &[u8] { unreachable!() });
        assert_eq!(reader.read(&mut []).await.unwrap(), 0);
    });
}

#[test]
fn a_reader_gets_a_buffer_of_the_capacity() {
    in_async(|| async {
        for (capacity, expected) in [(0, 1), (5, 5)] {
            let make = move || {
                Reader(move |buf: &mut [u8]| {
                    assert_eq!(buf.len(), expected);
                    Ok(buf.len())
                })
            };
            let mut reader = AsyncReader::with_capacity(capacity, make);
            assert_eq!(reader.read(&mut [0; 9]).await.unwrap(), expected);
        }
        let mut reader = reader(|buf| {
            assert_eq!(buf.len(), 8192);
            Ok(0)
        });
        assert_eq!(read_some(&mut reader).await.unwrap(), b"");
    });
}

#[test]
fn a_constructor_that_reads_waits_for_its_source() {
    in_async(|| async {
        let (near, mut far) = duplex(1);
        let mut reader = AsyncReader::new(move || {
            let mut source = Blocking::new(near);
            let mut magic = [0; 4];
            source.read_exact(&mut magic).unwrap();
            assert_eq!(&magic, b"HEAD");
            source
        });
        let write = async move { far.write_all(b"HEADbody").await.unwrap() };
        let mut text = String::new();
        let ((), read) = tokio::join!(write, reader.read_to_string(&mut text));
        read.unwrap();
        assert_eq!(text, "body");
    });
}

#[test]
fn a_poll_after_the_end_asks_again() {
    in_async(|| async {
        let mut answers = [b"".as_slice(), b"", b"more", b""].into_iter();
        let mut reader = reader(move |mut buf| buf.write(answers.next().unwrap()));
        assert_eq!(read_some(&mut reader).await.unwrap(), b"");
        assert_eq!(read_some(&mut reader).await.unwrap(), b"");
        assert_eq!(read_some(&mut reader).await.unwrap(), b"more");
        assert_eq!(read_some(&mut reader).await.unwrap(), b"");
    });
}

#[test]
fn an_error_comes_with_its_source_and_a_poll_after_it_asks_again() {
    in_async(|| async {
        let mut first = true;
        let mut reader = reader(move |mut buf| {
            if std::mem::take(&mut first) {
                let source = io::Error::other("the source");
                return Err(io::Error::new(ErrorKind::TimedOut, source));
            }
            buf.write(b"more")
        });
        let error = read_some(&mut reader).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.into_inner().unwrap().to_string(), "the source");
        assert_eq!(read_some(&mut reader).await.unwrap(), b"more");
    });
}

#[test]
fn a_code_of_the_system_stays_one() {
    in_async(|| async {
        let mut reader = reader(|_| Err(io::Error::from_raw_os_error(9)));
        let error = read_some(&mut reader).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(9));
    });
}

#[test]
fn interrupted_is_tried_again() {
    in_async(|| async {
        let mut left = 3;
        let mut reader = reader(move |mut buf| {
            if left > 0 {
                left -= 1;
                return Err(ErrorKind::Interrupted.into());
            }
            buf.write(b"done")
        });
        assert_eq!(read_some(&mut reader).await.unwrap(), b"done");
    });
}

#[test]
fn a_reader_that_claims_more_than_there_was_room_for_is_an_error() {
    in_async(|| async {
        let mut reader = reader(|buf| Ok(buf.len() + 1));
        for _ in 0..2 {
            let error = read_some(&mut reader).await.unwrap_err();
            assert!(error.to_string().contains("room"), "{error}");
        }
    });
}

#[test]
fn a_reader_wakes_whoever_polled_it_last() {
    in_async(|| async {
        let (near, mut far) = duplex(8);
        let mut reader = AsyncReader::new(move || Blocking::new(near));
        // A waker of its own for each of two polls.
        let mut tasks = [(); 2].map(tokio_test::task::spawn);
        for task in &mut tasks {
            let polled = task.enter(|cx, _| Pin::new(&mut reader).poll_fill_buf(cx).is_pending());
            assert!(polled);
        }
        far.write_all(b"come").await.unwrap();
        assert_eq!(tasks.each_ref().map(|task| task.is_woken()), [false, true]);
        assert_eq!(read_some(&mut reader).await.unwrap(), b"come");
    });
}

#[test]
fn a_panic_of_a_reader_is_the_polls_and_then_reads_fail() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut reader = reader(move |_| {
            let _ = &token;
            panic!("of the reader")
        });
        let caught = AssertUnwindSafe(read_some(&mut reader))
            .catch_unwind()
            .await;
        assert_eq!(
            *caught.unwrap_err().downcast::<&str>().unwrap(),
            "of the reader"
        );
        assert_eq!(drops.count(), 1);
        for _ in 0..2 {
            let error = read_some(&mut reader).await.unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
    });
}

#[test]
fn a_panic_of_a_constructor_is_the_polls() {
    in_async(|| async {
        let mut reader = AsyncReader::new(|| -> &[u8] { panic!("of the constructor") });
        let caught = AssertUnwindSafe(read_some(&mut reader))
            .catch_unwind()
            .await;
        assert!(caught.is_err());
        assert!(read_some(&mut reader).await.is_err());
    });
}

#[test]
fn a_read_that_is_dropped_loses_nothing() {
    in_paused(|| async {
        let (near, mut far) = duplex(64);
        let mut reader = AsyncReader::new(move || Blocking::new(near));
        assert!(timeout(SECOND, read_some(&mut reader)).await.is_err());
        far.write_all(b"kept").await.unwrap();
        settle().await;
        assert_eq!(read_some(&mut reader).await.unwrap(), b"kept");
    });
}

#[test]
fn lines_come_from_the_buffer_of_a_reader() {
    in_async(|| async {
        let mut left = 2;
        let reader = reader(move |mut buf| {
            left -= 1;
            match left {
                1 => buf.write(b"one\ntw"),
                0 => buf.write(b"o\nlast"),
                _ => Ok(0),
            }
        });
        let mut lines = reader.lines();
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            all.push(line);
        }
        assert_eq!(all, ["one", "two", "last"]);
    });
}

#[test]
fn a_reader_that_never_waits_gives_way_when_the_budget_is_spent() {
    in_async(|| async {
        let stop = Rc::new(Cell::new(false));
        let stops = stop.clone();
        let mut other = spawn(move || stops.set(true));
        let mut reader = AsyncReader::with_capacity(1, || io::repeat(7));
        while !stop.get() {
            reader.read_u8().await.unwrap();
        }
        other.join().await.unwrap();
    });
}

#[test]
fn a_buffered_reader_that_never_waits_gives_way_when_the_budget_is_spent() {
    in_async(|| async {
        let stop = Rc::new(Cell::new(false));
        let stops = stop.clone();
        let mut other = spawn(move || stops.set(true));
        let mut reader = AsyncReader::with_capacity(1, || io::repeat(7));
        while !stop.get() {
            assert_eq!(reader.fill_buf().await.unwrap(), [7]);
            reader.consume(1);
        }
        other.join().await.unwrap();
    });
}

#[test]
fn a_fiber_reads_from_it_as_from_any_stream() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(4);
        let mut writer = spawn(move || far.write_all(b"nested").wait());
        let inner = AsyncReader::new(move || Blocking::new(near));
        let mut text = String::new();
        Blocking::new(inner).read_to_string(&mut text).unwrap();
        assert_eq!(text, "nested");
        writer.join().wait().unwrap().unwrap();
    });
}

#[test]
fn a_reader_that_is_dropped_half_way_is_unwound() {
    in_async(|| async {
        let drops = Drops::new();
        let mut reader = stuck_reader(&drops);
        assert!(poll_once(pin!(read_some(&mut reader))).is_pending());
        assert_eq!(drops.count(), 0);
        drop(reader);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_reader_that_was_never_polled_is_dropped_with_what_it_has() {
    let drops = Drops::new();
    drop(stuck_reader(&drops));
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_reader_that_is_dropped_between_two_reads_is_unwound() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut reader = reader(move |mut buf| {
            let _ = &token;
            buf.write(b"abc")
        });
        assert_eq!(read_some(&mut reader).await.unwrap(), b"abc");
        drop(reader);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_reader_that_outlives_its_runtime_is_unwound_without_a_poll() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let reader = runtime.block_on(async {
            let mut reader = stuck_reader(&drops);
            assert!(poll_once(pin!(read_some(&mut reader))).is_pending());
            reader
        });
        drop(runtime);
        assert_eq!(drops.count(), 0);
        drop(reader);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_source_that_stalls_is_cut_by_a_timeout() {
    in_paused(|| async {
        let drops = Drops::new();
        let mut reader = stuck_reader(&drops);
        assert!(timeout(SECOND, read_some(&mut reader)).await.is_err());
        drop(reader);
        assert_eq!(drops.count(), 2);
    });
}

// The writer.

/// An async target that notes what is done to it.
#[derive(Clone)]
struct Target {
    log: Log<String>,
    /// How many bytes it takes before it is full.
    room: Rc<Cell<usize>>,
    fails: Option<ErrorKind>,
}

impl Target {
    fn new(room: usize) -> Target {
        Target {
            log: Log::new(),
            room: Rc::new(Cell::new(room)),
            fails: None,
        }
    }

    fn failing(kind: ErrorKind) -> Target {
        Target {
            fails: Some(kind),
            ..Target::new(0)
        }
    }
}

impl AsyncWrite for Target {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.fails {
            return Poll::Ready(Err(io::Error::new(kind, "of the target")));
        }
        let n = self.room.get().min(buf.len());
        if n == 0 {
            return Poll::Pending;
        }
        self.room.set(self.room.get() - n);
        self.log
            .push(String::from_utf8_lossy(&buf[..n]).into_owned());
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.push("-flush-".into());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.push("-shutdown-".into());
        Poll::Ready(Ok(()))
    }
}

/// A writer that passes everything on, and says goodbye.
fn plain(target: &Target) -> AsyncWriter<Target> {
    AsyncWriter::with_capacity(
        4,
        target.clone(),
        |sink| sink,
        |mut sink| sink.write_all(b"bye"),
    )
}

/// A std writer that does what its closure says.
struct Writer<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<usize>> Write for Writer<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (self.0)(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.0)(b"").map(drop)
    }
}

fn writer<F>(f: F) -> AsyncWriter<Target>
where
    F: FnMut(&[u8]) -> io::Result<usize> + 'static,
{
    let target = Target::new(1000);
    AsyncWriter::new(
        target,
        |_| Writer(f),
        |mut writer| writer.write(b"fin").map(drop),
    )
}

#[test]
fn a_shutdown_finishes_the_writer_and_then_the_target() {
    in_async(|| async {
        let target = Target::new(1000);
        let mut writer = plain(&target);
        writer.write_all(b"hi").await.unwrap();
        assert_eq!(target.log.take(), ["hi"]);
        writer.flush().await.unwrap();
        assert_eq!(target.log.take(), ["-flush-"]);
        writer.shutdown().await.unwrap();
        assert_eq!(target.log.take(), ["bye", "-shutdown-"]);
        writer.shutdown().await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(target.log.len(), 0);
        let error = writer.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_writer_is_made_by_the_first_poll() {
    in_async(|| async {
        let made = Count::new();
        let makes = made.clone();
        let make = move |sink| {
            makes.add();
            sink
        };
        let mut writer = AsyncWriter::new(Vec::new(), make, |_| Ok(()));
        assert_eq!(writer.write(b"").await.unwrap(), 0);
        assert_eq!(made.get(), 0);
        writer.write_all(b"x").await.unwrap();
        assert_eq!(made.get(), 1);
        assert_eq!(writer.into_inner(), b"x");
    });
}

#[test]
fn a_slow_target_holds_up_whoever_writes() {
    in_async(|| async {
        let target = Target::new(3);
        let mut writer = plain(&target);
        // What fits into the buffer is taken, though the target is full half way.
        assert_eq!(writer.write(b"abcdef").await.unwrap(), 4);
        assert!(poll_once(pin!(writer.write(b"efgh"))).is_pending());
        assert!(poll_once(pin!(writer.write(b"efgh"))).is_pending());
        assert!(poll_once(pin!(writer.flush())).is_pending());
        assert_eq!(target.log.take(), ["abc"]);
        target.room.set(1000);
        assert_eq!(writer.write(b"EFGH").await.unwrap(), 4);
        assert_eq!(target.log.take(), ["d", "EFGH"]);
    });
}

#[test]
fn a_flush_or_shutdown_that_was_dropped_goes_on() {
    in_async(|| async {
        let target = Target::new(1);
        let mut writer = AsyncWriter::new(target.clone(), BufWriter::new, |mut w| {
            w.write_all(b"bye")?;
            w.flush()
        });
        writer.write_all(b"hi").await.unwrap();
        assert!(poll_once(pin!(writer.flush())).is_pending());
        target.room.set(10);
        assert_eq!(target.log.take(), ["h"]);
        writer.write_all(b" there").await.unwrap();
        assert_eq!(target.log.take(), ["i", "-flush-"]);
        target.room.set(3);
        assert!(poll_once(pin!(writer.shutdown())).is_pending());
        assert_eq!(target.log.take(), [" th"]);
        target.room.set(100);
        assert_eq!(
            writer.write(b"late").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        assert_eq!(target.log.take(), ["erebye", "-flush-"]);
        writer.flush().await.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(target.log.take(), ["-flush-", "-shutdown-"]);
    });
}

#[test]
fn a_vectored_write_takes_what_there_is_room_for() {
    in_async(|| async {
        let target = Target::new(1000);
        let mut writer = plain(&target);
        assert!(writer.is_write_vectored());
        let bufs = [b"ab".as_slice(), b"", b"cde"].map(IoSlice::new);
        assert_eq!(writer.write_vectored(&bufs).await.unwrap(), 4);
        assert_eq!(target.log.take(), ["abcd"]);
    });
}

#[test]
fn an_error_of_the_writer_comes_at_once_and_is_the_end() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut writer = writer(move |_| {
            let _ = &token;
            Err(io::Error::new(
                ErrorKind::InvalidData,
                io::Error::other("the source"),
            ))
        });
        let error = writer.write(b"abc").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(error.into_inner().unwrap().to_string(), "the source");
        assert_eq!(drops.count(), 1);
        let later = [
            writer.write(b"abc").await.map(drop),
            writer.flush().await,
            writer.shutdown().await,
        ];
        for result in later {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().contains("failed before"), "{error}");
        }
    });
}

#[test]
fn an_error_that_comes_late_is_returned_by_the_next_call() {
    in_async(|| async {
        let go_on = Rc::new(tokio::sync::Notify::new());
        let notified = go_on.clone();
        let mut writer = writer(move |_| {
            notified.notified().wait();
            Err(ErrorKind::InvalidData.into())
        });
        assert_eq!(writer.write(b"abc").await.unwrap(), 3);
        go_on.notify_one();
        let error = writer.write(b"def").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn an_error_of_the_target_goes_through_the_writer() {
    in_async(|| async {
        for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            let mut writer = AsyncWriter::new(
                Target::failing(kind),
                |sink| BufWriter::with_capacity(2, sink),
                |mut writer| writer.flush(),
            );
            let error = writer.write_all(b"header").await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(error.to_string(), "of the target");
        }
    });
}

#[test]
fn an_error_is_out_before_the_destructor_of_the_writer_has_waited() {
    in_async(|| async {
        // It tries to write again when it is dropped, and there is no room.
        let target = Target::new(0);
        let drops = Drops::new();
        let token = drops.token();
        let make = move |mut sink: Sink<Target>| {
            let again = OnDrop(move || {
                let _ = (sink.write(b"goodbye"), &token);
            });
            Writer(move |_: &[u8]| {
                let _ = &again;
                Err(ErrorKind::InvalidData.into())
            })
        };
        let mut writer = AsyncWriter::new(target.clone(), make, |_| Ok(()));
        let error = writer.write(b"abc").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(drops.count(), 0);
        drop(writer);
        assert_eq!(drops.count(), 1);
        assert_eq!(target.log.len(), 0);
    });
}

#[test]
fn an_error_of_finish_is_that_of_the_shutdown() {
    in_async(|| async {
        let target = Target::new(1000);
        let finish = |_| Err(io::Error::new(ErrorKind::InvalidData, "of finish"));
        let mut writer = AsyncWriter::new(target.clone(), |sink| sink, finish);
        writer.write_all(b"hi").await.unwrap();
        let error = writer.shutdown().await.unwrap_err();
        assert_eq!(error.to_string(), "of finish");
        assert_eq!(target.log.take(), ["hi"], "the target was shut down");
        assert!(writer.shutdown().await.is_err());
    });
}

#[test]
fn a_flush_that_is_interrupted_is_tried_again() {
    in_async(|| async {
        let mut left = 3;
        let mut writer = writer(move |buf| {
            if buf.is_empty() && left > 0 {
                left -= 1;
                return Err(ErrorKind::Interrupted.into());
            }
            Ok(buf.len())
        });
        writer.flush().await.unwrap();
        writer.write_all(b"more").await.unwrap();
    });
}

#[test]
fn a_finish_that_was_interrupted_interrupts_no_later_call() {
    in_root_fiber(|| {
        let finish = |_| Err(ErrorKind::Interrupted.into());
        let mut writer = Blocking::new(AsyncWriter::new(Target::new(0), |sink| sink, finish));
        let error = writer.shutdown_write().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        // Std tries an interrupted write again.
        let error = writer.write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
    });
}

#[test]
fn a_panic_of_the_writer_is_the_polls_and_is_the_end() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut writer = writer(move |_| {
            let _ = &token;
            panic!("of the writer")
        });
        let caught = AssertUnwindSafe(writer.write(b"x")).catch_unwind().await;
        assert_eq!(
            *caught.unwrap_err().downcast::<&str>().unwrap(),
            "of the writer"
        );
        assert_eq!(drops.count(), 1);
        assert!(writer.write(b"x").await.is_err());
        assert!(writer.flush().await.is_err());
        assert!(writer.shutdown().await.is_err());
    });
}

#[test]
fn a_panic_of_finish_is_that_of_the_shutdown() {
    in_async(|| async {
        let finish = |_| panic!("of finish");
        let mut writer = AsyncWriter::new(Target::new(0), |sink| sink, finish);
        let caught = AssertUnwindSafe(writer.shutdown()).catch_unwind().await;
        assert!(caught.is_err());
        assert!(writer.shutdown().await.is_err());
    });
}

#[test]
fn a_writer_that_is_dropped_is_unwound_and_writes_nothing_more() {
    in_async(|| async {
        let target = Target::new(1000);
        let drops = Drops::new();
        let token = drops.token();
        // Its destructor writes what it holds back.
        let make = move |sink| {
            let mut writer = BufWriter::new(sink);
            Writer(move |buf: &[u8]| {
                let _ = &token;
                writer.write(buf)
            })
        };
        let mut writer = AsyncWriter::new(target.clone(), make, |_| Ok(()));
        writer.write_all(b"held back").await.unwrap();
        assert_eq!(target.log.len(), 0);
        drop(writer);
        assert_eq!(drops.count(), 1);
        assert_eq!(target.log.len(), 0);
    });
}

#[test]
fn a_writer_that_is_dropped_while_it_waits_is_unwound() {
    in_async(|| async {
        let drops = Drops::new();
        let token = drops.token();
        let mut writer = AsyncWriter::new(
            Target::new(1),
            move |mut sink: Sink<Target>| {
                Writer(move |buf: &[u8]| {
                    let _ = &token;
                    sink.write_all(buf).map(|()| buf.len())
                })
            },
            |_| Ok(()),
        );
        assert_eq!(writer.write(b"abc").await.unwrap(), 3);
        assert!(poll_once(pin!(writer.write(b"def"))).is_pending());
        assert_eq!(drops.count(), 0);
        drop(writer);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_destructor_of_a_dropped_writer_is_told_that_it_cannot_write() {
    in_async(|| async {
        let told = Log::new();
        let tells = told.clone();
        let make = move |mut sink: Sink<Target>| {
            let last = OnDrop(move || {
                let error = sink.write(b"last words").unwrap_err();
                tells.push((error.kind(), error.to_string()));
            });
            Writer(move |buf: &[u8]| {
                let _ = &last;
                Ok(buf.len())
            })
        };
        let mut writer = AsyncWriter::new(Target::new(1000), make, |_| Ok(()));
        writer.write_all(b"x").await.unwrap();
        drop(writer);
        let told = told.take();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, ErrorKind::Other);
    });
}

#[test]
fn a_sink_says_that_the_writer_unwinds() {
    in_async(|| async {
        let told = Log::new();
        let tells = told.clone();
        let make = move |mut sink: Sink<Target>| {
            Writer(move |_: &[u8]| {
                let _guard = OnDrop(|| tells.push(sink.write(b"x").unwrap_err().to_string()));
                panic!("of the writer")
            })
        };
        let mut writer = AsyncWriter::new(Target::new(0), make, |_| Ok(()));
        let caught = AssertUnwindSafe(writer.write(b"abc")).catch_unwind().await;
        assert!(caught.is_err());
        let told = told.take();
        assert!(told[0].contains("the fiber is unwinding"), "{told:?}");
    });
}

#[test]
fn the_target_can_be_taken_back() {
    in_async(|| async {
        let done = |mut writer: BufWriter<Sink<Vec<u8>>>| writer.flush();
        let make = |sink| BufWriter::new(sink);
        let mut writer = AsyncWriter::new(Vec::new(), make, done);
        writer.write_all(b"whole").await.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(writer.into_inner(), b"whole");

        let mut writer = AsyncWriter::new(Vec::new(), make, done);
        writer.write_all(b"held back").await.unwrap();
        assert_eq!(writer.into_inner(), b"");
    });
}

#[test]
fn a_writer_that_waits_for_something_else_lets_others_run() {
    in_async(|| async {
        let mut writer = writer(|buf| {
            yield_now().wait();
            Ok(buf.len())
        });
        for _ in 0..3 {
            writer.write_all(b"abc").await.unwrap();
        }
        writer.flush().await.unwrap();
    });
}

#[test]
fn a_target_that_panics_is_the_polls_panic_and_can_be_taken_back() {
    #[derive(Debug)]
    struct Panics;
    impl AsyncWrite for Panics {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            panic!("of the target")
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    in_async(|| async {
        let mut writer = AsyncWriter::new(Panics, |sink| sink, |_| Ok(()));
        let caught = AssertUnwindSafe(writer.write(b"x")).catch_unwind().await;
        assert!(caught.is_err());
        let Panics = writer.into_inner();
    });
}

#[test]
fn a_task_that_is_aborted_drops_its_filters() {
    in_async(|| async {
        let drops = Drops::new();
        let mut reader = stuck_reader(&drops);
        let local = tokio::task::LocalSet::new();
        let task = local.spawn_local(async move {
            let _ = read_some(&mut reader).await;
            pending::<()>().await;
        });
        let end = async {
            settle().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        };
        local.run_until(end).await;
        assert_eq!(drops.count(), 2);
    });
}

/// Filters that wait, with a token each, for a fiber to have on its stack.
fn waiting_filters(drops: &Drops) -> (AsyncReader, AsyncWriter<Target>) {
    let mut reader = stuck_reader(drops); // it has two
    let token = drops.token();
    let mut writer = writer(move |_| {
        let _ = &token;
        pending().wait()
    });
    assert!(poll_once(pin!(read_some(&mut reader))).is_pending());
    assert!(poll_once(pin!(writer.write(b"x"))).is_ready());
    (reader, writer)
}

#[test]
fn a_fiber_that_is_cancelled_drops_its_filters() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let here = drops.clone();
        let mut fiber = spawn(move || {
            let (mut reader, _writer) = waiting_filters(&here);
            let _ = read_some(&mut reader).wait();
        });
        yield_now().wait();
        assert_eq!(drops.count(), 0);
        fiber.cancel();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_fiber_that_panics_drops_its_filters() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let here = drops.clone();
        let mut fiber = spawn(move || {
            let _filters = waiting_filters(&here);
            panic!("of the fiber");
        });
        assert!(fiber.join().wait().unwrap_err().is_panic());
        assert_eq!(drops.count(), 3);
        // Nothing of it is left behind: others are cancelled as ever.
        let mut other = spawn(|| pending::<()>().wait());
        yield_now().wait();
        other.cancel();
        assert!(other.join().wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_sink_that_outlives_the_writer_has_nothing_to_write_to() {
    in_async(|| async {
        let kept = Rc::new(Cell::new(None));
        let keep = kept.clone();
        let make = move |sink: Sink<Vec<u8>>| {
            keep.set(Some(sink));
            io::sink()
        };
        let mut writer = AsyncWriter::new(Vec::new(), make, |_| Ok(()));
        writer.write_all(b"x").await.unwrap();
        assert_eq!(writer.into_inner(), b"");
        let mut sink = kept.take().unwrap();
        let result = switchback::bridge(move || sink.write(b"late")).await;
        let error = result.unwrap_err();
        assert!(error.to_string().contains("taken back"), "{error}");
    });
}

#[test]
fn a_writer_may_write_on_another_thread() {
    in_async(|| async {
        let make = |mut sink: Sink<Vec<u8>>| {
            let (sender, bytes) = std::sync::mpsc::channel::<Vec<u8>>();
            let thread = std::thread::spawn(move || {
                bytes.iter().try_for_each(|bytes| sink.write_all(&bytes))
            });
            let writer = Writer(move |buf: &[u8]| {
                sender.send(buf.to_vec()).unwrap();
                Ok(buf.len())
            });
            (writer, thread)
        };
        let mut writer = AsyncWriter::new(
            Vec::new(),
            move |sink| OnThread(make(sink)),
            |OnThread((writer, thread))| {
                drop(writer);
                thread.join().unwrap()
            },
        );
        for _ in 0..100 {
            writer.write_all(b"abc").await.unwrap();
        }
        writer.shutdown().await.unwrap();
        assert_eq!(writer.into_inner(), b"abc".repeat(100));
    });
}

struct OnThread<W, T>((W, T));

impl<W: Write, T> Write for OnThread<W, T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
