// A chat server with a thread for each connection, and clients that talk to it.
//
// The server knows the members by name. A line of a member goes to all others; `/nick`, `/who`, `/me`
// and `/quit` are commands. One thread writes to everybody, so that all see the lines in one order.

/// What the threads of connections tell the thread that writes.
enum Event {
    Joined { id: usize, stream: TcpStream },
    Said { id: usize, text: String },
    Left { id: usize },
}

struct Member {
    name: String,
    stream: TcpStream,
    lines: usize,
}

/// The members, for the thread that writes and for the threads that read.
#[derive(Default)]
struct Room {
    members: BTreeMap<usize, Member>,
    total: usize,
}

impl Room {
    fn send(&mut self, to: usize, text: &str) {
        if let Some(member) = self.members.get_mut(&to) {
            // Whoever does not read any more is told of by its reader.
            let _ = writeln!(member.stream, "{text}");
        }
    }

    fn broadcast(&mut self, except: usize, text: &str) {
        let ids: Vec<usize> = self.members.keys().copied().collect();
        for id in ids {
            if id != except {
                self.send(id, text);
            }
        }
    }

    fn name(&self, id: usize) -> String {
        self.members.get(&id).map(|member| member.name.clone()).unwrap_or_default()
    }

    fn is_taken(&self, name: &str) -> bool {
        self.members.values().any(|member| member.name == name)
    }
}

fn handle(room: &mut Room, event: Event) {
    match event {
        Event::Joined { id, stream } => {
            let name = format!("guest{id}");
            let member = Member { name: name.clone(), stream, lines: 0 };
            room.members.insert(id, member);
            room.send(id, &format!("* welcome, {name}"));
            room.broadcast(id, &format!("* {name} has joined"));
        }
        Event::Said { id, text } => {
            room.total += 1;
            if let Some(member) = room.members.get_mut(&id) {
                member.lines += 1;
            }
            let name = room.name(id);
            match text.split_once(' ').unwrap_or((&text, "")) {
                ("/nick", "") => room.send(id, "! a name is missing"),
                ("/nick", new) if room.is_taken(new) => room.send(id, &format!("! {new} is taken")),
                ("/nick", new) => {
                    if let Some(member) = room.members.get_mut(&id) {
                        member.name = new.to_owned();
                    }
                    room.send(id, &format!("* you are {new}"));
                    room.broadcast(id, &format!("* {name} is now {new}"));
                }
                ("/who", _) => {
                    let names: Vec<_> = room.members.values().map(|m| m.name.clone()).collect();
                    room.send(id, &format!("* here are {}", names.join(", ")));
                }
                ("/me", what) => {
                    room.broadcast(usize::MAX, &format!("* {name} {what}"));
                }
                (command, _) if command.starts_with('/') => {
                    room.send(id, &format!("! there is no {command}"));
                }
                _ => room.broadcast(id, &format!("<{name}> {text}")),
            }
        }
        Event::Left { id } => {
            if let Some(member) = room.members.remove(&id) {
                let _ = member.stream.shutdown(Shutdown::Both);
                let (name, lines) = (member.name, member.lines);
                room.broadcast(id, &format!("* {name} has left after {lines} lines"));
            }
        }
    }
}

/// Reads what one member says.
fn read_member(id: usize, stream: TcpStream, events: Sender<Event>) -> io::Result<()> {
    let clone = stream.try_clone()?;
    let _ = events.send(Event::Joined { id, stream: clone });
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next().transpose()? {
        if line == "/quit" {
            break;
        }
        let _ = events.send(Event::Said { id, text: line });
    }
    let _ = events.send(Event::Left { id });
    Ok(())
}

/// Serves so many members, and returns the number of lines that they said.
fn serve(listener: TcpListener, members: usize) -> io::Result<usize> {
    let room = Arc::new(Mutex::new(Room::default()));
    let (events, to_write) = channel();
    let writer = thread::spawn({
        let room = Arc::clone(&room);
        move || {
            for event in to_write {
                handle(&mut room.lock().unwrap(), event);
            }
        }
    });
    let mut readers = Vec::new();
    for (id, stream) in listener.incoming().take(members).enumerate() {
        let (stream, events) = (stream?, events.clone());
        readers.push(thread::spawn(move || read_member(id, stream, events)));
    }
    drop(events);
    for reader in readers {
        reader.join().expect("a reader does not panic")?;
    }
    writer.join().expect("the writer does not panic");
    let room = room.lock().unwrap();
    Ok(room.total)
}

/// A client that writes lines and waits for answers, and keeps all that it has seen.
struct Client {
    stream: TcpStream,
    lines: Lines<BufReader<TcpStream>>,
    seen: Vec<String>,
}

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let lines = BufReader::new(stream.try_clone()?).lines();
        let mut client = Client { stream, lines, seen: Vec::new() };
        client.wait_for("welcome")?;
        Ok(client)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stream, "{text}")
    }

    fn wait_for(&mut self, text: &str) -> io::Result<()> {
        loop {
            let Some(line) = self.lines.next().transpose()? else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text.to_owned()));
            };
            let found = line.contains(text);
            self.seen.push(line);
            if found {
                return Ok(());
            }
        }
    }

    fn quit(mut self) -> io::Result<Vec<String>> {
        self.say("/quit")?;
        for line in self.lines.by_ref() {
            self.seen.push(line?);
        }
        Ok(self.seen)
    }
}

/// The program: three members talk, and their transcripts are its output.
pub(crate) fn run() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(listener, 3));

    let mut ann = Client::connect(address)?;
    ann.say("/nick ann")?;
    ann.wait_for("you are ann")?;
    let mut bob = Client::connect(address)?;
    ann.wait_for("has joined")?;
    bob.say("/nick ann")?;
    bob.wait_for("taken")?;
    bob.say("/nick bob")?;
    bob.wait_for("you are bob")?;
    ann.wait_for("now bob")?;

    // A third one listens on a thread of its own.
    let listens = thread::spawn(move || -> io::Result<Vec<String>> {
        let mut cid = Client::connect(address)?;
        cid.say("/who")?;
        cid.wait_for("here are")?;
        cid.say("hello all")?;
        cid.wait_for("waves")?;
        cid.quit()
    });
    ann.wait_for("hello all")?;
    bob.wait_for("hello all")?;
    ann.say("/me waves")?;
    ann.wait_for("waves")?;
    bob.wait_for("waves")?;
    let cid = listens.join().expect("the third does not panic")?;
    ann.wait_for("has left")?;
    bob.wait_for("has left")?;
    bob.say("/dance")?;
    bob.wait_for("no /dance")?;
    let bob = bob.quit()?;
    ann.wait_for("bob has left")?;
    let ann = ann.quit()?;

    let total = server.join().expect("the server does not panic")?;
    let mut output = String::new();
    for (name, seen) in [("ann", ann), ("bob", bob), ("cid", cid)] {
        output += &format!("--- {name}\n{}\n", seen.join("\n"));
    }
    Ok(output + &format!("{total} lines\n"))
}
