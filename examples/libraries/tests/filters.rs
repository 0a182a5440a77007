//! `io::AsyncReader` and `io::AsyncWriter` over flate2's decoders and encoders, with generated
//! data: they decode what the same library does over std, and what async-compression does.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use async_compression::tokio::bufread::GzipDecoder;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult};
use switchback::io::{AsyncReader, AsyncWriter, Blocking, Sink};
use switchback::{prelude::*, spawn};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf, duplex};

use crate::support::ending::poll_once;
use crate::support::{Drops, Token, in_async, in_root_fiber};

#[path = "../../../tests/support/mod.rs"]
mod support;

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

// What else a library does in them.

/// A source whose drop is counted.
struct Counted<R>(R, #[allow(dead_code)] Token);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
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
fn a_decoder_that_is_dropped_half_way_is_unwound() {
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
fn a_source_that_is_reset_ends_the_decoder_with_that_error() {
    in_async(|| async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        near.write_all(b"never read").await.unwrap();
        let drops = Drops::new();
        let token = drops.token();
        let mut reader =
            AsyncReader::new(move || GzDecoder::new(Counted(Blocking::new(near), token)));
        let mut buf = [0; 8];
        assert!(poll_once(pin!(reader.read(&mut buf))).is_pending());
        peer.peek(&mut [0]).unwrap();
        drop(peer);
        let error = reader.read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        drop(reader);
        assert_eq!(drops.count(), 1);
    });
}

/// A target that takes nothing.
struct Failing(ErrorKind);

impl AsyncWrite for Failing {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::new(self.0, "of the target")))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn an_error_of_the_target_goes_through_the_encoder() {
    in_async(|| async {
        for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            let mut writer = AsyncWriter::new(
                Failing(kind),
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
fn an_encoder_that_is_dropped_is_unwound_and_writes_nothing_more() {
    in_async(|| async {
        let (near, mut far) = duplex(1000);
        let drops = Drops::new();
        let token = drops.token();
        let make = move |sink| GzEncoder::new(Held(sink, token), Compression::fast());
        let mut writer = AsyncWriter::new(near, make, |_| Ok(()));
        writer.write_all(b"held back").await.unwrap();
        drop(writer);
        assert_eq!(drops.count(), 1);
        let mut written = Vec::new();
        far.read_to_end(&mut written).await.unwrap();
        assert!(written.len() <= HEADER, "{written:?}");
    });
}

/// A target whose drop is counted.
struct Held<W>(W, #[allow(dead_code)] Token);

impl<W: Write> Write for Held<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
