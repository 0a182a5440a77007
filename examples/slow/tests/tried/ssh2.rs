//! `ssh2`, not blocking, with the system's `sshd` on the other side.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::rc::Rc;
use std::{env, fs};

use ssh2::{Channel, Session};
use switchback::{Events, SwitchBack, blocking, io::until_ready, prelude::*, spawn, yield_now};

use crate::scratch::Scratch;
use crate::support::{Drops, in_root_fiber};

/// Where the server is.
fn sshd() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join("sshd"))
        .find(|program| program.exists())
}

fn skipped(why: &str) {
    // Not with `eprintln!`, whose output the harness keeps for itself.
    let _ = writeln!(io::stderr(), "SKIPPED: ssh2: {}", why.trim());
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:#?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A server that lets in who has the key, and the key.
struct Server {
    program: PathBuf,
    scratch: Scratch,
    user: String,
}

impl Server {
    fn new() -> Option<Server> {
        let Some(program) = sshd() else {
            skipped("this system has no `sshd`");
            return None;
        };
        let scratch = Scratch::new();
        let in_scratch = |name: &str| scratch.path().join(name);
        for key in ["host", "user"] {
            let mut generate = Command::new("ssh-keygen");
            generate.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
            output(generate.arg(in_scratch(key)));
        }
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nPidFile none\n",
            in_scratch("host").display(),
            in_scratch("user.pub").display(),
        );
        fs::write(in_scratch("config"), config).unwrap();
        // For root, it needs a user and a directory of its own.
        let mut check = Command::new(&program);
        let check = check.arg("-t").arg("-f").arg(in_scratch("config"));
        let check = check.output().unwrap();
        if !check.status.success() {
            skipped(&String::from_utf8_lossy(&check.stderr));
            return None;
        }
        Some(Server {
            program,
            user: output(Command::new("id").arg("-un")),
            scratch,
        })
    }

    fn key(&self) -> PathBuf {
        self.scratch.path().join("user")
    }

    /// A connection, and the process that serves it.
    fn connect(&self) -> (TcpStream, Child) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = OwnedFd::from(listener.accept().unwrap().0);
        let log = fs::File::create(self.scratch.path().join("log")).unwrap();
        let process = Command::new(&self.program)
            .args(["-i", "-e", "-f"])
            .arg(self.scratch.path().join("config"))
            .stdin(far.try_clone().unwrap())
            .stdout(far)
            .stderr(log)
            .spawn()
            .unwrap();
        near.set_nonblocking(true).unwrap();
        (near, process)
    }
}

/// A session that waits where it would block.
struct Client {
    session: Session,
    fd: OwnedFd,
}

impl Client {
    fn new(stream: TcpStream) -> Client {
        let fd = stream.as_fd().try_clone_to_owned().unwrap();
        let mut session = Session::new().unwrap();
        session.set_tcp_stream(stream);
        session.set_blocking(false);
        Client { session, fd }
    }

    fn wait<R>(&mut self, mut f: impl FnMut(&mut Session) -> io::Result<R>) -> io::Result<R> {
        let Client { session, fd } = self;
        until_ready(fd, Events::READABLE | Events::WRITABLE, || f(session)).wait()
    }

    fn log_in(&mut self, user: &str, key: &Path) {
        self.wait(|session| Ok(session.handshake()?)).unwrap();
        let log_in =
            |session: &mut Session| Ok(session.userauth_pubkey_file(user, None, key, None)?);
        self.wait(log_in).unwrap();
        assert!(self.session.authenticated());
    }

    fn start(&mut self, command: &str) -> Channel {
        let mut channel = self.wait(|session| Ok(session.channel_session()?)).unwrap();
        self.wait(|_| Ok(channel.exec(command)?)).unwrap();
        channel
    }

    /// What a command says.
    fn run(&mut self, command: &str) -> String {
        let (mut channel, mut all, mut buf) = (self.start(command), Vec::new(), [0; 100]);
        loop {
            match self.wait(|_| channel.read(&mut buf)).unwrap() {
                0 => return String::from_utf8(all).unwrap(),
                count => all.extend_from_slice(&buf[..count]),
            }
        }
    }
}

#[test]
fn ten_sessions_at_once() {
    let Some(server) = Server::new() else { return };
    in_root_fiber(move || {
        let server = Rc::new(server);
        let sessions: Vec<_> = (0..10)
            .map(|n| {
                let server = server.clone();
                spawn(move || {
                    let (stream, mut process) = server.connect();
                    let mut client = Client::new(stream);
                    client.log_in(&server.user, &server.key());
                    assert_eq!(client.run(&format!("echo {n}")), format!("{n}\n"));
                    let many = client.run("yes 0123456789 | head -n 20000");
                    drop(client);
                    blocking(move || process.wait()).wait().unwrap();
                    many.len()
                })
            })
            .collect();
        for session in sessions {
            assert_eq!(session.wait().unwrap(), 20_000 * 11);
        }
    });
}

#[test]
fn a_cancel_closes_the_session() {
    let Some(server) = Server::new() else { return };
    in_root_fiber(move || {
        let drops = Drops::new();
        let token = drops.token();
        let (stream, mut process) = server.connect();
        let begun = SwitchBack::new();
        let has_begun = begun.switcher();
        let session = spawn(move || {
            let _token = token;
            let mut client = Client::new(stream);
            client.log_in(&server.user, &server.key());
            let mut channel = client.start("cat");
            has_begun.switch(());
            client.wait(|_| channel.read(&mut [0])).unwrap();
        });
        begun.wait().unwrap();
        yield_now().wait();
        session.cancel();
        assert!(session.wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        // The server sees that.
        blocking(move || process.wait()).wait().unwrap();
    });
}
