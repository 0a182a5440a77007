use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use switchback::{blocking, io::Blocking, prelude::*, spawn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error};

use crate::support::{Drops, in_root_fiber};

#[derive(Debug)]
struct Connect;

impl Connector for Connect {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let stream = TcpStream::connect(details.addrs[0]).wait()?;
        Ok(Some(Connection {
            stream: Blocking::new(stream),
            buffers: LazyBuffers::new(4096, 4096),
        }))
    }
}

#[derive(Debug)]
struct Connection {
    stream: Blocking<TcpStream>,
    buffers: LazyBuffers,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

fn agent() -> Agent {
    Agent::with_parts(Default::default(), Connect, DefaultResolver::default())
}

/// Answers each request with its path, once `at_once` of them are there.
fn server(at_once: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        let all = Rc::new(Barrier::new(at_once));
        for _ in 0..at_once {
            let (stream, _) = listener.accept().wait().unwrap();
            let all = all.clone();
            spawn(move || {
                let mut stream = BufReader::new(Blocking::new(stream));
                let (mut first, mut line) = (String::new(), String::new());
                stream.read_line(&mut first).unwrap();
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).unwrap();
                }
                all.wait().wait();
                let path = first.split(' ').nth(1).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", path.len());
                for byte in (head + path).bytes() {
                    stream.get_mut().write_all(&[byte]).unwrap();
                }
            });
        }
    });
    address
}

fn get(agent: &Agent, address: SocketAddr, n: usize) -> String {
    let mut response = agent.get(format!("http://{address}/{n}")).call().unwrap();
    response.body_mut().read_to_string().unwrap()
}

#[test]
fn fifty_requests_at_once_with_a_transport_over_a_blocking() {
    in_root_fiber(|| {
        let address = server(50);
        let agent = agent();
        let requests: Vec<_> = (0..50)
            .map(|n| {
                let agent = agent.clone();
                spawn(move || get(&agent, address, n))
            })
            .collect();
        for (n, request) in requests.into_iter().enumerate() {
            assert_eq!(request.wait().unwrap(), format!("/{n}"));
        }
    });
}

#[test]
fn a_cancel_unwinds_through_a_request() {
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let address = listener.local_addr().unwrap();
        let drops = Drops::new();
        let token = drops.token();
        let request = spawn(move || {
            let _token = token;
            get(&agent(), address, 0)
        });
        let (stream, _) = listener.accept().wait().unwrap();
        let mut stream = Blocking::new(stream);
        stream.read_exact(&mut [0; 10]).unwrap();
        // It waits for an answer now.
        request.cancel();
        assert!(request.wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        // Its connection is closed.
        assert!(stream.read_to_end(&mut Vec::new()).is_ok());
    });
}

#[test]
fn its_own_transport_works_under_blocking() {
    in_root_fiber(|| {
        let address = server(2);
        let requests: Vec<_> = (0..2)
            .map(|n| {
                spawn(move || blocking(move || get(&Agent::new_with_defaults(), address, n)).wait())
            })
            .collect();
        for (n, request) in requests.into_iter().enumerate() {
            assert_eq!(request.wait().unwrap(), format!("/{n}"));
        }
    });
}
