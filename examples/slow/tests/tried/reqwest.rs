use std::io::{Read, Write};

use reqwest::blocking::get;
use switchback::{blocking, io::Blocking, prelude::*, spawn};
use tokio::net::TcpListener;

use crate::support::in_root_fiber;

/// With debug assertions, with which this is compiled. Without them it does not look, and blocks the
/// thread.
#[test]
fn in_a_fiber_it_panics() {
    in_root_fiber(|| {
        let fiber = spawn(|| get("http://127.0.0.1:1/").map(drop));
        let error = fiber.wait().unwrap_err();
        assert!(error.is_panic());
        let message = "Cannot drop a runtime in a context where blocking is not allowed";
        assert!(error.to_string().contains(message), "{error}");
    });
}

#[test]
fn it_works_under_blocking() {
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        spawn(move || {
            for _ in 0..10 {
                let (stream, _) = listener.accept().wait().unwrap();
                spawn(move || {
                    let (mut stream, mut request) = (Blocking::new(stream), Vec::new());
                    while !request.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).unwrap();
                        request.extend(byte);
                    }
                    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
                    write!(stream, "{head}hello").unwrap();
                });
            }
        });
        let requests: Vec<_> = (0..10)
            .map(|_| {
                let url = url.clone();
                spawn(|| blocking(|| get(url)?.text()).wait().unwrap())
            })
            .collect();
        for request in requests {
            assert_eq!(request.wait().unwrap(), "hello");
        }
    });
}
