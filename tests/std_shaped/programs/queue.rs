// A queue of jobs with a limit: producers wait while it is full, workers wait while it is empty, and
// whoever wants the end waits until all is done. Urgent jobs go first; jobs that fail are tried again.

#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    id: usize,
    urgent: bool,
    attempts: u32,
}

#[derive(Debug, Default)]
struct State {
    urgent: VecDeque<Job>,
    normal: VecDeque<Job>,
    running: usize,
    closed: bool,
    longest: usize,
}

impl State {
    fn len(&self) -> usize {
        self.urgent.len() + self.normal.len()
    }

    fn push(&mut self, job: Job) {
        match job.urgent {
            true => self.urgent.push_back(job),
            false => self.normal.push_back(job),
        }
        self.longest = self.longest.max(self.len());
    }

    fn pop(&mut self) -> Option<Job> {
        self.urgent.pop_front().or_else(|| self.normal.pop_front())
    }
}

struct Queue {
    state: Mutex<State>,
    limit: usize,
    not_full: Condvar,
    not_empty: Condvar,
    idle: Condvar,
}

/// Why a job was not taken.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Closed,
    Full,
}

impl Queue {
    fn new(limit: usize) -> Queue {
        Queue {
            state: Mutex::default(),
            limit,
            not_full: Condvar::new(),
            not_empty: Condvar::new(),
            idle: Condvar::new(),
        }
    }

    /// Waits for room.
    fn push(&self, job: Job) -> Result<(), Refused> {
        let state = self.state.lock().unwrap();
        let full = |state: &mut State| !state.closed && state.len() >= self.limit;
        let mut state = self.not_full.wait_while(state, full).unwrap();
        if state.closed {
            return Err(Refused::Closed);
        }
        state.push(job);
        self.not_empty.notify_one();
        Ok(())
    }

    /// Waits for room, but not for long.
    fn push_within(&self, job: Job, timeout: Duration) -> Result<(), Refused> {
        let state = self.state.lock().unwrap();
        let full = |state: &mut State| !state.closed && state.len() >= self.limit;
        let (mut state, waited) = self.not_full.wait_timeout_while(state, timeout, full).unwrap();
        match (state.closed, waited.timed_out()) {
            (true, _) => Err(Refused::Closed),
            (false, true) => Err(Refused::Full),
            (false, false) => {
                state.push(job);
                self.not_empty.notify_one();
                Ok(())
            }
        }
    }

    /// Waits for a job. `None` after the end.
    fn pop(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(job) = state.pop() {
                state.running += 1;
                self.not_full.notify_one();
                return Some(job);
            }
            // A job that runs may come back.
            if state.closed && state.running == 0 {
                return None;
            }
            state = self.not_empty.wait(state).unwrap();
        }
    }

    fn done(&self, failed: Option<Job>) {
        let mut state = self.state.lock().unwrap();
        state.running -= 1;
        if let Some(job) = failed {
            state.push(job); // even if it is full: nobody else makes room for it
            self.not_empty.notify_one();
        }
        if state.running == 0 && state.len() == 0 {
            self.idle.notify_all();
            self.not_empty.notify_all();
        }
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    /// Waits until there is nothing to do.
    fn wait_idle(&self) {
        let state = self.state.lock().unwrap();
        let busy = |state: &mut State| state.running > 0 || state.len() > 0;
        drop(self.idle.wait_while(state, busy).unwrap());
    }
}

/// What all workers read.
const TABLE: [u64; 64] = {
    let mut table = [1; 64];
    let mut at = 2;
    while at < table.len() {
        table[at] = table[at - 1] + table[at - 2];
        at += 1;
    }
    table
};

/// Runs a job. Each seventh fails at its first attempt.
fn run_job(job: &Job) -> Result<u64, String> {
    thread::sleep(Duration::from_micros((job.id % 5) as u64 * 100));
    if job.id % 7 == 0 && job.attempts == 0 {
        return Err(format!("job {} failed", job.id));
    }
    Ok(TABLE[job.id % 64])
}

#[derive(Debug, Default)]
struct Tally {
    jobs: BTreeMap<usize, u64>,
    failures: Vec<String>,
}

fn worker(queue: &Queue, tally: &Mutex<Tally>) -> usize {
    let mut ran = 0;
    while let Some(mut job) = queue.pop() {
        ran += 1;
        match run_job(&job) {
            Ok(value) => {
                let twice = tally.lock().unwrap().jobs.insert(job.id, value);
                assert_eq!(twice, None, "a job is done once");
                queue.done(None);
            }
            Err(error) => {
                tally.lock().unwrap().failures.push(error);
                job.attempts += 1;
                queue.done(Some(job));
            }
        }
    }
    ran
}

/// The program: producers and workers, and what was done.
pub(crate) fn run() -> String {
    const PRODUCERS: usize = 3;
    const WORKERS: usize = 4;
    const EACH: usize = 40;
    let queue = Queue::new(5);
    let tally = Mutex::new(Tally::default());
    let mut output = Vec::new();
    let ran: usize = thread::scope(|scope| {
        let (queue, tally) = (&queue, &tally);
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| worker(queue, tally)))
            .collect();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                scope.spawn(move || {
                    for number in 0..EACH {
                        let id = producer * EACH + number;
                        let job = Job { id, urgent: number % 10 == 0, attempts: 0 };
                        queue.push(job).expect("the queue is open");
                        if number % 8 == 0 {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().expect("a producer does not panic");
        }
        queue.wait_idle();
        queue.close();
        let late = Job { id: 1000, urgent: false, attempts: 0 };
        output.push(format!("late: {:?}", queue.push(late)));
        let ran = workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
        ran.sum()
    });
    let mut tally = tally.into_inner().unwrap();
    tally.failures.sort();
    output.push(format!("{} jobs, {ran} runs", tally.jobs.len()));
    output.push(format!("sum {}", tally.jobs.values().sum::<u64>()));
    output.extend(tally.failures);
    let state = queue.state.into_inner().unwrap();
    output.push(format!("{} left, never more than {}", state.len(), state.longest <= 5 + WORKERS));

    // A queue that nobody empties.
    let full = Queue::new(1);
    let job = |id| Job { id, urgent: false, attempts: 0 };
    output.push(format!("{:?}", full.push_within(job(1), Duration::from_millis(1))));
    output.push(format!("{:?}", full.push_within(job(2), Duration::from_millis(1))));
    output.push(format!("{:?}", full.pop().map(|job| job.id)));
    output.join("\n")
}
