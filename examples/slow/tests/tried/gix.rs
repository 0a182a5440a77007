//! `gix-transport`, with `git` itself on the other side.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use gix_transport::Protocol;
use gix_transport::Service::UploadPack;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::git::{ConnectMode, blocking_io::Connection};
use switchback::{io::Blocking, prelude::*, spawn};

use crate::scratch::Scratch;
use crate::support::in_root_fiber;
use crate::through::{Seen, reads, text};

/// How many tags the repository has.
const TAGS: usize = 200;

fn git(directory: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
        .args(arguments.split(' '))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.stdout
}

/// A repository `repository` with one commit.
fn with_repository() -> Scratch {
    let scratch = Scratch::new();
    git(scratch.path(), "init --quiet repository");
    let repository = scratch.path().join("repository");
    git(&repository, "commit --quiet --allow-empty -m first");
    for tag in 0..TAGS {
        git(&repository, &format!("update-ref refs/tags/tag-{tag} HEAD"));
    }
    scratch
}

/// The first messages: what the server can do, and what it has.
fn handshake(connection: &mut dyn Transport) -> Seen<Vec<String>> {
    let response = connection.handshake(UploadPack, &[]).map_err(text)?;
    let mut seen: Vec<String> = response
        .capabilities
        .iter()
        .map(|capability| capability.name().to_string())
        .collect();
    let mut refs = response.refs.ok_or("it has no refs")?;
    while let Some(line) = refs.readline() {
        let line = line.map_err(text)?.map_err(text)?;
        let line = line.as_slice().ok_or("a line that is no data")?;
        seen.push(String::from_utf8_lossy(line).into_owned());
    }
    Ok(seen)
}

fn has_all_tags(seen: &[String]) -> bool {
    let tags = seen.iter().filter(|line| line.contains("refs/tags/tag-"));
    tags.count() == TAGS && seen.iter().any(|name| name == "side-band-64k")
}

#[test]
fn a_handshake_reads_through_streams_of_a_few_bytes() {
    // What `git` says first; it then finds that nobody asks.
    static SAYS: OnceLock<Vec<u8>> = OnceLock::new();
    let says = SAYS.get_or_init(|| {
        let scratch = with_repository();
        git(scratch.path(), "upload-pack repository")
    });
    reads(says.clone(), |from| {
        let version = Protocol::V1;
        let nobody = None::<(&str, _)>;
        let mode = ConnectMode::Process;
        let mut connection =
            Connection::new(from, io::sink(), version, "repository", nobody, mode, false);
        let seen = handshake(&mut connection)?;
        assert!(has_all_tags(&seen), "{seen:?}");
        Ok(seen)
    });
}

#[test]
fn ten_handshakes_at_once_with_the_daemon_over_the_pipes_of_a_process() {
    in_root_fiber(|| {
        let scratch = with_repository();
        let fibers: Vec<_> = (0..10)
            .map(|_| {
                let base = scratch.path().to_owned();
                spawn(move || {
                    let mut daemon = tokio::process::Command::new("git")
                        .args(["daemon", "--inetd", "--export-all"])
                        .arg(format!("--base-path={}", base.display()))
                        .stdin(Stdio::piped())
                        .stdout(Stdio::piped())
                        .stderr(Stdio::null())
                        .kill_on_drop(true)
                        .spawn()
                        .unwrap();
                    let write = Blocking::new(daemon.stdin.take().unwrap());
                    let read = Few(Blocking::new(daemon.stdout.take().unwrap()));
                    let (version, path) = (Protocol::V1, "/repository");
                    let host = Some(("localhost", None));
                    let mode = ConnectMode::Daemon;
                    let mut connection =
                        Connection::new(read, write, version, path, host, mode, false);
                    let seen = handshake(&mut connection).unwrap();
                    // We want nothing, which ends the daemon.
                    let (_, mut write) = connection.into_inner();
                    write.write_all(b"0000").unwrap();
                    assert!(daemon.wait().wait().unwrap().success());
                    seen
                })
            })
            .collect();
        for fiber in fibers {
            assert!(has_all_tags(&fiber.wait().unwrap()));
        }
    });
}

/// Reads a few bytes at a time.
struct Few<R>(R);

impl<R: Read> Read for Few<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = buf.len().min(7);
        self.0.read(&mut buf[..count])
    }
}
