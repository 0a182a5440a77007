// Scripts for `net`, under the `use` lines of std or ours.

use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::time::Duration;

use self::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

/// Begins `f` on a thread, and returns what joins it.
fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
    let thread = thread::spawn(f);
    move || thread.join().unwrap()
}

/// Returns what an `io::Result` is, without what differs from run to run.
fn shown<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(e) => format!("{:?} {:?}", e.kind(), e.raw_os_error()),
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

pub(crate) fn tcp() -> Vec<String> {
    let mut log = Vec::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    log.push(format!("{} {}", address.ip(), address.port() != 0));
    log.push(shown(TcpListener::bind(address).map(drop)));
    log.push(shown(TcpListener::bind("127.0.0.1").map(drop)));
    log.push(shown(TcpListener::bind(&[] as &[SocketAddr]).map(drop)));
    log.push(shown(listener.ttl()));
    log.push(shown(listener.set_ttl(33).and_then(|()| listener.ttl())));
    log.push(shown(listener.take_error().map(|e| e.is_none())));

    // A conversation of lines.
    let server = start(move || {
        let (stream, peer) = listener.accept().unwrap();
        let mut log = vec![format!("{}", peer == stream.peer_addr().unwrap())];
        let reader = BufReader::new(stream.try_clone().unwrap());
        for line in reader.lines() {
            let line = line.unwrap();
            writeln!(&stream, "{}", line.to_uppercase()).unwrap();
            log.push(line);
        }
        stream.shutdown(Shutdown::Write).unwrap();
        log
    });
    let mut client = TcpStream::connect(address).unwrap();
    log.push(shown(client.set_nodelay(true).and_then(|()| client.nodelay())));
    client.write_all(b"one\ntwo\n").unwrap();
    let parts = [IoSlice::new(b"thr"), IoSlice::new(b"ee\n")];
    log.push(shown(client.write_vectored(&parts)));
    client.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    log.push(answers);
    log.extend(server());
    log.push(shown(client.write(b"after the end")));

    // Peeks, reads of nothing, reads into several buffers.
    let (mut near, far) = pair();
    near.write_all(b"abcdef").unwrap();
    let mut three = [0; 3];
    log.push(shown((&far).read(&mut [])));
    log.push(shown(far.peek(&mut three)));
    log.push(shown((&far).read(&mut three).map(|n| three[..n].to_vec())));
    let (mut a, mut b) = ([0; 2], [0; 5]);
    let read = (&far).read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]);
    log.push(format!("{} {a:?} {b:?}", shown(read)));
    log.push(shown((&far).write(b"")));
    log.push(shown((&far).write_vectored(&[])));
    log.push(shown((&far).flush()));

    // Timeouts.
    log.push(shown(far.set_read_timeout(Some(Duration::ZERO))));
    log.push(shown(far.set_write_timeout(Some(Duration::ZERO))));
    let clone = far.try_clone().unwrap();
    clone.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    log.push(shown(far.read_timeout()));
    log.push(shown(far.write_timeout()));
    log.push(shown((&far).read(&mut three)));
    log.push(shown(far.peek(&mut three)));
    log.push(shown((&far).read(&mut [])));
    far.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let filled = loop {
        if let Err(e) = (&far).write(&[7; 65536]) {
            break e;
        }
    };
    log.push(format!("{:?}", filled.kind()));

    // The non-blocking mode.
    let (mut near, far) = pair();
    far.try_clone().unwrap().set_nonblocking(true).unwrap();
    log.push(shown((&far).read(&mut three)));
    log.push(shown(far.peek(&mut three)));
    far.set_nonblocking(false).unwrap();
    near.write_all(b"x").unwrap();
    log.push(shown((&far).read(&mut three)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    log.push(shown(listener.accept().map(drop)));
    log.push(shown(listener.incoming().next().unwrap().map(drop)));

    // Ends.
    let (near, far) = pair();
    let reader = start(move || shown((&far).read(&mut [0; 8])));
    near.shutdown(Shutdown::Both).unwrap();
    log.push(reader());
    log.push(shown((&near).read(&mut three)));
    log.push(format!("{:?}", (&near).write(b"x").map_err(|e| e.kind())));
    let (near, far) = pair();
    let clone = near.try_clone().unwrap();
    let reader = start(move || shown((&clone).read(&mut [0; 8])));
    drop(near); // the clone holds the connection
    far.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    log.push(shown((&far).read(&mut three)));
    drop(far);
    log.push(reader());

    // Connections that fail.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    log.push(shown(TcpStream::connect(nobody).map(drop)));
    log.push(shown(TcpStream::connect_timeout(&nobody, Duration::from_secs(30)).map(drop)));
    log.push(shown(TcpStream::connect_timeout(&nobody, Duration::ZERO).map(drop)));
    let both = [nobody, listener.local_addr().unwrap()];
    log.push(shown(TcpStream::connect(&both[..]).map(|s| s.peer_addr().unwrap() == both[1])));
    log.push(shown("127.0.0.1:65536".to_socket_addrs().map(drop)));
    log.push(shown("nowhere".to_socket_addrs().map(drop)));
    log.push(shown(("127.0.0.1", 80).to_socket_addrs().map(Vec::from_iter)));
    log.push(shown((String::from("::1"), 80).to_socket_addrs().map(Vec::from_iter)));
    log.push(shown(TcpStream::connect(("localhost", both[1].port())).map(drop)));

    // Many connections at once.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = start(move || {
        let serve = |stream: TcpStream| move || std::io::copy(&mut &stream, &mut &stream).unwrap();
        let servers: Vec<_> = listener.incoming().take(20).map(|s| start(serve(s.unwrap()))).collect();
        servers.into_iter().map(|join| join()).sum::<u64>()
    });
    let client = |number: usize| {
        move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut sum = 0;
            for round in 1..=20 {
                let sent = vec![number as u8; round * 100];
                stream.write_all(&sent).unwrap();
                let mut back = vec![0; sent.len()];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, sent);
                sum += back.len();
            }
            sum
        }
    };
    let clients: Vec<_> = (0..20).map(|number| start(client(number))).collect();
    log.push(clients.into_iter().map(|join| join()).sum::<usize>().to_string());
    log.push(server().to_string());
    log
}

pub(crate) fn udp() -> Vec<String> {
    let mut log = Vec::new();
    let (near, far) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (here, there) = (near.local_addr().unwrap(), far.local_addr().unwrap());
    log.push(shown(UdpSocket::bind(here).map(drop)));
    log.push(shown(near.send(b"x")));
    log.push(shown(near.peer_addr()));
    log.push(shown(near.send_to(b"hello", there)));
    log.push(shown(near.send_to(b"", there)));
    log.push(shown(near.send_to(b"x", &[] as &[SocketAddr])));
    let mut small = [0; 3];
    log.push(shown(far.peek_from(&mut small).map(|(n, from)| (n, from == here))));
    log.push(shown(far.recv_from(&mut small).map(|(n, from)| (n, from == here))));
    log.push(shown(far.recv_from(&mut small).map(|(n, from)| (n, from == here))));
    log.push(shown(far.set_read_timeout(Some(Duration::ZERO))));
    far.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    log.push(shown(far.read_timeout()));
    log.push(shown(far.recv_from(&mut small)));
    log.push(shown(far.peek_from(&mut small)));
    log.push(shown(far.recv(&mut small)));
    far.set_read_timeout(None).unwrap();

    near.connect(there).unwrap();
    log.push(shown(near.peer_addr().map(|peer| peer == there)));
    let waits = far.try_clone().unwrap();
    let receiver = start(move || {
        let mut text = [0; 8];
        let n = waits.recv(&mut text).unwrap();
        text[..n].to_vec()
    });
    log.push(shown(near.send(b"later")));
    log.push(format!("{:?}", receiver()));
    near.send(b"twice").unwrap();
    log.push(shown(far.peek(&mut small)));
    log.push(shown(far.recv(&mut small)));
    far.set_nonblocking(true).unwrap();
    log.push(shown(far.recv(&mut small)));
    log.push(shown(far.set_broadcast(true).and_then(|()| far.broadcast())));
    log.push(shown(far.set_ttl(7).and_then(|()| far.ttl())));
    log.push(shown(far.set_multicast_loop_v4(false).and_then(|()| far.multicast_loop_v4())));
    log.push(shown(far.set_multicast_ttl_v4(5).and_then(|()| far.multicast_ttl_v4())));
    log.push(shown(far.take_error().map(|e| e.is_none())));
    drop(far);
    near.send(b"nobody").unwrap();
    log.push(shown(near.recv(&mut small)));
    log
}
