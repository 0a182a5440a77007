//! `io::Blocking`: when it waits, when it does not, and how a wait ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::{
    self, BufRead, BufWriter, ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write,
};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use switchback::{
    Hub, bridge, io::Blocking, prelude::*, shield, sleep, spawn, with_timeout, yield_now,
};
use tokio::io::{
    AsyncBufRead, AsyncRead, AsyncReadExt, AsyncSeek, AsyncWrite, AsyncWriteExt, BufReader,
    DuplexStream, ReadBuf, duplex,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::support::ending::{Count, in_paused_fiber, settle, unwinds};
use crate::support::{
    Drops, Log, OnDrop, assert_panics, in_async, in_root_fiber, ms, multi_thread_runtime, panic_of,
    runtime, watched,
};

/// Answers each poll with what its closure says, and counts them.
struct Scripted<F> {
    polls: Count,
    answer: F,
}

fn scripted<F, R>(answer: F) -> (Blocking<Scripted<F>>, Count)
where
    F: FnMut() -> Poll<io::Result<R>>,
{
    let polls = Count::new();
    let stream = Scripted {
        polls: polls.clone(),
        answer,
    };
    (Blocking::new(stream), polls)
}

impl<F: FnMut() -> Poll<io::Result<u8>> + Unpin> AsyncRead for Scripted<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.polls.add();
        (self.answer)().map_ok(|byte| buf.put_slice(&[byte]))
    }
}

impl<F: FnMut() -> Poll<io::Result<usize>> + Unpin> AsyncWrite for Scripted<F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.polls.add();
        (self.answer)()
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polls.add();
        (self.answer)().map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// A stream that is never ready, for either direction.
fn stuck() -> (Blocking<DuplexStream>, DuplexStream) {
    let (mut near, far) = duplex(1);
    near.write_all(b"x").wait().unwrap();
    (Blocking::new(near), far)
}

// When it waits.

#[test]
fn a_read_that_is_ready_does_not_give_way() {
    in_root_fiber(|| {
        let log = Log::new();
        let (mut far, near) = duplex(16);
        let mut near = Blocking::new(near);
        far.write_all(b"ready").wait().unwrap();
        let other = log.clone();
        let mut other = spawn(move || other.push("other"));
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 5);
        assert_eq!(near.write(b"room").unwrap(), 4);
        near.flush().unwrap();
        log.push("reader");
        other.join().wait().unwrap();
        assert_eq!(log.take(), ["reader", "other"]);
    });
}

#[test]
fn a_read_that_is_not_ready_lets_others_run() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(16);
        let mut writer = spawn(move || {
            yield_now().wait();
            far.write_all(b"late").wait().unwrap();
        });
        let mut buf = [0; 8];
        assert_eq!(Blocking::new(near).read(&mut buf).unwrap(), 4);
        assert_eq!(&buf[..4], b"late");
        writer.join().wait().unwrap();
    });
}

#[test]
fn a_write_without_room_waits_for_it() {
    in_root_fiber(|| {
        let (near, mut far) = duplex(4);
        let mut reader = spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).wait().unwrap();
            all
        });
        let mut near = Blocking::new(near);
        near.write_all(&[7; 1000]).unwrap();
        near.flush().unwrap();
        near.shutdown_write().unwrap();
        assert_eq!(reader.join().wait().unwrap(), [7; 1000]);
    });
}

#[test]
fn reads_that_are_always_ready_give_way_when_the_budget_is_spent() {
    in_root_fiber(|| {
        let stop = Rc::new(Cell::new(false));
        let stops = stop.clone();
        let mut other = spawn(move || stops.set(true));
        let mut endless = Blocking::new(tokio::io::repeat(7));
        while !stop.get() {
            endless.read_exact(&mut [0; 16]).unwrap();
        }
        other.join().wait().unwrap();
    });
}

#[test]
fn it_blocks_a_plain_thread() {
    watched(|| {
        let runtime = multi_thread_runtime();
        let (near, mut far) = duplex(16);
        let writer = runtime.spawn(async move {
            tokio::time::sleep(ms(5)).await;
            far.write_all(b"late").await.unwrap();
        });
        let mut text = String::new();
        Blocking::new(near).read_to_string(&mut text).unwrap();
        assert_eq!(text, "late");
        runtime.block_on(writer).unwrap();
    });
}

#[test]
fn it_works_in_a_bridge() {
    in_async(|| async {
        let (near, mut far) = duplex(4);
        let read = bridge(move || {
            let mut text = String::new();
            Blocking::new(near).read_to_string(&mut text).unwrap();
            text
        });
        let write = async move {
            far.write_all(b"in place").await.unwrap();
            drop(far);
        };
        let (text, ()) = tokio::join!(read, write);
        assert_eq!(text, "in place");
    });
}

#[test]
fn it_is_refused_in_async_code_in_the_name_of_the_call() {
    in_async(|| async {
        let mut stream = Blocking::new(io::Cursor::new(vec![1]));
        let wrong = |call: &str| {
            format!(
                "{call} would block the runtime; use `.await`, or move this code into \
                 `switchback::spawn` or `bridge`"
            )
        };
        assert_panics(&wrong("`Blocking::read`"), || stream.read(&mut [0]));
        assert_panics(&wrong("`Blocking::read`"), || stream.read(&mut []));
        assert_panics(&wrong("`Blocking::read_vectored`"), || {
            stream.read_vectored(&mut [IoSliceMut::new(&mut [0])])
        });
        assert_panics(&wrong("`Blocking::fill_buf`"), || stream.fill_buf().is_ok());
        assert_panics(&wrong("`Blocking::write`"), || stream.write(b"x"));
        assert_panics(&wrong("`Blocking::write_vectored`"), || {
            stream.write_vectored(&[IoSlice::new(b"x")])
        });
        assert_panics(&wrong("`Blocking::flush`"), || stream.flush());
        assert_panics(&wrong("`Blocking::shutdown_write`"), || {
            stream.shutdown_write()
        });
        assert_panics(&wrong("`Blocking::seek`"), || {
            stream.seek(SeekFrom::Start(0))
        });
        // Nothing was touched.
        assert_eq!(stream.into_inner(), io::Cursor::new(vec![1]));
    });
}

#[test]
fn it_is_refused_in_a_poll_and_in_a_callback_of_the_hub() {
    in_root_fiber(|| {
        let poll = poll_fn(|_| {
            let panic = panic_of(|| Blocking::new(tokio::io::empty()).read(&mut [0]));
            Poll::Ready(panic.message)
        });
        let message = poll.wait();
        assert!(message.starts_with("`Blocking::read` inside a future's `poll`"));

        let seen = Rc::new(RefCell::new(String::new()));
        let told = seen.clone();
        Hub::current().run_callback(move || {
            let panic = panic_of(|| Blocking::new(tokio::io::empty()).read(&mut [0]));
            *told.borrow_mut() = panic.message;
        });
        yield_now().wait();
        let message = seen.take();
        assert!(
            message.starts_with("`Blocking::read` in a callback"),
            "{message}"
        );
    });
}

// What it passes on.

#[test]
fn interrupted_is_passed_on_and_never_added() {
    in_root_fiber(|| {
        let mut answers = [
            Poll::Ready(Err(ErrorKind::Interrupted.into())),
            Poll::Ready(Ok(1)),
        ]
        .into_iter();
        let (mut stream, _) = scripted(move || answers.next().unwrap());
        let interrupted = stream.read(&mut [0]).unwrap_err();
        assert_eq!(interrupted.kind(), ErrorKind::Interrupted);
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);

        // A signal that wakes the fiber for nothing is no interruption.
        let mut fiber = spawn(|| {
            let (near, far) = duplex(1);
            let read = Blocking::new(near).read(&mut [0]);
            drop(far);
            read
        });
        yield_now().wait();
        fiber.handle().unpark();
        yield_now().wait();
        assert!(fiber.is_alive());
        fiber.cancel();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
    });
}

#[test]
fn errors_are_passed_on_with_their_source() {
    in_root_fiber(|| {
        let (mut stream, _) = scripted(|| {
            let source = io::Error::other("the source");
            Poll::Ready(Err::<u8, _>(io::Error::new(ErrorKind::InvalidData, source)))
        });
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(error.into_inner().unwrap().to_string(), "the source");
    });
}

#[test]
fn a_small_vectored_read_is_one_read_that_is_spread() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(64);
        let mut near = Blocking::new(near);
        far.write_all(b"abcdefgh").wait().unwrap();
        let (mut a, mut b, mut c) = ([0; 2], [0; 3], [0; 9]);
        let mut bufs = [&mut a[..], &mut [], &mut b[..], &mut c[..]].map(IoSliceMut::new);
        assert_eq!(near.read_vectored(&mut bufs).unwrap(), 8);
        assert_eq!((&a, &b, &c[..4]), (b"ab", b"cde", b"fgh\0".as_slice()));
    });
}

#[test]
fn a_large_vectored_read_goes_into_the_first_buffer() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(1 << 16);
        let mut near = Blocking::new(near);
        far.write_all(&[7; 10_000]).wait().unwrap();
        let (mut large, mut rest) = (vec![0; 8192], vec![0; 8192]);
        let mut bufs = [&mut large[..], &mut rest[..]].map(IoSliceMut::new);
        assert_eq!(near.read_vectored(&mut bufs).unwrap(), 8192);
        assert_eq!(large, [7; 8192]);
        let (mut small, mut rest) = (vec![0; 10], vec![0; 8192]);
        let mut bufs = [&mut small[..], &mut rest[..]].map(IoSliceMut::new);
        assert_eq!(near.read_vectored(&mut bufs).unwrap(), 10_000 - 8192);
        assert_eq!((small[9], rest[1797], rest[1798]), (7, 7, 0));
    });
}

#[test]
fn lines_come_from_an_async_buffer() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(3);
        let mut writer = spawn(move || {
            far.write_all(b"one\n\ntwo\nlast").wait().unwrap();
        });
        let lines = Blocking::new(BufReader::new(near)).lines();
        let lines: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "", "two", "last"]);
        writer.join().wait().unwrap();
    });
}

#[test]
fn the_end_of_an_async_buffer_is_asked_for_once() {
    struct End(Count);
    impl AsyncRead for End {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            unreachable!()
        }
    }
    impl AsyncBufRead for End {
        fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            self.0.add();
            Poll::Ready(Ok(&[]))
        }
        fn consume(self: Pin<&mut Self>, _: usize) {}
    }
    in_root_fiber(|| {
        let polls = Count::new();
        let mut end = Blocking::new(End(polls.clone()));
        assert!(end.fill_buf().unwrap().is_empty());
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn files_seek_read_and_write() {
    in_root_fiber(|| {
        let path = std::env::temp_dir().join(format!("switchback-seek-{}", std::process::id()));
        let mut options = tokio::fs::OpenOptions::new();
        let open = options.read(true).write(true).create_new(true).open(&path);
        let mut file = Blocking::new(open.wait().unwrap());
        let _remove = OnDrop(|| std::fs::remove_file(&path).unwrap());
        file.write_all(b"0123456789").unwrap();
        assert_eq!(file.seek(SeekFrom::Start(3)).unwrap(), 3);
        assert_eq!(file.seek(SeekFrom::Current(2)).unwrap(), 5);
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "56789");
        assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), 9);
        assert_eq!(
            file.seek(SeekFrom::Current(-20)).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(file.stream_position().unwrap(), 9);
    });
}

#[test]
fn a_seek_waits_for_one_that_was_cancelled() {
    /// Takes two polls for each seek, and refuses one while it is at another.
    #[derive(Default)]
    struct Slow {
        at: u64,
        polls_left: Option<u32>,
    }
    impl AsyncSeek for Slow {
        fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
            assert!(self.polls_left.is_none(), "the last one is not done");
            let SeekFrom::Start(to) = to else {
                unreachable!()
            };
            self.at = to;
            self.polls_left = Some(2);
            Ok(())
        }
        fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
            match self.polls_left {
                Some(1..) => {
                    self.polls_left = self.polls_left.map(|left| left - 1);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => {
                    self.polls_left = None;
                    Poll::Ready(Ok(self.at))
                }
            }
        }
    }
    in_root_fiber(|| {
        let stream = Rc::new(RefCell::new(Blocking::new(Slow::default())));
        let shared = stream.clone();
        let mut first = spawn(move || shared.borrow_mut().seek(SeekFrom::Start(1)));
        yield_now().wait();
        first.cancel();
        assert!(first.join().wait().unwrap_err().is_cancelled());
        let mut stream = stream.borrow_mut();
        assert!(stream.get_ref().polls_left.is_some());
        assert_eq!(stream.seek(SeekFrom::Start(2)).unwrap(), 2);
    });
}

// Timeouts.

#[test]
fn a_call_over_its_timeout_is_timed_out() {
    in_paused_fiber(|| {
        let (mut stream, _far) = stuck();
        stream.set_read_timeout(Some(ms(50))).unwrap();
        stream.set_write_timeout(Some(ms(70))).unwrap();
        let timed = |call: &mut dyn FnMut() -> io::Result<usize>, after: u64| {
            let begin = Instant::now();
            let error = call().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert_eq!(error.to_string(), "deadline has elapsed");
            assert_eq!(begin.elapsed().as_millis() as u64, after);
        };
        timed(&mut || stream.read(&mut [0]), 50);
        timed(
            &mut || stream.read_vectored(&mut [IoSliceMut::new(&mut [0])]),
            50,
        );
        timed(&mut || stream.write(b"x"), 70);
        timed(&mut || stream.write_vectored(&[IoSlice::new(b"x")]), 70);
        timed(&mut || stream.read(&mut [0]), 50);
    });
}

#[test]
fn flush_shutdown_and_buffered_reads_have_the_timeout_of_their_direction() {
    in_paused_fiber(|| {
        let (mut stream, _) = scripted(|| Poll::Pending::<io::Result<usize>>);
        stream.set_write_timeout(Some(ms(70))).unwrap();
        let begin = Instant::now();
        assert_eq!(stream.flush().unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), ms(70));
        assert_eq!(
            stream.shutdown_write().unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert_eq!(begin.elapsed(), ms(140));

        let (near, _far) = duplex(1);
        let mut lines = Blocking::new(BufReader::new(near));
        lines.set_read_timeout(Some(ms(50))).unwrap();
        assert_eq!(lines.fill_buf().unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), ms(190));
    });
}

#[test]
fn a_call_within_its_timeout_is_not_timed_out() {
    in_paused_fiber(|| {
        let (near, mut far) = duplex(16);
        let mut near = Blocking::new(near);
        near.set_read_timeout(Some(ms(50))).unwrap();
        let mut writer = spawn(move || {
            for _ in 0..3 {
                sleep(ms(49)).wait();
                far.write_all(b"x").wait().unwrap();
            }
        });
        for _ in 0..3 {
            assert_eq!(near.read(&mut [0; 4]).unwrap(), 1);
        }
        assert_eq!(near.read(&mut [0; 4]).unwrap(), 0);
        writer.join().wait().unwrap();
    });
}

#[test]
fn a_timeout_needs_no_timer_where_the_call_is_ready() {
    watched(|| {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fiber = spawn(|| {
                let (near, mut far) = duplex(16);
                let mut near = Blocking::new(near);
                near.set_read_timeout(Some(ms(50))).unwrap();
                near.set_write_timeout(Some(ms(50))).unwrap();
                far.write_all(b"x").wait().unwrap();
                assert_eq!(near.read(&mut [0; 4]).unwrap(), 1);
                assert_eq!(near.write(b"x").unwrap(), 1);
                let here = Location::caller();
                let panic = panic_of(|| near.read(&mut [0; 4]));
                assert!(panic.message.contains("timers are disabled"));
                panic.assert_at(here);
            });
            fiber.join().await.unwrap();
        });
    });
}

#[test]
fn a_timeout_holds_on_a_plain_thread() {
    watched(|| {
        let (near, _far) = duplex(1);
        let mut near = Blocking::new(near);
        near.set_read_timeout(Some(ms(5))).unwrap();
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn timeouts_too_large_to_count_are_as_good_as_none() {
    in_paused_fiber(|| {
        let (near, mut far) = duplex(16);
        let mut near = Blocking::new(near);
        near.set_read_timeout(Some(Duration::MAX)).unwrap();
        assert!(near.read_timeout().unwrap().unwrap() > Duration::from_secs(1 << 33));
        let mut writer = spawn(move || {
            sleep(Duration::from_secs(86_400 * 365)).wait();
            far.write_all(b"x").wait().unwrap();
        });
        assert_eq!(near.read(&mut [0]).unwrap(), 1);
        writer.join().wait().unwrap();
    });
}

#[test]
fn a_deadline_of_with_timeout_unwinds_through_a_read() {
    in_paused_fiber(|| {
        let (mut stream, _far) = stuck();
        stream.set_read_timeout(Some(ms(100))).unwrap();
        assert!(with_timeout(ms(50), || stream.read(&mut [0])).is_err());
        let inner = with_timeout(ms(150), || stream.read(&mut [0]));
        assert_eq!(inner.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

// Cancels.

#[test]
fn a_cancel_unwinds_and_is_no_error() {
    in_root_fiber(|| {
        let drops = Drops::new();
        for call in [
            (|stream| stream.read(&mut [0]))
                as fn(&mut Blocking<DuplexStream>) -> io::Result<usize>,
            |stream| stream.write(b"x"),
            |stream| stream.write_vectored(&[IoSlice::new(b"x")]),
        ] {
            let token = drops.token();
            let mut fiber = spawn(move || {
                let _token = token;
                let (mut stream, _far) = stuck();
                let _ = call(&mut stream);
                unreachable!("it does not return");
            });
            yield_now().wait();
            fiber.cancel();
            assert!(fiber.join().wait().unwrap_err().is_cancelled());
        }
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_cancel_comes_before_what_is_ready_and_takes_nothing() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(16);
        let near = Rc::new(RefCell::new(Blocking::new(near)));
        let stream = near.clone();
        let mut reader = spawn(move || stream.borrow_mut().read(&mut [0; 4]));
        yield_now().wait();
        far.write_all(b"kept").wait().unwrap();
        reader.cancel();
        assert!(reader.join().wait().unwrap_err().is_cancelled());
        let mut buf = [0; 4];
        near.borrow_mut().read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"kept");
    });
}

#[test]
fn a_shielded_read_is_not_cancelled() {
    in_root_fiber(|| {
        let (mut far, mut near) = duplex(16);
        let mut reader = spawn(move || {
            let read = shield(|| Blocking::new(&mut near).read(&mut [0; 4]));
            assert_eq!(read.unwrap(), 2);
            let _ = Blocking::new(&mut near).read(&mut [0; 4]);
            unreachable!("the cancel is delivered here");
        });
        yield_now().wait();
        reader.cancel();
        yield_now().wait();
        far.write_all(b"ok").wait().unwrap();
        assert!(reader.join().wait().unwrap_err().is_cancelled());
    });
}

// While the fiber unwinds, and after its hub.

/// Runs `call` in a destructor of a fiber that unwinds.
fn while_unwinding<R>(call: impl FnMut() -> R) -> R {
    let result = Cell::new(None);
    let mut call = call;
    assert!(unwinds(|| {
        let _guard = OnDrop(|| result.set(Some(call())));
        panic!("its own");
    }));
    result.take().unwrap()
}

#[track_caller]
fn assert_says_unwinding<R: std::fmt::Debug>(result: io::Result<R>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(
        error.to_string().contains("the fiber is unwinding"),
        "{error}"
    );
}

#[test]
fn while_the_fiber_unwinds_what_is_ready_is_done() {
    in_root_fiber(|| {
        let (mut far, near) = duplex(16);
        let mut near = Blocking::new(near);
        far.write_all(b"ready").wait().unwrap();
        assert_eq!(while_unwinding(|| near.read(&mut [0; 8])).unwrap(), 5);
        assert_eq!(while_unwinding(|| near.write(b"done")).unwrap(), 4);
    });
}

#[test]
fn while_the_fiber_unwinds_what_is_not_ready_is_an_error() {
    in_root_fiber(|| {
        let (mut stream, _far) = stuck();
        assert_says_unwinding(while_unwinding(|| stream.read(&mut [0])));
        assert_says_unwinding(while_unwinding(|| stream.write(b"x")));
        stream.set_read_timeout(Some(ms(1000))).unwrap();
        assert_says_unwinding(while_unwinding(|| stream.read(&mut [0])));
        let (mut lines, _lines_far) = duplex(1);
        let mut lines = Blocking::new(BufReader::new(&mut lines));
        assert_says_unwinding(while_unwinding(|| lines.fill_buf().map(<[u8]>::len)));
    });
}

#[test]
fn while_the_fiber_unwinds_a_call_polls_once() {
    in_root_fiber(|| {
        let (mut stream, polls) = scripted(|| Poll::Pending::<io::Result<u8>>);
        assert_says_unwinding(while_unwinding(|| stream.read(&mut [0])));
        assert_eq!(polls.get(), 1);
        stream.set_read_timeout(Some(ms(50))).unwrap();
        assert_says_unwinding(while_unwinding(|| stream.read(&mut [0])));
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn while_the_fiber_unwinds_a_call_with_a_timeout_needs_no_timer() {
    // A panic there, that says that timers are disabled, would abort.
    watched(|| {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fiber = spawn(|| {
                let (near, _far) = duplex(16);
                let mut near = Blocking::new(near);
                near.set_read_timeout(Some(ms(50))).unwrap();
                assert_says_unwinding(while_unwinding(|| near.read(&mut [0])));
            });
            fiber.join().await.unwrap();
        });
    });
}

#[test]
fn while_the_fiber_unwinds_a_refused_call_is_an_error() {
    // A panic there would be the second one, which aborts.
    in_root_fiber(|| {
        let poll = poll_fn(|_| {
            let result = while_unwinding(|| Blocking::new(tokio::io::empty()).read(&mut [0]));
            Poll::Ready(result)
        });
        assert_says_unwinding(poll.wait());
    });
}

/// Keeps what a writer's destructor was told.
struct Telling<W> {
    inner: W,
    told: Log<Result<usize, String>>,
}

impl<W: Write> Write for Telling<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf);
        let told = written.as_ref().map(|n| *n).map_err(|e| e.to_string());
        self.told.push(told);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[test]
fn a_buf_writer_that_is_dropped_in_an_unwind_flushes_what_there_is_room_for() {
    in_root_fiber(|| {
        let (near, mut far) = duplex(4);
        let told = Log::new();
        let inner = Telling {
            inner: Blocking::new(near),
            told: told.clone(),
        };
        let mut fiber = spawn(move || {
            let mut writer = BufWriter::new(inner);
            writer.write_all(b"more than there is room for").unwrap();
            pending::<()>().wait();
        });
        yield_now().wait();
        fiber.cancel();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        let told = told.take();
        assert_eq!(told[0], Ok(4));
        let error = told[1].as_ref().unwrap_err();
        assert!(error.contains("the fiber is unwinding"), "{error}");
        assert_eq!(told.len(), 2);
        let mut heard = String::new();
        far.read_to_string(&mut heard).wait().unwrap();
        assert_eq!(heard, "more");
    });
}

#[test]
fn a_buf_writer_that_is_dropped_without_an_unwind_waits_for_room() {
    in_root_fiber(|| {
        let (near, mut far) = duplex(4);
        let mut fiber = spawn(move || {
            let mut writer = BufWriter::new(Blocking::new(near));
            writer.write_all(b"more than there is room for").unwrap();
        });
        let mut heard = String::new();
        far.read_to_string(&mut heard).wait().unwrap();
        assert_eq!(heard, "more than there is room for");
        fiber.join().wait().unwrap();
    });
}

#[test]
fn a_buf_writer_over_a_hub_that_has_ended_is_refused_and_not_polled() {
    watched(|| {
        let (told, dropped) = (Log::new(), Count::new());
        let (stream, polls) = scripted(|| Poll::Ready(Ok(1000)));
        let inner = Telling {
            inner: stream,
            told: told.clone(),
        };
        let runtime = runtime();
        runtime.block_on(async {
            let dropped = dropped.clone();
            drop(spawn(move || {
                let _last = OnDrop(|| dropped.add());
                let mut writer = BufWriter::new(inner);
                writer.write_all(b"x").unwrap();
                pending::<()>().wait();
            }));
            settle().await;
        });
        drop(runtime);
        assert_eq!(dropped.get(), 1, "the stack was abandoned");
        let told = told.take();
        let error = told[0].as_ref().unwrap_err();
        assert!(error.contains("the hub has ended"), "{error}");
        assert_eq!(polls.get(), 0);
    });
}

// The halves, and what else it passes on.

#[test]
fn halves_work_at_once_and_keep_their_timeouts() {
    in_paused_fiber(|| {
        let (near, far) = duplex(1);
        let stream = Blocking::new(near);
        stream.set_read_timeout(Some(ms(50))).unwrap();
        stream.set_write_timeout(Some(ms(70))).unwrap();
        let (mut read, mut write) = stream.into_split();
        assert_eq!(read.read_timeout().unwrap(), Some(ms(50)));
        assert_eq!(write.write_timeout().unwrap(), Some(ms(70)));
        let begin = Instant::now();
        let mut reader = spawn(move || {
            assert_eq!(read.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
            read
        });
        let mut writer = spawn(move || {
            write.write_all(b"x").unwrap();
            assert_eq!(write.write(b"y").unwrap_err().kind(), ErrorKind::TimedOut);
            write
        });
        let read = reader.join().wait().unwrap();
        assert_eq!(begin.elapsed(), ms(50));
        let write = writer.join().wait().unwrap();
        assert_eq!(begin.elapsed(), ms(70));
        drop(far);
        let mut whole = Blocking::new(read.into_inner().unsplit(write.into_inner()));
        assert_eq!(whole.write(b"z").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_inner_stream_can_be_reached_and_taken_back() {
    let mut stream = Blocking::new(io::Cursor::new(vec![1, 2, 3]));
    stream.get_mut().set_position(2);
    assert_eq!(stream.get_ref().position(), 2);
    stream.set_read_timeout(Some(ms(5))).unwrap();
    assert_eq!(
        format!("{stream:?}"),
        "Blocking { inner: Cursor { inner: [1, 2, 3], pos: 2 }, read_timeout: Some(5ms), \
         write_timeout: None }"
    );
    assert_eq!(stream.into_inner().position(), 2);
}

#[cfg(unix)]
#[test]
fn it_has_the_descriptor_of_its_socket() {
    use std::os::fd::{AsFd, AsRawFd};
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Blocking::new(TcpStream::connect(address).wait().unwrap());
        let fd = stream.get_ref().as_raw_fd();
        assert_eq!(stream.as_raw_fd(), fd);
        assert_eq!(stream.as_fd().as_raw_fd(), fd);
    });
}

#[test]
fn what_is_not_unpin_is_boxed() {
    in_root_fiber(|| {
        struct NotUnpin(std::marker::PhantomPinned);
        impl AsyncRead for NotUnpin {
            fn poll_read(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                buf.put_slice(b"x");
                Poll::Ready(Ok(()))
            }
        }
        let mut stream = Blocking::new(Box::pin(NotUnpin(std::marker::PhantomPinned)));
        assert_eq!(stream.read(&mut [0; 4]).unwrap(), 1);
    });
}

// Every way in which a call fails: nothing hangs, and what the fiber has is dropped.

/// A connection of a fiber that has buffers, and tells when they are dropped.
fn connection<R: 'static>(
    drops: &Drops,
    body: impl FnOnce(&mut Blocking<TcpStream>) -> R + 'static,
) -> (switchback::Fiber<R>, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut stream = Blocking::new(listener.accept().wait().unwrap().0);
    let buffer = (vec![0_u8; 1 << 16], drops.token());
    let fiber = spawn(move || {
        let _buffer = buffer;
        body(&mut stream)
    });
    sleep(ms(5)).wait();
    (fiber, peer)
}

#[test]
fn a_reset_ends_a_read() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (mut fiber, peer) = connection(&drops, |stream| {
            stream.write_all(b"never read").unwrap();
            stream.read(&mut [0; 8])
        });
        peer.peek(&mut [0]).unwrap();
        drop(peer);
        let error = fiber.join().wait().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_reset_ends_a_write() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (mut fiber, peer) = connection(&drops, |stream| {
            loop {
                if let Err(e) = stream.write_all(&[7; 1 << 16]) {
                    return e.kind();
                }
            }
        });
        drop(peer);
        let kind = fiber.join().wait().unwrap();
        assert!(
            matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{kind:?}"
        );
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_timeout_ends_a_read() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (mut fiber, _peer) = connection(&drops, |stream| {
            stream.set_read_timeout(Some(ms(10))).unwrap();
            stream.read_to_end(&mut Vec::new())
        });
        let error = fiber.join().wait().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_cancel_ends_a_read_and_closes_the_connection() {
    in_root_fiber(|| {
        let drops = Drops::new();
        let (mut fiber, mut peer) = connection(&drops, |stream| stream.read(&mut [0; 8]));
        fiber.cancel();
        assert!(fiber.join().wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_runtime_that_ends_ends_a_read_and_closes_the_connection() {
    watched(|| {
        let drops = Drops::new();
        let runtime = runtime();
        let mut peer = runtime.block_on(async {
            let counts = drops.clone();
            let mut root = spawn(move || {
                let (fiber, peer) = connection(&counts, |stream| stream.read(&mut [0; 8]));
                drop(fiber);
                peer
            });
            root.join().await.unwrap()
        });
        drop(runtime);
        assert_eq!(drops.count(), 1);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_runtime_that_ends_ends_a_read_of_a_plain_thread() {
    watched(|| {
        let runtime = multi_thread_runtime();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = runtime.block_on(TcpStream::connect(address)).unwrap();
        let (begins, has_begun) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            begins.send(()).unwrap();
            Blocking::new(stream).read(&mut [0])
        });
        // Whether it waits by then or comes later, it is told.
        has_begun.recv().unwrap();
        drop(runtime);
        assert!(reader.join().unwrap().is_err());
        drop(listener);
    });
}

/// Through a shared reference.
mod shared {
    use switchback::io::SharedRead;

    use super::*;

    fn connected() -> (Blocking<TcpStream>, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Blocking::new(listener.accept().wait().unwrap().0), peer)
    }

    #[test]
    fn one_fiber_reads_while_another_writes() {
        const SIZE: usize = 1 << 22;
        in_root_fiber(|| {
            let (stream, mut peer) = connected();
            let stream = Rc::new(stream);
            let echo = std::thread::spawn(move || {
                let mut reader = peer.try_clone().unwrap();
                io::copy(&mut reader, &mut peer).unwrap()
            });
            let writes = stream.clone();
            let mut writer = spawn(move || {
                let mut stream = &*writes;
                stream.write_all(&[7; SIZE]).unwrap();
            });
            let mut back = vec![0; SIZE];
            (&*stream).read_exact(&mut back).unwrap();
            assert!(back.iter().all(|byte| *byte == 7));
            writer.join().wait().unwrap();
            drop((writer, stream));
            assert_eq!(echo.join().unwrap(), SIZE as u64);
        });
    }

    #[test]
    fn two_fibers_that_read_are_both_woken() {
        in_root_fiber(|| {
            let (stream, mut peer) = connected();
            let stream = Rc::new(stream);
            let mut readers: Vec<_> = (0..2)
                .map(|_| {
                    let stream = stream.clone();
                    spawn(move || (&*stream).read(&mut [0]).unwrap())
                })
                .collect();
            yield_now().wait();
            peer.write_all(b"xy").unwrap();
            for reader in &mut readers {
                assert_eq!(reader.join().wait().unwrap(), 1);
            }
        });
    }

    #[test]
    fn timeouts_and_cancels_hold() {
        in_root_fiber(|| {
            let (stream, _peer) = connected();
            stream.set_read_timeout(Some(ms(5))).unwrap();
            assert_eq!(
                (&stream).read(&mut [0]).unwrap_err().kind(),
                ErrorKind::TimedOut
            );
            stream.set_read_timeout(None).unwrap();
            let mut reader = spawn(move || (&stream).read(&mut [0]));
            yield_now().wait();
            reader.cancel();
            assert!(reader.join().wait().unwrap_err().is_cancelled());
        });
    }

    #[cfg(unix)]
    #[test]
    fn it_is_refused_in_async_code_in_the_name_of_the_call() {
        in_async(|| async {
            let (near, _far) = tokio::net::UnixStream::pair().unwrap();
            let near = Blocking::new(near);
            for panic in [
                panic_of(|| (&near).read(&mut [0])),
                panic_of(|| (&near).read(&mut [])),
                panic_of(|| (&near).read_vectored(&mut [])),
                panic_of(|| (&near).write(b"x")),
                panic_of(|| (&near).write_vectored(&[])),
            ] {
                assert!(panic.message.starts_with("`Blocking::"), "{panic:?}");
                assert!(
                    panic.message.contains("would block the runtime"),
                    "{panic:?}"
                );
            }
        });
    }

    #[test]
    fn a_stream_that_is_always_ready_gives_way_when_the_budget_is_spent() {
        struct Endless;
        impl SharedRead for Endless {
            fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                Ok(buf.len())
            }
            fn readable(&self) -> impl Future<Output = io::Result<()>> {
                pending()
            }
        }
        in_root_fiber(|| {
            let stop = Rc::new(Cell::new(false));
            let stops = stop.clone();
            let mut other = spawn(move || stops.set(true));
            let endless = Blocking::new(Endless);
            let mut three = [0; 3];
            let mut bufs = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut three)];
            assert_eq!((&endless).read_vectored(&mut bufs).unwrap(), 3);
            while !stop.get() {
                (&endless).read_exact(&mut [0; 16]).unwrap();
            }
            other.join().wait().unwrap();
        });
    }
}
