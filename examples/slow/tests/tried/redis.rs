use std::collections::HashMap;
use std::io::{Read, Write};

use redis::{Parser, Value, cmd, from_redis_value};
use switchback::{blocking, io::Blocking, prelude::*, spawn};
use tokio::io::duplex;
use tokio::net::TcpListener;

use crate::support::in_root_fiber;
use crate::through::{reads, text, written};

/// A server for one client, until that closes its connection. It knows `SET`, `GET`, and how to be
/// polite.
fn serve(stream: &mut (impl Read + Write)) {
    let mut parser = Parser::new();
    let mut values = HashMap::new();
    while let Ok(command) = parser.parse_value(&mut *stream) {
        let words: Vec<String> = from_redis_value(command).unwrap();
        let answer = match &words.iter().map(|word| &**word).collect::<Vec<_>>()[..] {
            ["SET", key, value] => {
                values.insert(key.to_string(), value.to_string());
                "+OK\r\n".to_owned()
            }
            ["GET", key] => {
                let value = &values[*key];
                format!("${}\r\n{value}\r\n", value.len())
            }
            _ => "+OK\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

#[test]
fn the_parser_reads_through_streams_of_a_few_bytes() {
    let answer = written(|out| {
        write!(out, "*300\r\n").map_err(text)?;
        for n in 0..100 {
            let value = "value".repeat(n);
            write!(out, ":{n}\r\n+line\r\n${}\r\n{value}\r\n", value.len()).map_err(text)?;
        }
        Ok(())
    });
    reads(answer, |from| Parser::new().parse_value(from).map_err(text));
}

#[test]
fn a_client_of_packed_commands_and_the_parser_over_a_blocking() {
    in_root_fiber(|| {
        let clients: Vec<_> = (0..50)
            .map(|n| {
                let (near, far) = duplex(7);
                spawn(move || serve(&mut Blocking::new(far)));
                spawn(move || {
                    let (mut near, mut parser) = (Blocking::new(near), Parser::new());
                    let mut ask = |command: &redis::Cmd| {
                        near.write_all(&command.get_packed_command()).unwrap();
                        parser.parse_value(&mut near).unwrap()
                    };
                    let set = ask(cmd("SET").arg("key").arg(n));
                    (set, ask(cmd("GET").arg("key")))
                })
            })
            .collect();
        for (n, client) in clients.into_iter().enumerate() {
            let value = Value::BulkString(n.to_string().into_bytes());
            assert_eq!(client.wait().unwrap(), (Value::Okay, value));
        }
    });
}

#[test]
fn its_own_connections_work_under_blocking() {
    in_root_fiber(|| {
        let listener = TcpListener::bind("127.0.0.1:0").wait().unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(move || {
            let (stream, _) = listener.accept().wait().unwrap();
            serve(&mut Blocking::new(stream));
        });
        let client = redis::Client::open(format!("redis://{address}")).unwrap();
        let call = blocking(move || {
            let mut connection = client.get_connection().unwrap();
            cmd("SET").arg("key").arg(7).exec(&mut connection).unwrap();
            cmd("GET").arg("key").query(&mut connection)
        });
        let value: i32 = call.wait().unwrap();
        assert_eq!(value, 7);
        server.wait().unwrap();
    });
}
