//! What tokio-console is told about fibers: a client of its protocol, to which console-subscriber
//! sends what it sends to that program. Run it in this package's directory: `cargo test`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use console_api::field::{Name, Value};
use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::tasks::{Stats, Task, TaskUpdate};
use console_subscriber::{ConsoleLayer, Server, ServerParts};
use switchback::{Builder, prelude::*, yield_now};
use tokio::runtime;
use tokio::sync::Notify;
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt as _;

const WORKERS: u64 = 100;

/// The states of tokio-console's list of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Scheduled,
    Idle,
    Completed,
}

/// What the client has been told of the tasks, by their span.
#[derive(Default)]
struct Tasks(HashMap<u64, (Task, Stats)>);

impl Tasks {
    fn update(&mut self, update: TaskUpdate) {
        assert_eq!(update.dropped_events, 0);
        for task in update.new_tasks {
            let id = task.id.expect("a task has an id").id;
            self.0.insert(id, (task, Stats::default()));
        }
        for (id, stats) in update.stats_update {
            if let Some((_, known)) = self.0.get_mut(&id) {
                *known = stats;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&(Task, Stats)> {
        let name = Value::StrVal(name.to_owned());
        let mut tasks = self.0.values();
        tasks.find(|(task, _)| field(task, "task.name") == Some(&name))
    }

    /// Returns the workers in order, once all of them are known.
    fn workers(&self) -> Option<Vec<&(Task, Stats)>> {
        (0..WORKERS).map(|n| self.find(&worker(n))).collect()
    }

    fn state(&self, name: &str) -> Option<State> {
        Some(state(&self.find(name)?.1))
    }
}

fn worker(n: u64) -> String {
    format!("worker {n}")
}

fn field<'a>(task: &'a Task, name: &str) -> Option<&'a Value> {
    let name = Name::StrName(name.to_owned());
    let mut fields = task.fields.iter();
    let found = fields.find(|field| field.name.as_ref() == Some(&name))?;
    found.value.as_ref()
}

/// Returns the state as tokio-console tells it from what it was sent.
fn state(stats: &Stats) -> State {
    let polls = stats.poll_stats.as_ref();
    let at = |at: Option<_>| at.and_then(|at| SystemTime::try_from(at).ok());
    let started = at(polls.and_then(|polls| polls.last_poll_started));
    let ended = at(polls.and_then(|polls| polls.last_poll_ended));
    if stats.dropped_at.is_some() {
        State::Completed
    } else if started > ended {
        State::Running
    } else if at(stats.last_wake) > started {
        State::Scheduled
    } else {
        State::Idle
    }
}

/// A condition, and who is told when it holds.
type Step = (fn(&Tasks) -> bool, mpsc::Sender<()>);

/// A client of the console, which has a thread of its own.
struct Client {
    server: Server,
    tasks: Tasks,
}

impl Client {
    /// Reads updates until each of the conditions has held.
    fn watch(mut self, steps: [Step; 3]) -> Tasks {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async move {
            let ServerParts {
                instrument_server,
                aggregator,
                ..
            } = self.server.into_parts();
            let aggregator = tokio::spawn(aggregator.run());
            let mut client = InstrumentClient::new(instrument_server);
            let updates = client.watch_updates(InstrumentRequest {}).await.unwrap();
            let mut updates = updates.into_inner();
            for (holds, go) in steps {
                while !holds(&self.tasks) {
                    let update = updates.message().await.unwrap().unwrap();
                    update
                        .task_update
                        .into_iter()
                        .for_each(|update| self.tasks.update(update));
                }
                go.send(()).unwrap();
            }
            aggregator.abort();
            self.tasks
        })
    }
}

#[test]
fn a_console_sees_a_hundred_fibers_with_state_place_polls_and_wakes() {
    let (layer, server) = ConsoleLayer::builder()
        .publish_interval(Duration::from_millis(20))
        .build();
    let (all_idle, when_all_idle) = mpsc::channel();
    let (one_runs, when_one_runs) = mpsc::channel();
    let (all_done, when_all_done) = mpsc::channel();
    let client = thread::spawn(move || {
        let tasks = Tasks::default();
        Client { server, tasks }.watch([
            (are_all_idle, all_idle),
            (does_one_run, one_runs),
            (are_all_done, all_done),
        ])
    });

    let registry = tracing_subscriber::registry().with(layer);
    let _subscribed = subscriber::set_default(registry);
    switchback::run(move || {
        let go = Rc::new(Notify::new());
        let fibers: Vec<_> = (0..WORKERS)
            .map(|n| {
                let go = go.clone();
                Builder::new()
                    .name(worker(n))
                    .spawn(move || {
                        (0..n).for_each(|_| yield_now().wait());
                        go.notified().wait();
                    })
                    .unwrap()
            })
            .collect();
        // The client is told while the hub's thread is blocked.
        let blocker = Builder::new().name("blocker").spawn(move || {
            (0..WORKERS + 2).for_each(|_| yield_now().wait());
            when_all_idle.recv().unwrap();
            go.notify_one();
            when_one_runs.recv().unwrap();
            go.notify_waiters();
        });
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        blocker.unwrap().wait().unwrap();
    })
    .unwrap();
    when_all_done.recv().unwrap();

    let tasks = client.join().unwrap();
    for (n, (task, stats)) in (0..).zip(tasks.workers().unwrap()) {
        let kind = Value::StrVal("fiber".to_owned());
        assert_eq!(field(task, "kind"), Some(&kind));
        assert!(matches!(field(task, "task.id"), Some(Value::U64Val(_))));
        let place = task.location.as_ref().unwrap();
        assert!(place.file.as_ref().unwrap().ends_with("fibers.rs"));
        assert!(place.line.is_some() && place.column.is_some());
        // Each yield, the wait, and the end.
        assert_eq!(stats.poll_stats.as_ref().unwrap().polls, n + 2);
        assert_eq!((stats.wakes, stats.self_wakes), (n + 1, n));
        assert_eq!((stats.waker_clones, stats.waker_drops), (1, 1));
    }
}

fn are_all_idle(tasks: &Tasks) -> bool {
    let is_idle = |n: u64, stats: &Stats| {
        let polls = stats.poll_stats.as_ref().map(|polls| polls.polls);
        polls == Some(n + 1) && state(stats) == State::Idle
    };
    let workers = tasks.workers();
    workers.is_some_and(|workers| (0..).zip(workers).all(|(n, (_, stats))| is_idle(n, stats)))
        && tasks.state("blocker") == Some(State::Running)
}

fn does_one_run(tasks: &Tasks) -> bool {
    tasks.state(&worker(0)) == Some(State::Scheduled)
        && (1..WORKERS).all(|n| tasks.state(&worker(n)) == Some(State::Idle))
        && tasks.state("blocker") == Some(State::Running)
}

fn are_all_done(tasks: &Tasks) -> bool {
    let states = tasks.0.values().map(|(_, stats)| state(stats));
    // The root and the blocker too.
    states.filter(|state| *state == State::Completed).count() as u64 == WORKERS + 2
}
