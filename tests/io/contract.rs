//! The same script of operations on std's `TcpStream` and on tokio's in a `Blocking`
//! gives the same results: counts, bytes, kinds of errors and codes of the system.

use std::fmt::{self, Debug};
use std::io::{self, BufRead, BufReader, BufWriter, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{ms, multi_thread_runtime, watched};
use switchback::io::Blocking;

/// Long enough for the loopback device, short enough for a test.
const SHORT: Duration = ms(30);

/// A stream under test.
trait Stream: Read + Write {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn read_timeout(&self) -> io::Result<Option<Duration>>;
    fn write_timeout(&self) -> io::Result<Option<Duration>>;
    fn shutdown(&mut self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(timeout)
    }
    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.read_timeout()
    }
    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.write_timeout()
    }
    fn shutdown(&mut self) -> io::Result<()> {
        TcpStream::shutdown(self, Shutdown::Write)
    }
}

impl Stream for Blocking<tokio::net::TcpStream> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(timeout)
    }
    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.read_timeout()
    }
    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.write_timeout()
    }
    fn shutdown(&mut self) -> io::Result<()> {
        self.shutdown_write()
    }
}

/// A stream that is used only through a shared reference.
#[cfg(unix)]
struct Shared(Blocking<tokio::net::TcpStream>);

#[cfg(unix)]
mod shared {
    use super::*;

    impl Read for Shared {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            (&self.0).read(buf)
        }
        fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
            (&self.0).read_vectored(bufs)
        }
    }

    impl Write for Shared {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            (&self.0).write(buf)
        }
        fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            (&self.0).write_vectored(bufs)
        }
        fn flush(&mut self) -> io::Result<()> {
            (&self.0).flush()
        }
    }

    impl Stream for Shared {
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.0.set_read_timeout(timeout)
        }
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.0.set_write_timeout(timeout)
        }
        fn read_timeout(&self) -> io::Result<Option<Duration>> {
            self.0.read_timeout()
        }
        fn write_timeout(&self) -> io::Result<Option<Duration>> {
            self.0.write_timeout()
        }
        fn shutdown(&mut self) -> io::Result<()> {
            self.0.shutdown(Shutdown::Write)
        }
    }
}

/// What a script has seen.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    /// Notes how an operation has ended. A timeout is whatever the platform calls it.
    fn note<T: Debug>(&mut self, what: &str, result: io::Result<T>) {
        let result = result.map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "timeout".to_owned(),
            kind => format!("{kind:?} {:?}", e.raw_os_error()),
        });
        self.0.push(format!("{what}: {result:?}"));
    }

    /// Reads up to `size` bytes.
    fn read(&mut self, stream: &mut dyn Stream, size: usize) {
        let mut buf = vec![0; size];
        let result = stream.read(&mut buf).map(|n| buf[..n].to_vec());
        self.note("read", result);
    }

    fn write(&mut self, stream: &mut dyn Stream, bytes: &[u8]) {
        self.note("write", stream.write(bytes));
    }
}

impl Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// Operates a stream and its peer. The peer is std's; on the loopback device its
/// operations are done when they return.
type Script = fn(&mut dyn Stream, TcpStream, &mut Seen);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    (near, far)
}

fn run(script: Script, wrap: impl FnOnce(TcpStream) -> Box<dyn Stream>) -> Vec<String> {
    let (near, far) = pair();
    let mut seen = Seen::default();
    script(&mut *wrap(near), far, &mut seen);
    seen.0
}

fn blocking(stream: TcpStream) -> Blocking<tokio::net::TcpStream> {
    stream.set_nonblocking(true).unwrap();
    Blocking::new(tokio::net::TcpStream::from_std(stream).unwrap())
}

/// Runs a script on each kind of stream, and checks that they agree with std's.
/// `expected` are words of what std's stream gives, one operation after the other.
#[track_caller]
fn assert_same(script: Script, expected: &[&str]) {
    let std = watched(move || run(script, |stream| Box::new(stream)));
    assert_eq!(std.len(), expected.len(), "{std:#?}");
    for (seen, expected) in std.iter().zip(expected) {
        assert!(seen.contains(expected), "{seen:?} is not {expected:?}");
    }

    let in_fiber = watched(move || {
        switchback::run(move || run(script, |stream| Box::new(blocking(stream)))).unwrap()
    });
    assert_eq!(in_fiber, std, "in a fiber");

    let on_thread = watched(move || {
        let runtime = multi_thread_runtime();
        let _entered = runtime.enter();
        run(script, |stream| Box::new(blocking(stream)))
    });
    assert_eq!(on_thread, std, "on a plain thread");

    #[cfg(unix)]
    {
        let shared = watched(move || {
            switchback::run(move || run(script, |stream| Box::new(Shared(blocking(stream)))))
                .unwrap()
        });
        assert_eq!(shared, std, "through a shared reference");
    }
}

/// Sends what unread data and a close make of it: a reset.
fn reset(peer: TcpStream, stream: &mut dyn Stream) {
    stream.write_all(b"never read").unwrap();
    let mut first = [0];
    peer.peek(&mut first).unwrap();
    drop(peer);
}

#[test]
fn reads_give_what_is_there() {
    assert_same(
        |stream, mut peer, seen| {
            peer.write_all(b"hello").unwrap();
            seen.read(stream, 3);
            seen.read(stream, 10);
            peer.write_all(b", there").unwrap();
            seen.read(stream, 7);
        },
        &["Ok([104, 101, 108])", "Ok([108, 111])", "Ok([44, 32,"],
    );
}

#[test]
fn reads_past_the_end_stay_at_the_end() {
    assert_same(
        |stream, mut peer, seen| {
            peer.write_all(b"end").unwrap();
            drop(peer);
            for _ in 0..4 {
                seen.read(stream, 8);
            }
            let mut rest = Vec::new();
            seen.note("read_to_end", stream.read_to_end(&mut rest));
        },
        &["Ok([101", "Ok([])", "Ok([])", "Ok([])", "Ok(0)"],
    );
}

#[test]
fn exact_reads_that_come_to_the_end_are_unexpected() {
    assert_same(
        |stream, mut peer, seen| {
            peer.write_all(b"four and more").unwrap();
            drop(peer);
            let mut four = [0; 4];
            seen.note("read_exact", stream.read_exact(&mut four));
            seen.note("read_exact", stream.read_exact(&mut [0; 100]));
            seen.note("read_exact", stream.read_exact(&mut []));
        },
        &["Ok(())", "UnexpectedEof None", "Ok(())"],
    );
}

#[test]
fn text_that_is_none_is_invalid() {
    assert_same(
        |stream, mut peer, seen| {
            peer.write_all(b"\xff\xfe").unwrap();
            drop(peer);
            let mut text = String::new();
            seen.note("read_to_string", stream.read_to_string(&mut text));
        },
        &["InvalidData None"],
    );
}

#[test]
fn a_stream_that_was_half_closed_still_reads() {
    assert_same(
        |stream, mut peer, seen| {
            seen.write(stream, b"last words");
            seen.note("shutdown", stream.shutdown());
            let mut heard = String::new();
            seen.note("peer's read", peer.read_to_string(&mut heard));
            seen.write(stream, b"more");
            seen.write(stream, b"");
            peer.write_all(b"answer").unwrap();
            seen.read(stream, 10);
            seen.note("shutdown", stream.shutdown());
            drop(peer);
            seen.read(stream, 10);
            seen.write(stream, b"more");
        },
        &[
            "Ok(10)",
            "Ok(())",
            "Ok(10)",
            "BrokenPipe",
            "Err",
            "Ok([97",
            "Ok(())",
            "Ok([])",
            "BrokenPipe",
        ],
    );
}

#[test]
fn a_stream_whose_peer_was_half_closed_still_writes() {
    assert_same(
        |stream, mut peer, seen| {
            peer.write_all(b"question").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            seen.read(stream, 10);
            seen.read(stream, 10);
            seen.note("write_all", stream.write_all(b"answer"));
            seen.note("flush", stream.flush());
            seen.note("shutdown", stream.shutdown());
            let mut heard = String::new();
            seen.note("peer's read", peer.read_to_string(&mut heard));
        },
        &["Ok([113", "Ok([])", "Ok(())", "Ok(())", "Ok(())", "Ok(6)"],
    );
}

#[test]
fn a_read_of_a_reset_connection_says_so_once() {
    assert_same(
        |stream, peer, seen| {
            reset(peer, stream);
            seen.read(stream, 10);
            seen.read(stream, 10);
            seen.write(stream, b"more");
        },
        &["ConnectionReset", "Ok([])", "BrokenPipe"],
    );
}

#[test]
fn a_write_to_a_reset_connection_says_so_once() {
    assert_same(
        |stream, peer, seen| {
            reset(peer, stream);
            seen.write(stream, b"more");
            seen.write(stream, b"more");
            seen.read(stream, 10);
        },
        &["ConnectionReset", "BrokenPipe", "Ok([])"],
    );
}

#[test]
fn a_connection_that_is_reset_during_a_read_ends_it() {
    assert_same(
        |stream, peer, seen| {
            stream.write_all(b"never read").unwrap();
            let resetter = std::thread::spawn(move || {
                std::thread::sleep(SHORT);
                drop(peer);
            });
            seen.read(stream, 10);
            resetter.join().unwrap();
        },
        &["ConnectionReset"],
    );
}

#[test]
fn a_read_over_its_timeout_can_be_tried_again() {
    assert_same(
        |stream, mut peer, seen| {
            seen.note("set", stream.set_read_timeout(Some(SHORT)));
            seen.read(stream, 10);
            let mut some = [0; 2];
            seen.note("read_exact", stream.read_exact(&mut some));
            peer.write_all(b"at last").unwrap();
            seen.read(stream, 10);
            seen.note("set", stream.set_read_timeout(None));
            drop(peer);
            seen.read(stream, 10);
        },
        &["Ok(())", "timeout", "timeout", "Ok([97", "Ok(())", "Ok([])"],
    );
}

#[test]
fn a_write_over_its_timeout_can_be_tried_again() {
    assert_same(
        |stream, mut peer, seen| {
            seen.note("set", stream.set_write_timeout(Some(SHORT)));
            let block = [7; 1 << 16];
            let mut sent = 0;
            let ended = loop {
                match stream.write(&block) {
                    Ok(n) => sent += n,
                    Err(e) => break Err::<(), _>(e),
                }
            };
            seen.note("writes", ended);
            seen.write(stream, b"");
            seen.note(
                "write_vectored",
                stream.write_vectored(&[IoSlice::new(b"")]),
            );
            peer.read_exact(&mut vec![0; sent]).unwrap();
            seen.write(stream, b"again");
            let mut heard = [0; 5];
            peer.read_exact(&mut heard).unwrap();
            seen.note("peer's read", Ok(heard));
        },
        &[
            "Ok(())",
            "timeout",
            "Ok(0)",
            "Ok(0)",
            "Ok(5)",
            "[97, 103, 97",
        ],
    );
}

#[test]
fn timeouts_of_zero_are_refused_and_change_nothing() {
    assert_same(
        |stream, _peer, seen| {
            let second = Some(Duration::from_secs(1));
            seen.note("get", stream.read_timeout());
            seen.note("set", stream.set_read_timeout(second));
            seen.note("set", stream.set_read_timeout(Some(Duration::ZERO)));
            seen.note("get", stream.read_timeout());
            seen.note("get", stream.write_timeout());
            seen.note("set", stream.set_write_timeout(Some(Duration::ZERO)));
            seen.note("set", stream.set_write_timeout(second));
            seen.note("get", stream.write_timeout());
            seen.note("set", stream.set_write_timeout(None));
            seen.note("get", stream.write_timeout());
        },
        &[
            "Ok(None)",
            "Ok(())",
            "InvalidInput None",
            "Ok(Some(1s))",
            "Ok(None)",
            "InvalidInput None",
            "Ok(())",
            "Ok(Some(1s))",
            "Ok(())",
            "Ok(None)",
        ],
    );
}

#[test]
fn buffers_of_no_length_are_answered_as_std_does() {
    assert_same(
        |stream, mut peer, seen| {
            stream.set_read_timeout(Some(SHORT)).unwrap();
            seen.read(stream, 0);
            seen.note("read_vectored", stream.read_vectored(&mut []));
            let mut none = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])];
            seen.note("read_vectored", stream.read_vectored(&mut none));
            seen.write(stream, b"");
            seen.note("write_vectored", stream.write_vectored(&[]));
            let none = [IoSlice::new(&[]), IoSlice::new(&[])];
            seen.note("write_vectored", stream.write_vectored(&none));
            seen.note("write_all", stream.write_all(b""));
            peer.write_all(b"some").unwrap();
            seen.read(stream, 0);
            seen.read(stream, 10);
            drop(peer);
            seen.read(stream, 0);
            seen.read(stream, 10);
            seen.read(stream, 0);
        },
        &[
            "Ok([])",
            "Ok(0)",
            "Ok(0)",
            "Ok(0)",
            "Ok(0)",
            "Ok(0)",
            "Ok(())",
            "Ok([])",
            "Ok([115, 111, 109, 101])",
            "Ok([])",
            "Ok([])",
            "Ok([])",
        ],
    );
}

#[test]
fn vectored_reads_fill_one_buffer_after_the_other() {
    assert_same(
        |stream, mut peer, seen| {
            let mut vectored = |stream: &mut dyn Stream| {
                let (mut a, mut b, mut c) = ([0; 3], [0; 4], [0; 8]);
                let mut bufs = [
                    IoSliceMut::new(&mut a),
                    IoSliceMut::new(&mut []),
                    IoSliceMut::new(&mut b),
                    IoSliceMut::new(&mut c),
                ];
                let n = stream.read_vectored(&mut bufs);
                let read = n.map(|n| [&a[..], &b, &c].concat()[..n].to_vec());
                seen.note("read_vectored", read);
            };
            peer.write_all(b"abcdefghi").unwrap();
            vectored(stream);
            peer.write_all(b"jk").unwrap();
            vectored(stream);
            peer.write_all(&[b'x'; 20]).unwrap();
            vectored(stream);
            vectored(stream);
            drop(peer);
            vectored(stream);
        },
        &[
            "Ok([97, 98, 99, 100, 101, 102, 103, 104, 105])",
            "Ok([106, 107])",
            "Ok([120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120, 120])",
            "Ok([120, 120, 120, 120, 120])",
            "Ok([])",
        ],
    );
}

#[test]
fn vectored_writes_take_all_buffers() {
    assert_same(
        |stream, mut peer, seen| {
            let bufs = [b"one ".as_slice(), b"", b"two ", b"three"].map(IoSlice::new);
            seen.note("write_vectored", stream.write_vectored(&bufs));
            let mut heard = [0; 13];
            peer.read_exact(&mut heard).unwrap();
            seen.note("peer's read", Ok(String::from_utf8_lossy(&heard)));
            drop(peer);
            seen.note("write_vectored", stream.write_vectored(&bufs));
        },
        &["Ok(13)", "one two three", "Ok(13)"],
    );
}

#[test]
fn std_s_adapters_work_on_top() {
    assert_same(
        |stream, mut peer, seen| {
            peer.write_all(b"first\nsecond\nlast").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            for line in BufReader::new(&mut *stream).lines() {
                seen.note("line", line);
            }
            let mut writer = BufWriter::new(&mut *stream);
            seen.note("write", writer.write(b"buffered"));
            seen.note("flush", writer.flush());
            drop(writer);
            let copied = io::copy(&mut b" and copied".as_slice(), stream);
            seen.note("copy", copied);
            seen.note("shutdown", stream.shutdown());
            let mut heard = String::new();
            peer.read_to_string(&mut heard).unwrap();
            seen.note("peer's read", Ok(heard));
        },
        &[
            "first",
            "second",
            "last",
            "Ok(8)",
            "Ok(())",
            "Ok(11)",
            "Ok(())",
            "buffered and copied",
        ],
    );
}
