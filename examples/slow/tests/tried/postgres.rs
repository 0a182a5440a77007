use std::io::{Read, Write};

use postgres::{Client, NoTls, SimpleQueryMessage};
use switchback::{blocking, io::Blocking, prelude::*, spawn};
use tokio::net::TcpListener;

use crate::support::in_root_fiber;

/// One message of the protocol.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend_from_slice(&(4 + content.len() as u32).to_be_bytes());
    message.extend_from_slice(content);
    message
}

fn read_content(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut content = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut content).unwrap();
    content
}

/// A server for one client. It lets everybody in, and has done what it is asked when it says so.
fn serve(stream: &mut (impl Read + Write)) {
    let ready = message(b'Z', b"I");
    read_content(stream);
    let welcome = message(b'R', &[0; 4]);
    stream
        .write_all(&[welcome, ready.clone()].concat())
        .unwrap();
    let mut kind = [0];
    // Until the client says that it ends, or is gone.
    while stream.read_exact(&mut kind).is_ok() && kind == *b"Q" {
        read_content(stream);
        let done = message(b'C', b"DELETE 7\0");
        stream.write_all(&[done, ready.clone()].concat()).unwrap();
    }
}

#[test]
fn in_a_fiber_it_panics() {
    in_root_fiber(|| {
        let fiber = spawn(|| Client::connect("host=127.0.0.1 port=1 user=ann", NoTls).map(drop));
        let error = fiber.wait().unwrap_err();
        assert!(error.is_panic());
        let message = "Cannot start a runtime from within a runtime";
        assert!(error.to_string().contains(message), "{error}");
    });
}

#[test]
fn it_works_under_blocking() {
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = spawn(move || {
            let (stream, _) = listener.accept().wait().unwrap();
            serve(&mut Blocking::new(stream));
        });
        let call = blocking(move || {
            let settings = format!("host=127.0.0.1 port={port} user=ann sslmode=disable");
            let mut client = Client::connect(&settings, NoTls).unwrap();
            let answers = client.simple_query("delete from numbers").unwrap();
            client.close().unwrap();
            answers
        });
        let answers = call.wait();
        assert!(matches!(
            answers[..],
            [SimpleQueryMessage::CommandComplete(7)]
        ));
        server.wait().unwrap();
    });
}
