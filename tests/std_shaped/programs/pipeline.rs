// A pipeline of programs: a thread feeds the first, each one's output is the next one's input, and the
// last one's output is collected, while another thread keeps what they complain about.

/// One program of a pipeline.
struct Stage {
    program: &'static str,
    arguments: Vec<String>,
}

impl Stage {
    fn new(program: &'static str, arguments: &[&str]) -> Stage {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Stage { program, arguments }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).env("LC_ALL", "C");
        command
    }
}

/// What has come out of a pipeline.
#[derive(Debug)]
struct Outcome {
    output: String,
    complaints: Vec<String>,
    codes: Vec<Option<i32>>,
    fed: u64,
}

/// Runs the stages over an input.
fn run_pipeline(stages: &[Stage], input: Vec<u8>) -> io::Result<Outcome> {
    let (complaints, heard) = channel();
    let mut children: Vec<Child> = Vec::new();
    let mut listeners = Vec::new();
    let mut upstream: Option<Stdio> = None;
    for (number, stage) in stages.iter().enumerate() {
        let mut command = stage.command();
        command.stdin(upstream.take().unwrap_or_else(Stdio::piped));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if number + 1 < stages.len() {
            upstream = child.stdout.take().map(Stdio::from);
        }
        let errors = child.stderr.take().expect("it is a pipe");
        let complaints = complaints.clone();
        listeners.push(thread::spawn(move || listen(number, errors, &complaints)));
        children.push(child);
    }
    drop(complaints);

    let first = children.first_mut().expect("there are stages");
    let mut sink = first.stdin.take().expect("it is a pipe");
    // A stage need not read everything, so an error is none.
    let feeder = thread::spawn(move || io::copy(&mut &input[..], &mut sink).unwrap_or_default());
    let last = children.last_mut().expect("there are stages");
    let mut output = String::new();
    last.stdout.take().expect("it is a pipe").read_to_string(&mut output)?;

    let mut codes = Vec::new();
    for child in &mut children {
        codes.push(child.wait()?.code());
    }
    for listener in listeners {
        listener.join().expect("a listener does not panic")?;
    }
    let fed = feeder.join().expect("the feeder does not panic");
    let mut complaints: Vec<String> = heard.iter().collect();
    complaints.sort();
    Ok(Outcome { output, complaints, codes, fed })
}

/// Sends the lines that a program complains with.
fn listen(stage: usize, errors: ChildStderr, to: &Sender<String>) -> io::Result<()> {
    for line in BufReader::new(errors).lines() {
        let _ = to.send(format!("stage {stage}: {}", line?));
    }
    Ok(())
}

/// Waits for a program for so long, and kills it then.
fn wait_at_most(child: &mut Child, limit: Duration) -> io::Result<Option<i32>> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if begin.elapsed() >= limit {
            child.kill()?;
            return Ok(child.wait()?.code());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn words() -> Vec<u8> {
    let words = ["pear", "apple", "fig", "apple", "plum", "pear", "apple"];
    let mut text = Vec::new();
    for round in 0..2000 {
        for word in &words[..=round % words.len()] {
            text.extend_from_slice(word.as_bytes());
            text.push(b'\n');
        }
    }
    text
}

/// The program: pipelines over generated text, and programs that end in other ways.
pub(crate) fn run(folder: &Path) -> io::Result<String> {
    let mut report = String::new();
    let mut add = |name: &str, outcome: Outcome| {
        report += &format!("{name}: {:?}, fed {}\n", outcome.codes, outcome.fed);
        for line in outcome.output.lines().chain(outcome.complaints.iter().map(|line| &**line)) {
            report += &format!("    {}\n", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    };
    let count = [
        Stage::new("sort", &[]),
        Stage::new("uniq", &["-c"]),
        Stage::new("sort", &["-rn"]),
    ];
    add("count", run_pipeline(&count, words())?);
    let upper = [Stage::new("tr", &["a-z", "A-Z"]), Stage::new("sort", &["-u"])];
    add("upper", run_pipeline(&upper, words())?);
    let fails = [
        Stage::new("cat", &[]),
        Stage::new("sh", &["-c", "cat >/dev/null; echo 'no good' >&2; exit 4"]),
    ];
    add("fails", run_pipeline(&fails, b"some text\n".to_vec())?);

    // Several at once.
    let many: Vec<_> = (0..6)
        .map(|number: u64| {
            thread::spawn(move || {
                let stages = [Stage::new("cat", &[]), Stage::new("wc", &["-c"])];
                run_pipeline(&stages, vec![b'x'; 10_000 * number as usize])
            })
        })
        .collect();
    for one in many {
        let outcome = one.join().expect("a pipeline does not panic")?;
        report += &format!("{} of {}\n", outcome.output.trim(), outcome.fed);
    }

    // A file as output, and a program that takes too long.
    let path = folder.join("sorted");
    let mut sort = Command::new("sort");
    sort.stdin(Stdio::piped()).stdout(File::create(&path)?);
    let mut sort = sort.spawn()?;
    sort.stdin.take().expect("it is a pipe").write_all(b"c\na\nb\n")?;
    report += &format!("{:?}\n", wait_at_most(&mut sort, Duration::from_secs(30))?);
    report += &format!("{:?}\n", fs::read_to_string(&path)?);
    let mut long = Command::new("sleep").arg("1000").spawn()?;
    report += &format!("{:?}\n", wait_at_most(&mut long, Duration::from_millis(20))?);
    Ok(report)
}
