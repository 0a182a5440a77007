//! TLS with rustls' synchronous stream: 200 connections at once in fibers, 1 MiB each way,
//! and a peer that stalls in the middle of its handshake.
//!
//! Run with: `cargo run --release -p libraries --example tls`
//!
//! Servers and clients are fibers on one thread. `with_timeout` ends the connection of the
//! stalled peer by unwinding through rustls. The others are served meanwhile.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use switchback::{io::Blocking, prelude::*, spawn, with_timeout};
use tokio::net::{TcpListener, TcpStream};

type Failed = Box<dyn Error + Send + Sync>;
type Socket = Blocking<TcpStream>;

const CONNECTIONS: usize = 200;
const SIZE: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10); // for a handshake

fn serve(config: Arc<ServerConfig>, mut socket: Socket) -> Result<(), Failed> {
    let mut tls = ServerConnection::new(config)?;
    with_timeout(PATIENCE, || tls.complete_io(&mut socket))??;
    let (mut stream, mut bytes) = (StreamOwned::new(tls, socket), vec![0; SIZE]);
    stream.read_exact(&mut bytes)?;
    bytes.reverse();
    stream.write_all(&bytes)?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

fn ask(config: Arc<ClientConfig>, mut socket: Socket, number: usize) -> Result<(), Failed> {
    let mut tls = ClientConnection::new(config, ServerName::try_from("localhost")?)?;
    tls.complete_io(&mut socket)?;
    let mut stream = StreamOwned::new(tls, socket);
    let bytes: Vec<u8> = (0..SIZE).map(|i| (number * 31 + i * 7) as u8).collect();
    stream.write_all(&bytes)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?; // up to the closing alert; its absence is an error
    back.reverse();
    assert!(back == bytes, "connection {number}");
    Ok(())
}

fn connect(address: SocketAddr) -> Result<Socket, Failed> {
    Ok(Blocking::new(TcpStream::connect(address).wait()?))
}

fn configs() -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), Failed> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.key_pair.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let server = ServerConfig::builder().with_no_client_auth();
    let client = ClientConfig::builder().with_root_certificates(roots);
    Ok((
        Arc::new(server.with_single_cert(vec![certificate], key)?),
        Arc::new(client.with_no_client_auth()),
    ))
}

fn main() -> Result<(), Failed> {
    let (server, client) = configs()?;
    switchback::run(move || {
        let listener = TcpListener::bind("127.0.0.1:0").wait()?;
        let address = listener.local_addr()?;
        let begin = Instant::now();
        let mut stalls = connect(address)?;
        stalls.write_all(&[22, 3, 1])?; // only the first bytes of a greeting
        let accept = || io::Result::Ok(Blocking::new(listener.accept().wait()?.0));
        let served = |socket| {
            let config = server.clone();
            spawn(move || serve(config, socket))
        };
        let cut = served(accept()?);
        let (mut others, mut sockets) = (Vec::new(), Vec::new());
        for number in 0..CONNECTIONS {
            let config = client.clone();
            others.push(spawn(move || ask(config, connect(address)?, number)));
            sockets.push(accept()?);
        }
        // By now, all of these are in the middle of their handshakes.
        others.extend(sockets.into_iter().map(served));
        others.into_iter().try_for_each(|fiber| fiber.wait()?)?;
        let took = begin.elapsed();
        println!("{CONNECTIONS} handshakes, {SIZE} bytes each way, in {took:.2?}");
        let error = cut.wait()?.expect_err("its peer never shakes hands");
        println!("the one that stalled: {error}");
        stalls.shutdown_write().map_err(Failed::from)
    })?
}
