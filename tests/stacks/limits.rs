//! How many stacks there can be, what they take, and what is left of them.
#![cfg(all(target_os = "linux", not(switchback_system_stacks)))]

use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::rc::Rc;
use std::thread;

use switchback::{
    Builder, Fiber, Hub, current_fiber, park, prelude::*, run, scope, sleep, spawn, yield_now,
};
use tokio::sync::Notify;

use crate::support::linux::{
    exit, forbid_system_calls, has_light_guards, leave_address_space, leave_mappings, mappings,
    status, without_light_guards,
};
use crate::support::{
    in_child, in_root_fiber, ms, panic_of, runtime, skipped, under_asan, under_emulation, watched,
};

const KIB: usize = 1024;

/// The sanitizer puts frames elsewhere than on the stack, and has a shadow of all
/// memory, which it keeps: there a test of what is used would be one of it.
macro_rules! unless_under_asan {
    () => {
        if under_asan() {
            return;
        }
    };
}

/// Uses so much stack, and a little more, and does `f` there.
fn deep<R>(bytes: usize, f: impl FnOnce() -> R) -> R {
    let mut f = Some(f);
    let mut result = None;
    go(bytes, &mut || result = f.take().map(|f| f()));
    result.unwrap()
}

#[inline(never)]
fn go(bytes: usize, f: &mut dyn FnMut()) {
    let mut frame = [1_u8; KIB];
    // A reference, since a copy would be on the stack too.
    black_box(&mut frame);
    match bytes.checked_sub(KIB) {
        Some(rest) => go(rest, f),
        None => f(),
    }
    let frame = black_box(&mut frame);
    assert_eq!((frame[0], frame[KIB - 1]), (1, 1));
}

/// Fibers that wait until they are let go, each with a number.
struct Crowd {
    gate: Rc<Notify>,
    arrived: Rc<Cell<usize>>,
    fibers: Vec<Fiber<usize>>,
}

impl Crowd {
    fn new() -> Crowd {
        Crowd {
            gate: Rc::default(),
            arrived: Rc::default(),
            fibers: Vec::new(),
        }
    }

    fn add(&mut self, builder: Builder, depth: usize) -> io::Result<()> {
        let (gate, arrived) = (self.gate.clone(), self.arrived.clone());
        let number = self.fibers.len();
        self.fibers.push(builder.spawn(move || {
            deep(depth, || {
                arrived.set(arrived.get() + 1);
                gate.notified().wait();
                number
            })
        })?);
        Ok(())
    }

    /// Adds fibers until that is refused, and lets them run.
    fn fill(&mut self, stack_size: usize) -> io::Error {
        loop {
            if let Err(e) = self.add(Builder::new().stack_size(stack_size), 0) {
                self.settle();
                return e;
            }
        }
    }

    /// Until all wait.
    fn settle(&self) {
        while self.arrived.get() < self.fibers.len() {
            yield_now().wait();
        }
    }

    /// Lets them go, and joins them.
    fn end(self) {
        self.settle();
        self.gate.notify_waiters();
        for (number, fiber) in self.fibers.into_iter().enumerate() {
            assert_eq!(fiber.wait().unwrap(), number);
        }
    }
}

/// That the error says what ran out, that `spawn` panics with the same text, and
/// that the hub is as it was before.
#[track_caller]
fn refused(mut crowd: Crowd, error: io::Error, stack_size: usize, setting: &str) {
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    let text = error.to_string();
    let begin = format!("cannot allocate a stack of {stack_size} bytes for a fiber: ");
    assert!(text.starts_with(&begin), "{text}");
    assert!(text.contains(setting), "{text}");

    let before = (mappings(), status("VmSize"), crowd.fibers.len());
    for _ in 0..100 {
        let again = Builder::new().stack_size(stack_size).spawn(|| ());
        again.unwrap_err();
    }
    assert_eq!((status("VmSize"), crowd.fibers.len()), (before.1, before.2));
    // A guard is cut out of a mapping at both ends. Where only the first cut is
    // possible, the kernel leaves it: once, not each time.
    assert!((before.0..before.0 + 3).contains(&mappings()));

    // As many as end can be made anew.
    let ended = crowd.fibers.split_off(before.2 / 2);
    crowd.gate.notify_waiters();
    for (i, fiber) in ended.into_iter().enumerate() {
        assert_eq!(fiber.wait().unwrap(), before.2 / 2 + i);
    }
    for (number, fiber) in crowd.fibers.drain(..).enumerate() {
        assert_eq!(fiber.wait().unwrap(), number);
    }
    crowd.arrived.set(0);
    for _ in 0..before.2 {
        crowd.add(Builder::new().stack_size(stack_size), 0).unwrap();
    }
    crowd.end();
}

#[test]
fn the_limit_of_mappings_is_an_error_that_names_it() {
    if cfg!(target_pointer_width = "32") {
        skipped("so many mappings leave no addresses of 32 bits");
        return;
    }
    if under_emulation("filters of system calls") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        without_light_guards();
        leave_mappings(5000);
        run(|| {
            let mut crowd = Crowd::new();
            let error = crowd.fill(64 * KIB);
            assert!((2000..2600).contains(&crowd.fibers.len()));
            refused(crowd, error, 64 * KIB, "vm.max_map_count");
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn the_limit_of_address_space_is_an_error_that_names_it() {
    if under_emulation("limits") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        leave_address_space(200 * KIB * KIB);
        run(|| {
            let mut crowd = Crowd::new();
            let error = crowd.fill(KIB * KIB);
            // What is left is less than a stack, and what the rest of the process took.
            let count = crowd.fibers.len();
            assert!((160..188).contains(&count), "{count}");
            refused(crowd, error, KIB * KIB, "RLIMIT_AS (`ulimit -v`)");
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn spawn_panics_with_the_text_of_the_error() {
    if under_emulation("limits") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        leave_address_space(100 * KIB * KIB);
        let hub = Hub::builder().stack_size(16 * KIB * KIB);
        hub.run(|| {
            let mut crowd = Crowd::new();
            let error = crowd.fill(16 * KIB * KIB).to_string();
            let panic = panic_of(|| spawn(|| ()));
            // The figures in it may have changed.
            let upto = error.find("the process").unwrap();
            assert_eq!(panic.message[..upto], error[..upto]);
            assert!(panic.message.contains("RLIMIT_AS"), "{panic:?}");
            scope(|s| {
                let panic = panic_of(|| s.spawn(|| ()));
                assert!(panic.message.contains("RLIMIT_AS"), "{panic:?}");
            });
            crowd.end();
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn many_stacks_need_few_mappings() {
    if under_emulation("mappings of its own") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        if !has_light_guards() {
            return;
        }
        let hub = Hub::builder().stack_size(64 * KIB);
        hub.run(|| {
            let mut crowd = Crowd::new();
            let before = mappings();
            for _ in 0..20_000 {
                crowd.add(Builder::new(), 0).unwrap();
            }
            crowd.settle();
            let more = mappings() - before;
            assert!(more < 40, "{more} mappings for 20,000 stacks");
            crowd.end();
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn memory_goes_back_when_fibers_have_ended_and_the_hub_is_idle() {
    if under_emulation("figures of memory") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        run(|| {
            let mut crowd = Crowd::new();
            let deep = 200 * KIB;
            for _ in 0..10_000 {
                crowd.add(Builder::new(), deep).unwrap();
            }
            crowd.settle();
            let resident = status("VmRSS");
            assert!(resident > 10_000 * 200, "only {resident} KiB");
            crowd.end();
            sleep(ms(1)).wait();
            let resident = status("VmRSS");
            assert!(resident < 64 * KIB, "{resident} KiB are left");
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

/// Fibers that were deep, wait at any depth, and check what is on their stacks when they go on.
#[test]
fn a_trim_gives_back_what_waiting_fibers_do_not_use() {
    unless_under_asan!();
    if cfg!(not(target_arch = "x86_64")) {
        return; // where a fiber's frames end is not known there
    }
    let child = in_child(|| {
        run(|| {
            const FIBERS: usize = 300;
            let gate = Rc::new(Notify::new());
            let fibers: Vec<_> = (0..FIBERS)
                .map(|number| {
                    let gate = gate.clone();
                    spawn(move || {
                        for round in 0..2 {
                            deep(900 * KIB, || ());
                            let word = black_box([number + round; 100]);
                            let waits_at = [0, 3, 4, 5, 50][number % 5] * KIB;
                            deep(waits_at, || gate.notified().wait());
                            assert_eq!(black_box(word), [number + round; 100]);
                        }
                        number
                    })
                })
                .collect();
            let theirs = gate.clone();
            let deepest = Builder::new().stack_size(16 * 1024 * KIB);
            let mut deepest = deepest
                .spawn(move || deep(5000 * KIB, || theirs.notified().wait()))
                .unwrap();
            for _ in 0..2 {
                yield_now().wait();
                let before = status("VmRSS");
                assert!(before > FIBERS * 900, "only {before} KiB");
                Hub::current().trim();
                let after = status("VmRSS");
                assert!(after < 48 * KIB, "{after} of {before} KiB are left");
                gate.notify_waiters();
            }
            for (number, mut fiber) in fibers.into_iter().enumerate() {
                assert_eq!(fiber.join().wait().unwrap(), number);
            }
            deepest.join().wait().unwrap();
            Hub::current().trim();
            let after = status("VmRSS");
            assert!(after < 32 * KIB, "{after} KiB are left");
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn the_mappings_of_a_hub_go_with_it() {
    if under_emulation("figures of memory") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        let mut sizes = Vec::new();
        for _ in 0..5 {
            run(|| {
                let mut crowd = Crowd::new();
                for _ in 0..1000 {
                    crowd.add(Builder::new(), 0).unwrap();
                }
                crowd.end();
            })
            .unwrap();
            sizes.push(status("VmSize"));
        }
        // The first run allocates this and that besides.
        assert!(sizes[4] < sizes[1] + KIB, "{sizes:?} KiB of address space");
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn stacks_have_no_huge_pages() {
    if under_emulation("figures of memory") {
        return;
    }
    if under_asan() {
        return; // a variable whose address is taken is not on the stack there
    }
    in_root_fiber(|| {
        let here = 0_u8;
        let here = std::ptr::from_ref(black_box(&here)).addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut within = false;
        for line in maps.lines() {
            if let Some((start, end)) = line.split(' ').next().unwrap().split_once('-') {
                let [start, end] = [start, end].map(|n| usize::from_str_radix(n, 16).unwrap());
                within = (start..end).contains(&here);
            } else if within && line.starts_with("VmFlags:") {
                assert!(line.split(' ').any(|flag| flag == "nh"), "{line}");
                return;
            }
        }
        panic!("{here:#x} is mapped nowhere");
    });
}

#[test]
fn an_abandoned_stack_outlives_its_hub_and_its_thread() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            std::future::pending::<()>().wait();
        }
    }
    let child = in_child(|| {
        let thread = thread::spawn(|| {
            let runtime = runtime();
            let (tell, told) = std::sync::mpsc::channel();
            runtime.block_on(async {
                spawn(move || {
                    let local = Box::leak(Box::new(black_box([7_u8; KIB])));
                    let _waits = Waits;
                    let on_stack = black_box([9_u8; KIB]);
                    tell.send((on_stack.as_ptr().addr(), local.len())).unwrap();
                    std::future::pending::<()>().wait();
                    black_box(on_stack);
                });
                yield_now().await;
            });
            drop(runtime);
            told.recv().unwrap().0
        });
        let address = thread.join().unwrap();
        // Others use stacks, and end.
        run(|| spawn(|| deep(100 * KIB, || ())).wait().unwrap()).unwrap();
        let frame = std::ptr::with_exposed_provenance::<[u8; KIB]>(address);
        #[allow(unsafe_code)]
        // SAFETY: what is on a stack that was abandoned stays there for ever.
        let frame = unsafe { frame.read_volatile() };
        assert_eq!(frame, [9; KIB]);
    });
    if let Some(child) = child {
        child.assert_success();
    }
}

#[test]
fn a_warm_spawn_makes_no_system_call() {
    if under_emulation("filters of system calls") {
        return;
    }
    unless_under_asan!();
    let child = in_child(|| {
        run(|| {
            let ten = |builder: fn() -> Builder| {
                let mut crowd = Crowd::new();
                for _ in 0..10 {
                    crowd.add(builder(), 0).unwrap();
                }
                crowd.end();
            };
            for round in 0..200 {
                if round == 100 {
                    forbid_system_calls();
                }
                ten(Builder::new);
                ten(|| Builder::new().stack_size(100_000));
            }
            exit(42);
        })
        .unwrap();
    });
    if let Some(child) = child {
        assert_eq!(child.status.code(), Some(42), "{child:#?}");
    }
}

// How much of a stack is used.

fn measured() -> Builder {
    Builder::new().measure_stack(true).stack_size(2 * KIB * KIB)
}

/// That what was used is `least`, and not much more.
#[track_caller]
fn assert_used(used: Option<usize>, least: usize) {
    let used = used.expect("it is measured");
    // Unoptimised frames are large, and with a sanitizer larger still.
    assert!(
        (least..4 * least + 32 * KIB).contains(&used),
        "{used} for {least}"
    );
    assert_eq!(used % 4096, 0);
}

#[test]
fn a_fiber_that_is_not_measured_has_no_figure() {
    in_root_fiber(|| {
        let mut fiber = spawn(|| deep(10 * KIB, || current_fiber().unwrap().stack_used()));
        assert_eq!(fiber.handle().stack_used(), None);
        assert_eq!(fiber.join().wait().unwrap(), None);
        assert_eq!(fiber.handle().stack_used(), None);
        assert_eq!(Hub::current().metrics().deepest_stack(), None);
        assert_eq!(Hub::current().deepest_stacks(), []);
    });
}

#[test]
fn the_end_of_a_fiber_measures_it() {
    unless_under_asan!();
    in_root_fiber(|| {
        for depth in [1, 300, 30] {
            // The stack of the one before, which went deeper.
            let mut fiber = measured().spawn(move || deep(depth * KIB, || ())).unwrap();
            fiber.join().wait().unwrap();
            assert_used(fiber.handle().stack_used(), depth * KIB);
        }
    });
}

#[test]
fn a_suspended_fiber_is_measured_when_asked() {
    unless_under_asan!();
    in_root_fiber(|| {
        let fiber = measured().spawn(|| {
            deep(50 * KIB, park);
            deep(200 * KIB, || ());
            deep(20 * KIB, park);
        });
        let mut fiber = fiber.unwrap();
        yield_now().wait();
        assert_used(fiber.handle().stack_used(), 50 * KIB);
        fiber.handle().unpark();
        yield_now().wait();
        assert_used(fiber.handle().stack_used(), 200 * KIB);
        fiber.handle().unpark();
        fiber.join().wait().unwrap();
        assert_used(fiber.handle().stack_used(), 200 * KIB);
    });
}

#[test]
fn a_fiber_can_measure_itself() {
    unless_under_asan!();
    in_root_fiber(|| {
        let used = measured().spawn(|| {
            deep(100 * KIB, || ());
            current_fiber().unwrap().stack_used()
        });
        assert_used(used.unwrap().wait().unwrap(), 100 * KIB);
    });
}

#[test]
fn another_thread_sees_what_was_last_seen() {
    unless_under_asan!();
    in_root_fiber(|| {
        let fiber = measured().spawn(|| deep(50 * KIB, park)).unwrap();
        yield_now().wait();
        let handle = fiber.handle();
        let there = handle.clone();
        assert_eq!(
            thread::spawn(move || there.stack_used()).join().unwrap(),
            None
        );
        let used = handle.stack_used();
        assert_used(used, 50 * KIB);
        let there = handle.clone();
        assert_eq!(
            thread::spawn(move || there.stack_used()).join().unwrap(),
            used
        );
        handle.unpark();
        fiber.wait().unwrap();
    });
}

#[test]
fn a_hub_knows_how_deep_its_fibers_came() {
    unless_under_asan!();
    watched(|| {
        let hub = Hub::builder()
            .measure_stacks(true)
            .stack_size(2 * KIB * KIB);
        hub.run(|| {
            for (name, depth) in [("flat", 1), ("deep", 100), ("deep", 10), ("flat", 2)] {
                let builder = Builder::new().name(name);
                let fiber = builder.spawn(move || deep(depth * KIB, || ())).unwrap();
                fiber.wait().unwrap();
            }
            let unnamed = spawn(|| deep(300 * KIB, || ()));
            assert!(unnamed.name().starts_with("Fiber-"));
            unnamed.wait().unwrap();
            scope(|s| {
                let mut fiber = s.spawn(|| deep(50 * KIB, || ()));
                fiber.join().wait().unwrap();
                assert_used(fiber.handle().stack_used(), 50 * KIB);
            });
            let deepest = Hub::current().deepest_stacks();
            let names: Vec<_> = deepest.iter().map(|(name, _)| &**name).collect();
            // The root has a name, and runs.
            assert_eq!(names, ["deep", "flat"]);
            assert_used(Some(deepest[0].1), 100 * KIB);
            assert_used(Some(deepest[1].1), 2 * KIB);
            let metrics = Hub::current().metrics();
            assert_used(metrics.deepest_stack(), 300 * KIB);
            let handle = Hub::current().handle();
            yield_now().wait();
            let elsewhere = thread::spawn(move || handle.metrics().deepest_stack());
            assert_eq!(elsewhere.join().unwrap(), metrics.deepest_stack());
        })
        .unwrap();
    });
}

#[test]
fn names_without_end_are_not_kept() {
    in_root_fiber(|| {
        for i in 0..1100 {
            let fiber = measured().name(format!("request {i}")).spawn(|| ());
            fiber.unwrap().wait().unwrap();
        }
        assert_eq!(Hub::current().deepest_stacks().len(), 1024);
    });
}
