// A key-value store with a protocol of lines, a thread for each connection, and a log in a file from
// which it starts again.
//
// Commands: `SET key value`, `GET key`, `DEL key`, `ADD key number`, `KEYS prefix`, `STATS`, `QUIT`.

/// The data, the log of changes, and figures for `STATS`.
struct Store {
    data: RwLock<BTreeMap<String, String>>,
    log: Mutex<BufWriter<File>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

/// Why a command was refused.
#[derive(Debug)]
enum Refused {
    Unknown(String),
    Arguments(&'static str),
    NoNumber(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Unknown(command) => write!(f, "unknown command {command}"),
            Refused::Arguments(usage) => write!(f, "usage: {usage}"),
            Refused::NoNumber(text) => write!(f, "{text} is no number"),
        }
    }
}

impl Store {
    /// Opens a store, with what its log says.
    fn open(path: &Path) -> io::Result<Store> {
        let mut data = BTreeMap::new();
        if path.try_exists()? {
            let log = BufReader::new(File::open(path)?);
            for line in log.lines() {
                let line = line?;
                let mut parts = line.splitn(3, ' ');
                match (parts.next(), parts.next(), parts.next()) {
                    (Some("SET"), Some(key), Some(value)) => {
                        data.insert(key.to_owned(), value.to_owned());
                    }
                    (Some("DEL"), Some(key), None) => drop(data.remove(key)),
                    _ => return Err(io::Error::new(io::ErrorKind::InvalidData, line)),
                }
            }
        }
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Store {
            data: RwLock::new(data),
            log: Mutex::new(BufWriter::new(log)),
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
        })
    }

    fn record(&self, line: fmt::Arguments<'_>) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut log = self.log.lock().unwrap();
        writeln!(log, "{line}")
    }

    /// Carries out a command, and returns the answer. `None` ends the conversation.
    fn execute(&self, line: &str) -> io::Result<Option<String>> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let answer = match command {
            "GET" => self.get(rest),
            "SET" => match rest.split_once(' ') {
                Some((key, value)) => self.set(key, value)?,
                None => Err(Refused::Arguments("SET key value")),
            },
            "DEL" => self.delete(rest)?,
            "ADD" => match rest.split_once(' ') {
                Some((key, number)) => self.add(key, number)?,
                None => Err(Refused::Arguments("ADD key number")),
            },
            "KEYS" => {
                let data = self.data.read().unwrap();
                let keys = data.keys().filter(|key| key.starts_with(rest)).cloned();
                Ok(keys.collect::<Vec<_>>().join(" "))
            }
            "STATS" => {
                let keys = self.data.read().unwrap().len();
                let writes = self.writes.load(Ordering::Relaxed);
                Ok(format!("{keys} keys, {writes} writes"))
            }
            "QUIT" => return Ok(None),
            _ => Err(Refused::Unknown(command.to_owned())),
        };
        Ok(Some(match answer {
            Ok(value) => format!("OK {value}").trim_end().to_owned(),
            Err(refused) => format!("ERR {refused}"),
        }))
    }

    fn get(&self, key: &str) -> Result<String, Refused> {
        if key.is_empty() {
            return Err(Refused::Arguments("GET key"));
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        let data = self.data.read().unwrap();
        Ok(data.get(key).cloned().unwrap_or_else(|| "-".to_owned()))
    }

    fn set(&self, key: &str, value: &str) -> io::Result<Result<String, Refused>> {
        let mut data = self.data.write().unwrap();
        // Under the lock, so that the log has the order of the changes.
        self.record(format_args!("SET {key} {value}"))?;
        data.insert(key.to_owned(), value.to_owned());
        Ok(Ok(String::new()))
    }

    fn delete(&self, key: &str) -> io::Result<Result<String, Refused>> {
        let mut data = self.data.write().unwrap();
        if data.remove(key).is_none() {
            return Ok(Ok("-".to_owned()));
        }
        self.record(format_args!("DEL {key}"))?;
        Ok(Ok(String::new()))
    }

    fn add(&self, key: &str, number: &str) -> io::Result<Result<String, Refused>> {
        let Ok(number) = number.parse::<i64>() else {
            return Ok(Err(Refused::NoNumber(number.to_owned())));
        };
        let mut data = self.data.write().unwrap();
        let before = data.get(key).map_or("0", |value| value);
        let Ok(before) = before.parse::<i64>() else {
            return Ok(Err(Refused::NoNumber(before.to_owned())));
        };
        let sum = (before + number).to_string();
        self.record(format_args!("SET {key} {sum}"))?;
        data.insert(key.to_owned(), sum.clone());
        Ok(Ok(sum))
    }

    fn close(&self) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        log.flush()?;
        log.get_ref().sync_all()
    }
}

fn serve_client(store: &Store, stream: TcpStream) -> io::Result<()> {
    let mut answers = BufWriter::new(stream.try_clone()?);
    for line in BufReader::new(stream).lines() {
        match store.execute(&line?)? {
            Some(answer) => writeln!(answers, "{answer}")?,
            None => break,
        }
        answers.flush()?;
    }
    Ok(())
}

/// Serves so many clients, and then closes the store.
fn serve(store: Store, listener: TcpListener, clients: usize) -> io::Result<()> {
    let store = Arc::new(store);
    let mut threads = Vec::new();
    for stream in listener.incoming().take(clients) {
        let (store, stream) = (Arc::clone(&store), stream?);
        let thread = thread::Builder::new().name("client".to_owned());
        threads.push(thread.spawn(move || serve_client(&store, stream))?);
    }
    for thread in threads {
        thread.join().expect("a client's thread does not panic")?;
    }
    store.close()
}

/// Sends commands one after the other, and returns the answers.
fn ask(address: SocketAddr, commands: &[&str]) -> io::Result<Vec<String>> {
    let stream = TcpStream::connect(address)?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    let mut all = Vec::new();
    for command in commands {
        writeln!(&stream, "{command}")?;
        match answers.next().transpose()? {
            Some(answer) => all.push(answer),
            None => break,
        }
    }
    Ok(all)
}

/// The program: clients of one run of the store, and one of the next, which has the data of the first.
pub(crate) fn run(folder: &Path) -> io::Result<String> {
    const ADDERS: usize = 8;
    const TIMES: usize = 25;
    let path = folder.join("log");
    let mut output = Vec::new();

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let store = Store::open(&path)?;
    let server = thread::spawn(move || serve(store, listener, ADDERS + 1));
    let mut adders = Vec::new();
    for adder in 0..ADDERS {
        adders.push(thread::spawn(move || -> io::Result<()> {
            let own = format!("SET own:{adder} value of {adder}");
            let mut commands = vec![&*own];
            commands.extend(["ADD sum 3"; TIMES]);
            let answers = ask(address, &commands)?;
            assert!(answers.iter().all(|answer| answer.starts_with("OK")));
            Ok(())
        }));
    }
    for adder in adders {
        adder.join().expect("a client does not panic")?;
    }
    output.extend(ask(
        address,
        &[
            "GET sum", "GET own:3", "GET nothing", "GET", "DEL own:3", "DEL own:3", "KEYS own:",
            "SET a", "ADD own:1 1", "ADD sum x", "JUMP", "STATS", "QUIT",
        ],
    )?);
    server.join().expect("the server does not panic")?;

    // The next run.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let store = Store::open(&path)?;
    let server = thread::spawn(move || serve(store, listener, 1));
    output.extend(ask(address, &["GET sum", "GET own:3", "GET own:4", "STATS", "QUIT"])?);
    server.join().expect("the server does not panic")?;

    let changes = fs::read_to_string(&path)?.lines().count();
    output.push(format!("{changes} changes in the log"));
    Ok(output.join("\n"))
}
