//! A seed stands for one schedule, on every machine and in every build, and a program for which that
//! is not so is told.

use std::cell::RefCell;
use std::collections::HashMap;
use std::env;
use std::process::Command;
use std::rc::Rc;
use std::thread;

use switchback::testing::{Explorer, Schedule};
use switchback::{Builder, Hub, prelude::*, sleep, spawn, yield_now};
use tokio::sync::{mpsc, oneshot};

use crate::support::ms;

/// Names of fibers, in the order in which they ran, and when they did.
fn order(schedule: Schedule) -> String {
    let hub = Hub::builder().start_paused(true).schedule(schedule);
    let order = hub.run(|| {
        let begin = tokio::time::Instant::now();
        let log = Rc::new(RefCell::new(String::new()));
        let fibers = ["a", "b", "c", "d"].map(|name| {
            let log = log.clone();
            spawn(move || {
                for wait in 1..=3 {
                    match wait % 2 {
                        0 => sleep(ms(wait)).wait(),
                        _ => yield_now().wait(),
                    }
                    *log.borrow_mut() += name;
                }
            })
        });
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
        format!("{} {}", log.take(), begin.elapsed().as_millis())
    });
    order.unwrap()
}

/// These were printed by a debug build on x86-64 Linux.
const ORDERS: [(Schedule, &str); 5] = [
    (Schedule::Fifo, "abcdabcdabcd 2"),
    (Schedule::Random(1), "dbaccacaddbb 6"),
    (Schedule::Random(2), "bcadbbddaacc 10"),
    (
        Schedule::Pct {
            seed: 1,
            changes: 1,
        },
        "bdcaccddaabb 7",
    ),
    (
        Schedule::Pct {
            seed: 2,
            changes: 4,
        },
        "bcadbbaaddcc 2",
    ),
];

#[test]
fn a_seed_gives_the_same_schedule_in_every_build() {
    for (schedule, expected) in ORDERS {
        assert_eq!(order(schedule), expected, "{schedule:?}");
        assert_eq!(order(schedule), expected, "{schedule:?}");
    }
}

#[test]
fn any_number_is_a_seed_and_a_number_of_changes() {
    for number in [0, 1, 1 << 31, u64::MAX - 1, u64::MAX] {
        let changes = u32::try_from(number).unwrap_or(u32::MAX);
        let pct = Schedule::Pct {
            seed: number,
            changes,
        };
        for schedule in [Schedule::Random(number), pct] {
            assert_eq!(order(schedule), order(schedule));
        }
        let explorer = Explorer::new().depth(changes).seed(number).schedules(6);
        let report = explorer.run(|| spawn(|| yield_now().wait()).wait().unwrap());
        assert_eq!((report.schedules(), report.failure()), (6, None));
    }
}

fn is_replayable(program: impl Fn() + 'static) -> bool {
    let report = Explorer::new().schedules(64).run(program);
    assert_eq!(report.failure(), None, "{report}");
    let says = report.to_string().contains("not replayable");
    assert_eq!(says, !report.is_replayable());
    report.is_replayable()
}

#[test]
fn a_program_that_follows_from_the_seed_is_replayable() {
    assert!(is_replayable(|| {
        let (sender, mut receiver) = mpsc::channel(1);
        for n in 0..5 {
            let sender = sender.clone();
            spawn(move || {
                sleep(ms(n)).wait();
                sender.send(n).wait().unwrap();
            });
        }
        drop(sender);
        while receiver.recv().wait().is_some() {}
    }));
}

#[test]
fn the_order_of_a_hash_map_is_told() {
    assert!(!is_replayable(|| {
        let map: HashMap<_, _> = (0..20).map(|n| (n, n)).collect();
        let fibers: Vec<_> = map
            .into_values()
            .map(|n| spawn(move || sleep(ms(n)).wait()))
            .collect();
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
    }));
}

#[test]
fn the_names_of_fibers_are_part_of_a_schedule() {
    assert!(!is_replayable(|| {
        let map: HashMap<_, _> = (0..20).map(|n| (n, n)).collect();
        for n in map.into_values() {
            let named = Builder::new().name(format!("worker {n}"));
            named.spawn(|| ()).unwrap().wait().unwrap();
        }
    }));
}

#[test]
fn an_unbiased_select_is_told() {
    assert!(!is_replayable(|| {
        for _ in 0..20 {
            let first = async {
                tokio::select! {
                    () = async {} => true,
                    () = async {} => false,
                }
            };
            if first.wait() {
                yield_now().wait();
            }
        }
    }));
}

#[test]
fn another_thread_is_told() {
    assert!(!is_replayable(|| {
        let (sender, receiver) = oneshot::channel();
        let thread = thread::spawn(move || sender.send(()).unwrap());
        let mut fiber = spawn(move || receiver.wait().unwrap());
        yield_now().wait();
        thread.join().unwrap(); // it has sent before anything stands still
        fiber.join().wait().unwrap();
    }));
}

#[test]
fn schedules_differ_where_the_program_lets_them() {
    let one = Explorer::new().schedules(50).run(|| ());
    assert_eq!((one.schedules(), one.different()), (50, 1));
    let many = Explorer::new().schedules(50).run(|| {
        let fibers = [(); 6].map(|()| spawn(|| yield_now().wait()));
        fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
    });
    assert!((40..=50).contains(&many.different()), "{many}");
    assert_eq!(
        many.to_string(),
        format!(
            "50 schedules passed, {} of them different",
            many.different()
        )
    );
}

/// Tells the test below that it is the child.
const CHILD: &str = "SWITCHBACK_TEST_ENVIRONMENT";

#[test]
fn the_environment_chooses_the_schedules() {
    if env::var_os(CHILD).is_some() {
        let report = Explorer::new().schedules(40).seed(100).run(|| {
            let log = Rc::new(RefCell::new(Vec::new()));
            let fibers = [0, 1, 2].map(|n| {
                let log = log.clone();
                spawn(move || log.borrow_mut().push(n))
            });
            fibers.into_iter().for_each(|fiber| fiber.wait().unwrap());
            assert_ne!(*log.borrow(), [2, 1, 0], "in reverse");
        });
        println!("schedules {} seed {:?}", report.schedules(), report.seed());
        report.assert_passed();
        return;
    }
    let run = |variable: &str, value: &str| {
        let child = Command::new(env::current_exe().unwrap())
            .args(["the_environment_chooses_the_schedules", "--nocapture"])
            .env_remove("SWITCHBACK_SEED")
            .env_remove("SWITCHBACK_SCHEDULES")
            .env(variable, value)
            .env(CHILD, "")
            .output()
            .unwrap();
        let stderr = String::from_utf8(child.stderr).unwrap();
        let stdout = String::from_utf8(child.stdout).unwrap();
        (child.status.success(), stdout + &stderr)
    };
    let (passed, text) = run("NOTHING", "");
    let find = |text: &str, before: &str| {
        let found = text
            .split(before)
            .nth(1)
            .unwrap_or_else(|| panic!("{text}"));
        let end = found
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(found.len());
        found[..end].parse::<u64>().unwrap()
    };
    let seed = find(&text, "SWITCHBACK_SEED=");
    assert!(!passed && (100..140).contains(&seed), "{text}");
    assert!(text.contains("in reverse"), "{text}");
    let test = "cargo test replay::the_environment_chooses_the_schedules";
    assert!(
        text.contains(&format!("SWITCHBACK_SEED={seed} {test}")),
        "{text}"
    );
    // Alone.
    let (passed, text) = run("SWITCHBACK_SEED", &seed.to_string());
    assert!(
        !passed && text.contains(&format!("schedules 1 seed Some({seed})")),
        "{text}"
    );
    // Before it, all pass.
    let before = seed - 100;
    let (passed, text) = run("SWITCHBACK_SCHEDULES", &before.to_string());
    assert!(
        passed && text.contains(&format!("schedules {before} seed None")),
        "{text}"
    );
    let (passed, text) = run("SWITCHBACK_SEED", "seven");
    let said = "the environment has SWITCHBACK_SEED=\"seven\", which is not a number";
    assert!(!passed && text.contains(said), "{text}");
}
