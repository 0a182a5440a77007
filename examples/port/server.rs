// The bank of the example `port`: `main.rs` includes this file twice.

const CLIENTS: usize = 10;

/// The accounts, and the log of what was done, which another thread writes.
struct Bank {
    balances: Mutex<Vec<i64>>,
    log: Sender<String>,
}

impl Bank {
    /// Carries out `ACCOUNT AMOUNT`, and returns the balance.
    fn execute(&self, line: &str) -> Option<i64> {
        let (account, amount) = line.split_once(' ')?;
        let (account, amount): (usize, i64) = (account.parse().ok()?, amount.parse().ok()?);
        // Others may run while this section waits. A cancel in it would poison the lock, as a panic
        // does, so it waits until the section is done.
        shield(|| {
            let mut balances = self.balances.lock().unwrap();
            let before = *balances.get(account)?;
            thread::yield_now();
            balances[account] = before + amount;
            let _ = self.log.send(format!("account {account}: {amount:+}"));
            Some(balances[account])
        })
    }
}

fn serve_client(bank: &Bank, stream: TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        match bank.execute(&line?) {
            Some(balance) => writeln!(&stream, "{balance}")?,
            None => writeln!(&stream, "expected ACCOUNT AMOUNT")?,
        }
    }
    Ok(())
}

/// Serves the clients, and returns the sum of all balances and the length of the log.
fn serve(listener: TcpListener) -> io::Result<(i64, usize)> {
    let (log, entries) = channel();
    let balances = Mutex::new(vec![0; CLIENTS]);
    let bank = Arc::new(Bank { balances, log });
    let logger = thread::spawn(move || entries.iter().count());
    let mut connections = Vec::new();
    for stream in listener.incoming().take(CLIENTS) {
        let (bank, stream) = (Arc::clone(&bank), stream?);
        connections.push(thread::spawn(move || serve_client(&bank, stream)));
    }
    for connection in connections {
        connection.join().expect("no connection panics")?;
    }
    let sum = bank.balances.lock().unwrap().iter().sum();
    drop(bank); // and with it the end of the log
    Ok((sum, logger.join().expect("the logger does not panic")))
}

fn ask(address: SocketAddr, client: usize) -> io::Result<String> {
    let stream = TcpStream::connect(address)?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    let mut last = String::new();
    for amount in 1..=100 {
        writeln!(&stream, "{client} {amount}")?;
        last = answers.next().transpose()?.unwrap_or_default();
    }
    writeln!(&stream, "nonsense")?;
    let refused = answers.next().transpose()?.unwrap_or_default();
    Ok(format!("client {client}: {last}, {refused}"))
}

/// Runs the server with its clients, and returns what they were told.
pub(crate) fn serve_and_ask() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(listener));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| thread::spawn(move || ask(address, client)))
        .collect();
    let mut told = Vec::new();
    for client in clients {
        told.push(client.join().expect("no client panics")?);
    }
    let (sum, entries) = server.join().expect("the server does not panic")?;
    told.push(format!("sum {sum}, {entries} entries"));
    Ok(told.join("\n"))
}
