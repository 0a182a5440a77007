use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslConnector, SslMethod, SslStream};
use openssl::x509::{X509, X509NameBuilder};
use switchback::{io::Blocking, prelude::*, spawn};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use crate::support::{Drops, forever, in_root_fiber};

/// A certificate that vouches for itself, and its key.
fn certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    let (now, later) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    certificate.set_not_before(&now.unwrap()).unwrap();
    certificate.set_not_after(&later.unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (certificate.build(), key)
}

/// Both sides of TLS.
#[derive(Clone)]
struct Sides {
    client: SslConnector,
    server: SslAcceptor,
}

impl Sides {
    fn new() -> Sides {
        let (certificate, key) = certificate();
        let mut server = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        server.set_private_key(&key).unwrap();
        server.set_certificate(&certificate).unwrap();
        let mut client = SslConnector::builder(SslMethod::tls()).unwrap();
        client.cert_store_mut().add_cert(certificate).unwrap();
        Sides {
            client: client.build(),
            server: server.build(),
        }
    }

    fn connect(&self, stream: DuplexStream) -> SslStream<Blocking<DuplexStream>> {
        let connected = self.client.connect("localhost", Blocking::new(stream));
        connected.unwrap()
    }

    fn accept(&self, stream: DuplexStream) -> SslStream<Blocking<DuplexStream>> {
        self.server.accept(Blocking::new(stream)).unwrap()
    }
}

#[test]
fn many_connections_at_once_through_streams_of_a_few_bytes() {
    in_root_fiber(|| {
        let sides = Sides::new();
        let clients: Vec<_> = (1..=10)
            .map(|n| {
                let (near, far) = duplex(31 * n);
                let (server, client) = (sides.clone(), sides.clone());
                spawn(move || {
                    let mut stream = server.accept(far);
                    let mut question = [0; 4];
                    stream.read_exact(&mut question).unwrap();
                    stream.write_all(&question.repeat(10_000)).unwrap();
                    stream.shutdown().unwrap();
                });
                spawn(move || {
                    let mut stream = client.connect(near);
                    // At once: the server sends its tickets before it reads.
                    let question = format!("{n:4}");
                    stream.write_all(question.as_bytes()).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert_eq!(answer, question.repeat(10_000));
                })
            })
            .collect();
        for client in clients {
            client.wait().unwrap();
        }
    });
}

#[test]
fn a_cancel_unwinds_through_a_handshake() {
    in_root_fiber(|| {
        let sides = Sides::new();
        let (near, mut far) = duplex(1000);
        let drops = Drops::new();
        let token = drops.token();
        let client = spawn(move || {
            let _token = token;
            sides.connect(near);
        });
        // It has begun, and waits for the server's part.
        far.read_u8().wait().unwrap();
        client.cancel();
        assert!(client.wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
    });
}

/// OpenSSL has one queue of errors for each thread, so for all fibers of a hub. One that waits while
/// it sends an alert finds the queue empty if another one's call has failed meanwhile, and takes its
/// own error for the end of the stream.
#[test]
fn an_error_is_lost_if_another_fiber_fails_while_the_alert_is_sent() {
    fn read_what_was_changed(meanwhile: fn()) -> io::Result<usize> {
        let sides = Sides::new();
        let (near, far) = duplex(1 << 16);
        let server = sides.clone();
        let server = spawn(move || {
            let mut stream = server.accept(far);
            stream.write_all(b"hello").unwrap();
            forever();
        });
        let changes = Rc::new(Cell::new(false));
        let wire = Wire {
            stream: Blocking::new(near),
            changes: changes.clone(),
            meanwhile,
        };
        let mut client = sides.client.connect("localhost", wire).unwrap();
        changes.set(true);
        let read = client.read(&mut [0; 5]);
        server.cancel();
        read
    }
    in_root_fiber(|| {
        assert!(read_what_was_changed(|| ()).is_err());
        let fails = || drop(X509::from_pem(b"no certificate").unwrap_err());
        assert_eq!(read_what_was_changed(fails).unwrap(), 0);
    });
}

/// A stream that can change what comes over it. What is sent then has to wait while another fiber
/// runs `meanwhile`.
#[derive(Debug)]
struct Wire {
    stream: Blocking<DuplexStream>,
    changes: Rc<Cell<bool>>,
    meanwhile: fn(),
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buf)?;
        // The head of a record, which has five bytes, stays.
        if self.changes.get() && count > 5 {
            buf[count - 1] ^= 1;
        }
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.changes.get() {
            spawn(self.meanwhile).wait().unwrap();
        }
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
