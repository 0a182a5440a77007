// Scripts for `net::unix`, under the `use` lines of std or ours.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use self::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

/// Begins `f` on a thread, and returns what joins it.
fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
    let thread = thread::spawn(f);
    move || thread.join().unwrap()
}

fn shown<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(e) => format!("{:?} {:?}", e.kind(), e.raw_os_error()),
    }
}

pub(crate) fn unix(folder: &Path) -> Vec<String> {
    let mut log = Vec::new();
    let path = folder.join("listener");
    log.push(shown(UnixStream::connect(&path).map(drop)));
    let listener = UnixListener::bind(&path).unwrap();
    log.push(shown(UnixListener::bind(&path).map(drop)));
    let address = listener.local_addr().unwrap();
    log.push(format!("{}", address.as_pathname() == Some(&*path)));
    let waits = listener.try_clone().unwrap();
    let server = start(move || {
        let (stream, peer) = waits.accept().unwrap();
        let mut text = String::new();
        (&stream).read_to_string(&mut text).unwrap();
        (&stream).write_all(text.to_uppercase().as_bytes()).unwrap();
        (peer.is_unnamed(), text)
    });
    let mut client = UnixStream::connect_addr(&address).unwrap();
    log.push(format!("{}", client.peer_addr().unwrap().as_pathname() == Some(&*path)));
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    log.push(format!("{answer} {:?}", server()));
    listener.set_nonblocking(true).unwrap();
    log.push(shown(listener.accept().map(drop)));
    log.push(shown((&listener).into_iter().next().unwrap().map(drop)));
    log.push(shown(listener.take_error().map(|e| e.is_none())));

    let (near, far) = UnixStream::pair().unwrap();
    log.push(format!("{:?} {:?}", near.local_addr().unwrap(), near.peer_addr().unwrap()));
    far.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    log.push(shown((&far).read(&mut [0; 4])));
    log.push(shown(far.set_read_timeout(Some(Duration::ZERO))));
    log.push(shown(far.try_clone().unwrap().read_timeout()));
    near.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let full = loop {
        if let Err(e) = (&near).write(&[7; 65536]) {
            break e;
        }
    };
    log.push(format!("{:?}", full.kind()));
    drop(far);
    log.push(shown((&near).write(b"x")));

    let path = folder.join("datagram");
    let far = UnixDatagram::bind(&path).unwrap();
    let near = UnixDatagram::unbound().unwrap();
    log.push(shown(near.send(b"x")));
    log.push(shown(near.send_to(b"hello", &path)));
    log.push(shown(near.send_to_addr(b"again", &far.local_addr().unwrap())));
    let mut small = [0; 3];
    log.push(shown(far.recv_from(&mut small).map(|(n, from)| (n, from.is_unnamed()))));
    log.push(shown(far.recv(&mut small)));
    near.connect(&path).unwrap();
    log.push(format!("{}", near.peer_addr().unwrap().as_pathname() == Some(&*path)));
    log.push(shown(near.send(b"!")));
    log.push(shown(far.recv(&mut small)));
    far.set_nonblocking(true).unwrap();
    log.push(shown(far.recv(&mut small)));
    near.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let other = UnixDatagram::unbound().unwrap();
    other.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let full = loop {
        if let Err(e) = other.send_to(b"x", &path) {
            break e;
        }
    };
    // Some sandboxes interrupt datagrams instead.
    log.push(format!("{}", matches!(full.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)));
    other.set_write_timeout(None).unwrap();
    let to = path.clone();
    let sender = start(move || shown(other.send_to(b"last", to))); // waits for room
    let mut received = 0;
    far.set_nonblocking(false).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    while far.recv(&mut [0; 8]).unwrap() != 4 {
        received += 1;
    }
    log.push(format!("{} {}", sender(), received > 0));
    let bound = UnixDatagram::bind_addr(&SocketAddr::from_pathname(folder.join("other")).unwrap());
    log.push(shown(bound.map(|b| b.local_addr().unwrap().as_pathname().is_some())));
    let (a, b) = UnixDatagram::pair().unwrap();
    a.shutdown(std::net::Shutdown::Both).unwrap();
    log.push(shown(a.send(b"x")));
    b.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let late = b.recv(&mut small).unwrap_err();
    log.push(format!("{}", matches!(late.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)));
    log
}
