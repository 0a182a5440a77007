// A scanner of ports: a few threads take addresses from a queue, connect with a timeout, read what the
// service says first, and send what they found.

/// What is known about an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// It accepts, and says this.
    Open(String),
    /// It accepts, and says nothing.
    Silent,
    /// Nobody listens.
    Closed,
    /// Something else.
    Failed(io::ErrorKind),
}

#[derive(Debug)]
struct Finding {
    number: usize,
    status: Status,
    attempts: u32,
}

/// The addresses that are to be scanned, by their number.
struct Targets {
    queue: Mutex<VecDeque<(usize, SocketAddr)>>,
    done: AtomicUsize,
}

impl Targets {
    fn new(addresses: &[SocketAddr]) -> Targets {
        Targets {
            queue: Mutex::new(addresses.iter().copied().enumerate().collect()),
            done: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> Option<(usize, SocketAddr)> {
        self.queue.lock().unwrap().pop_front()
    }
}

struct Options {
    threads: usize,
    connect: Duration,
    banner: Duration,
    attempts: u32,
}

/// Reads the first line of a service, as long as it comes in time.
fn banner(stream: &TcpStream, timeout: Duration) -> io::Result<Option<String>> {
    stream.set_read_timeout(Some(timeout))?;
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        match (&*stream).read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => text.push(byte[0]),
            // A timeout is `WouldBlock` on some systems.
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(e) => return Err(e),
        }
        if text.len() == 80 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

fn probe(address: &SocketAddr, options: &Options) -> Status {
    let stream = match TcpStream::connect_timeout(address, options.connect) {
        Ok(stream) => stream,
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => return Status::Closed,
        Err(e) => return Status::Failed(e.kind()),
    };
    match banner(&stream, options.banner) {
        Ok(Some(text)) => {
            let _ = (&stream).write_all(b"bye\n");
            let _ = stream.shutdown(Shutdown::Both);
            Status::Open(text)
        }
        Ok(None) => Status::Silent,
        Err(e) => Status::Failed(e.kind()),
    }
}

fn work(targets: &Targets, options: &Options, findings: &SyncSender<Finding>) {
    while let Some((number, address)) = targets.next() {
        let mut attempts = 1;
        let mut status = probe(&address, options);
        while matches!(status, Status::Failed(_)) && attempts < options.attempts {
            thread::sleep(Duration::from_millis(5));
            attempts += 1;
            status = probe(&address, options);
        }
        targets.done.fetch_add(1, Ordering::SeqCst);
        let finding = Finding { number, status, attempts };
        if findings.send(finding).is_err() {
            return; // nobody wants to know any more
        }
    }
}

/// Scans the addresses, and returns the findings in their order.
fn scan(addresses: &[SocketAddr], options: &Options) -> Vec<Finding> {
    let targets = Targets::new(addresses);
    let (sender, findings) = sync_channel(2);
    let mut found: Vec<Finding> = thread::scope(|scope| {
        for _ in 0..options.threads {
            let (sender, targets) = (sender.clone(), &targets);
            scope.spawn(move || work(targets, options, &sender));
        }
        drop(sender);
        findings.iter().collect()
    });
    assert_eq!(targets.done.load(Ordering::SeqCst), addresses.len());
    found.sort_by_key(|finding| finding.number);
    found
}

/// A service to be found: it greets whoever comes, until it is told to stop.
struct Service {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<usize>,
}

impl Service {
    fn start(greeting: Option<String>) -> io::Result<Service> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut served = 0;
            // Who is not greeted stays connected.
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                served += 1;
                match &greeting {
                    Some(greeting) => {
                        let _ = writeln!(stream, "{greeting}");
                    }
                    None => silent.push(stream),
                }
            }
            served
        });
        Ok(Service { address, stop, thread })
    }

    /// Stops the service, by a connection that it does not serve.
    fn stop(self) -> io::Result<usize> {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)?);
        Ok(self.thread.join().expect("a service does not panic"))
    }
}

/// The program: it starts services, scans them and ports where nobody is, and prints a report.
pub(crate) fn run() -> io::Result<String> {
    let mut services = Vec::new();
    for number in 0..6 {
        let greeting = (number != 4).then(|| format!("220 service {number} ready"));
        services.push(Service::start(greeting)?);
    }
    let mut addresses: Vec<SocketAddr> = services.iter().map(|service| service.address).collect();
    for _ in 0..3 {
        // Ports that were in use a moment ago.
        addresses.push(TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    }
    let options = Options {
        threads: 4,
        connect: Duration::from_secs(20),
        banner: Duration::from_millis(300),
        attempts: 2,
    };
    let findings = scan(&addresses, &options);
    let mut report = String::new();
    let mut open = 0;
    for Finding { number, status, attempts } in &findings {
        open += usize::from(matches!(status, Status::Open(_) | Status::Silent));
        report += &match status {
            Status::Open(text) => format!("{number}: open: {text}\n"),
            Status::Silent => format!("{number}: open, and silent\n"),
            Status::Closed => format!("{number}: closed\n"),
            Status::Failed(kind) => format!("{number}: {kind:?} after {attempts} attempts\n"),
        };
    }
    let mut served = 0;
    for service in services {
        served += service.stop()?;
    }
    Ok(report + &format!("{open} of {} open, {served} served\n", addresses.len()))
}
