//! `io::AsyncReader` and `io::AsyncWriter`: std's decoders and encoders as tokio's.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, BufWriter, ErrorKind, IoSlice, Read, Write};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures::FutureExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult};
use switchback::{
    io::{AsyncReader, AsyncWriter, Blocking, Sink},
    prelude::*,
    spawn, yield_now,
};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    ReadBuf, duplex,
};
use tokio::time::timeout;

use crate::support::ending::{Count, poll_once, settle};
use crate::support::{
    Drops, Log, OnDrop, Token, in_async, in_paused, in_root_fiber, runtime, watched,
};

const SECOND: Duration = Duration::from_secs(1);

/// What a source does next.
#[derive(Clone, Debug)]
enum Step {
    /// Gives that many bytes at the most.
    Give(usize),
    /// Is not ready at first.
    Wait,
}

/// Gives bytes by a plan that it repeats, as an async source and as a std one, and
/// then its end, or an error.
#[derive(Clone, Debug)]
struct Source {
    bytes: VecDeque<u8>,
    plan: Vec<Step>,
    next: usize,
    fails: Option<ErrorKind>,
}

impl Source {
    fn new(bytes: &[u8], plan: &[Step], fails: Option<ErrorKind>) -> Source {
        Source {
            bytes: bytes.iter().copied().collect(),
            plan: plan.to_vec(),
            next: 0,
            fails,
        }
    }

    fn step(&mut self) -> Step {
        let step = self.plan[self.next % self.plan.len()].clone();
        self.next += 1;
        step
    }

    fn give(&mut self, buf: &mut [u8], most: usize) -> io::Result<usize> {
        if let (true, Some(kind)) = (self.bytes.is_empty(), self.fails) {
            return Err(io::Error::new(kind, "of the source"));
        }
        let most = most.min(buf.len());
        self.bytes.read(&mut buf[..most])
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Step::Give(most) = self.step() {
                return self.give(buf, most);
            }
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.step() {
            Step::Wait => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Give(most) => {
                let n = self.give(buf.initialize_unfilled(), most)?;
                buf.advance(n);
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// What came out of a decoder before its end or its error.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    bytes: Vec<u8>,
    error: Option<(ErrorKind, String)>,
}

impl Decoded {
    fn new(bytes: Vec<u8>, result: io::Result<()>) -> Decoded {
        let error = result.err().map(|e| (e.kind(), e.to_string()));
        Decoded { bytes, error }
    }
}

/// Reads with the buffer that an `AsyncReader` has.
fn decode_std(mut decoder: impl Read) -> Decoded {
    let mut bytes = Vec::new();
    let mut buf = [0; 8192];
    loop {
        match decoder.read(&mut buf) {
            Ok(0) => return Decoded::new(bytes, Ok(())),
            Ok(n) => bytes.extend(&buf[..n]),
            Err(e) => return Decoded::new(bytes, Err(e)),
        }
    }
}

async fn decode_async(mut decoder: impl AsyncRead + Unpin, sizes: &[usize]) -> Decoded {
    let mut bytes = Vec::new();
    for size in sizes.iter().cycle() {
        let mut buf = vec![0; *size];
        match decoder.read(&mut buf).await {
            Ok(0) => return Decoded::new(bytes, Ok(())),
            Ok(n) => bytes.extend(&buf[..n]),
            Err(e) => return Decoded::new(bytes, Err(e)),
        }
    }
    unreachable!("sizes repeat")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Text that compresses well, and noise that does not.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        ("[a-d ]{1,20}", 0..3000_usize).prop_map(|(text, times)| text.repeat(times).into_bytes()),
    ]
}

fn plan() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..5000_usize).prop_map(Step::Give),
        2 => (1..8_usize).prop_map(Step::Give),
        1 => Just(Step::Wait),
    ];
    let plan = prop::collection::vec(step, 1..8);
    plan.prop_filter("it gives something", |plan| {
        plan.iter().any(|step| matches!(step, Step::Give(_)))
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 1..20_000_usize], 1..5)
}

/// What is done to the compressed bytes.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Truncate(prop::sample::Index),
    /// In the body: of the header, the libraries do not check the same.
    Flip(prop::sample::Index, u8),
    Append(Vec<u8>),
    Fail(prop::sample::Index, ErrorKind),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = || any::<prop::sample::Index>();
    let kind = prop_oneof![
        Just(ErrorKind::ConnectionReset),
        Just(ErrorKind::TimedOut),
        Just(ErrorKind::Other),
    ];
    prop_oneof![
        Just(Damage::None),
        index().prop_map(Damage::Truncate),
        (index(), 1..=255_u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        prop::collection::vec(any::<u8>(), 1..50).prop_map(Damage::Append),
        (index(), kind).prop_map(|(at, kind)| Damage::Fail(at, kind)),
    ]
}

const HEADER: usize = 10;

fn damaged(mut bytes: Vec<u8>, damage: &Damage) -> (Vec<u8>, Option<ErrorKind>) {
    let mut fails = None;
    match damage {
        Damage::None => {}
        Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Flip(at, mask) => {
            let at = HEADER + at.index(bytes.len() - HEADER);
            bytes[at] ^= mask;
        }
        Damage::Append(more) => bytes.extend(more),
        Damage::Fail(at, kind) => {
            bytes.truncate(at.index(bytes.len()));
            fails = Some(*kind);
        }
    }
    (bytes, fails)
}

fn config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::with_cases(400)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_gz_decoder_decodes_as_it_does_on_std_and_as_async_compression_does(
        content in content(),
        damage in damage(),
        plan in plan(),
        sizes in sizes(),
    ) {
        let (bytes, fails) = damaged(gzip(&content), &damage);
        let source = Source::new(&bytes, &plan, fails);

        let std = decode_std(GzDecoder::new(source.clone()));
        let (ours, theirs) = futures::executor::block_on(async {
            let inner = source.clone();
            let ours = AsyncReader::new(move || GzDecoder::new(Blocking::new(inner)));
            let theirs = GzipDecoder::new(BufReader::new(source));
            (decode_async(ours, &sizes).await, decode_async(theirs, &sizes).await)
        });

        // The very same library: the same bytes, and the same error.
        prop_assert_eq!(&ours, &std);
        agree(&ours, &theirs)?;
        if matches!(damage, Damage::None | Damage::Append(_)) {
            prop_assert_eq!(ours, Decoded { bytes: content, error: None });
        }
    }

    #[test]
    fn what_a_gz_encoder_wrote_can_be_decoded(
        content in content(),
        plan in prop::collection::vec(prop_oneof![0..20_usize, 0..20_000_usize], 1..8),
        flush in any::<bool>(),
        capacity in prop_oneof![Just(8192_usize), 0..100_usize],
        room in 1..5000_usize,
    ) {
        prop_assume!(plan.iter().any(|size| *size > 0));
        let compressed = futures::executor::block_on(async {
            let (near, mut far) = duplex(room);
            let write = async {
                let mut writer = AsyncWriter::with_capacity(
                    capacity,
                    near,
                    |sink| GzEncoder::new(sink, Compression::fast()),
                    |encoder| encoder.finish().map(drop),
                );
                let mut rest = &content[..];
                for size in plan.iter().cycle() {
                    let (now, later) = rest.split_at(rest.len().min(*size));
                    writer.write_all(now).await.unwrap();
                    if flush {
                        writer.flush().await.unwrap();
                    }
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                writer.shutdown().await.unwrap();
            };
            let mut compressed = Vec::new();
            let read = far.read_to_end(&mut compressed);
            let ((), read) = futures::future::join(write, read).await;
            read.unwrap();
            compressed
        });
        let mut decoded = Vec::new();
        GzDecoder::new(&compressed[..]).read_to_end(&mut decoded).unwrap();
        prop_assert_eq!(decoded, content);
    }
}

/// Another library fails where ours does, and decodes the same bytes. How many come
/// before an error is its own affair, and so is the error.
fn agree(ours: &Decoded, theirs: &Decoded) -> TestCaseResult {
    prop_assert_eq!(
        ours.error.is_some(),
        theirs.error.is_some(),
        "{:?} {:?}",
        ours,
        theirs
    );
    let both = ours.bytes.len().min(theirs.bytes.len());
    prop_assert_eq!(&ours.bytes[..both], &theirs.bytes[..both]);
    if ours.error.is_none() {
        prop_assert_eq!(ours.bytes.len(), theirs.bytes.len());
    }
    Ok(())
}

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
        let (mut far, near) = duplex(16);
        let mut writer = spawn(move || far.write_all(&gzip(b"nested")).wait());
        let decoded = AsyncReader::new(move || GzDecoder::new(Blocking::new(near)));
        let mut text = String::new();
        Blocking::new(decoded).read_to_string(&mut text).unwrap();
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
fn a_decoder_that_is_dropped_half_way_is_unwound() {
    struct Counted<R>(R, #[allow(dead_code)] Token);
    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }
    in_async(|| async {
        let noise: Vec<u8> = (0..100_000_u32)
            .flat_map(|n| n.wrapping_mul(n).to_ne_bytes())
            .collect();
        let compressed = gzip(&noise);
        let drops = Drops::new();
        for given in [0, 5, 1000, compressed.len() - 4] {
            let (token, given) = (drops.token(), compressed[..given].to_vec());
            let (near, mut far) = duplex(1 << 20);
            far.write_all(&given).await.unwrap();
            let mut reader =
                AsyncReader::new(move || GzDecoder::new(Counted(Blocking::new(near), token)));
            let mut all = Vec::new();
            assert!(poll_once(pin!(reader.read_to_end(&mut all))).is_pending());
            drop(reader);
            assert!(far.write_all(b"x").await.is_err(), "the source is gone");
        }
        assert_eq!(drops.count(), 4);
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

#[test]
fn a_source_that_is_reset_ends_the_reader_with_that_error() {
    in_async(|| async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        near.write_all(b"never read").await.unwrap();
        let drops = Drops::new();
        let token = drops.token();
        let mut reader = AsyncReader::new(move || {
            let mut decoder = GzDecoder::new(Blocking::new(near));
            Reader(move |buf: &mut [u8]| {
                let _ = &token;
                decoder.read(buf)
            })
        });
        assert!(poll_once(pin!(read_some(&mut reader))).is_pending());
        peer.peek(&mut [0]).unwrap();
        drop(peer);
        let error = read_some(&mut reader).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        drop(reader);
        assert_eq!(drops.count(), 1);
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
                |sink| GzEncoder::new(sink, Compression::fast()),
                |encoder| encoder.finish().map(drop),
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
        let error = writer.shutdown().unwrap_err();
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
        let make = move |sink| {
            let mut encoder = GzEncoder::new(sink, Compression::fast());
            Writer(move |buf: &[u8]| {
                let _ = &token;
                encoder.write(buf)
            })
        };
        let mut writer = AsyncWriter::new(target.clone(), make, |_| Ok(()));
        writer.write_all(b"held back").await.unwrap();
        target.log.take();
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
        let done = |encoder: GzEncoder<Sink<Vec<u8>>>| encoder.finish().map(drop);
        let make = |sink| GzEncoder::new(sink, Compression::fast());
        let mut writer = AsyncWriter::new(Vec::new(), make, done);
        writer.write_all(b"whole").await.unwrap();
        writer.shutdown().await.unwrap();
        let mut text = String::new();
        GzDecoder::new(&writer.into_inner()[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "whole");

        let mut writer = AsyncWriter::new(Vec::new(), make, done);
        writer.write_all(b"held back").await.unwrap();
        assert!(writer.into_inner().len() <= HEADER);
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
