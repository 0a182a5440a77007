//! What happens when a stack overflows. Each case in a process of its own.
#![cfg(any(
    target_os = "linux",
    target_os = "macos",
    target_os = "freebsd",
    windows
))]

use std::hint::black_box;
use std::thread;

use switchback::{Builder, Hub, bridge, prelude::*, run, set_overflow_report, spawn, yield_now};

use crate::support::{Child, in_child, runtime, under_asan, under_emulation};

/// What std says of a thread too.
pub(crate) const OVERFLOWED: &str = "has overflowed its stack";

/// Uses more stack than there is.
#[allow(unconditional_recursion)]
pub(crate) fn overflow(depth: usize) -> usize {
    let bytes = black_box([depth as u8; 512]);
    overflow(depth + 1) + usize::from(bytes[depth % 512])
}

pub(crate) fn in_named_fiber<T: 'static>(name: &str, f: impl FnOnce() -> T + 'static) {
    let fiber = Builder::new().name(name).stack_size(1).spawn(f);
    drop(fiber.unwrap().wait());
}

impl Child {
    /// As a process dies when a thread overflows, and with a report for this.
    #[track_caller]
    pub(crate) fn died_of_overflow(&self, of_what: &str) {
        self.died_as_threads_do();
        let report = format!("\n{of_what} {OVERFLOWED}\nthe stack has ");
        assert!(self.stderr.contains(&report), "{self:#?}");
        assert_eq!(
            self.stderr.matches("the stack has ").count(),
            1,
            "{self:#?}"
        );
    }

    /// Of an overflow, without our report.
    #[track_caller]
    fn died_of_its_thread(&self) {
        if !(under_asan() && self.stderr.contains("AddressSanitizer")) {
            self.died_as_threads_do();
        }
        assert!(!self.stderr.contains("the stack has "), "{self:#?}");
        assert!(!self.stderr.contains("fiber"), "{self:#?}");
    }

    #[cfg(unix)]
    #[track_caller]
    fn died_as_threads_do(&self) {
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(self.status.signal(), Some(libc::SIGABRT), "{self:#?}");
    }

    #[cfg(windows)]
    #[track_caller]
    fn died_as_threads_do(&self) {
        const STATUS_STACK_OVERFLOW: u32 = 0xC000_00FD;
        let code = self.status.code().map(|code| code as u32);
        assert_eq!(code, Some(STATUS_STACK_OVERFLOW), "{self:#?}");
    }
}

#[test]
fn an_overflow_names_the_fiber_and_its_size() {
    let child = in_child(|| {
        run(|| in_named_fiber("deep", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'deep'");
        let advice = "the stack has 65536 bytes; make it larger with `Builder::stack_size`";
        assert!(child.stderr.contains(advice), "{child:#?}");
    }
}

#[test]
fn a_fiber_without_a_name_is_named_by_its_number() {
    let child = in_child(|| {
        run(|| {
            let fiber = spawn(|| overflow(0));
            println!("Fiber-{}.", fiber.id());
            drop(fiber.wait());
        })
        .unwrap();
    });
    if let Some(child) = child {
        let line = child.stdout.lines().find_map(|line| {
            let at = line.find("Fiber-")?;
            line[at..].strip_suffix('.')
        });
        child.died_of_overflow(&format!("fiber '{}'", line.unwrap()));
    }
}

#[test]
fn a_frame_that_is_larger_than_the_guard_hits_it() {
    #[inline(never)]
    fn huge() -> u8 {
        let bytes = black_box([1_u8; 4 << 20]);
        bytes[black_box(7)]
    }
    if under_asan() {
        return; // it makes large frames without probes
    }
    let child = in_child(|| {
        run(|| in_named_fiber("wide", huge)).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'wide'");
    }
}

#[test]
fn an_overflow_in_a_future_that_a_fiber_polls_is_the_fibers() {
    let child = in_child(|| {
        run(|| in_named_fiber("poller", || async { overflow(0) }.wait())).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'poller'");
    }
}

#[test]
fn an_overflow_after_many_switches_is_the_running_fibers() {
    let child = in_child(|| {
        run(|| {
            for i in 0..100 {
                let fiber = Builder::new().name(format!("other-{i}")).spawn(|| {
                    loop {
                        yield_now().wait();
                    }
                });
                drop(fiber.unwrap());
            }
            in_named_fiber("unlucky", || {
                for _ in 0..10 {
                    yield_now().wait();
                }
                overflow(0)
            });
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'unlucky'");
    }
}

#[test]
fn a_bridge_that_overflows_is_no_fiber() {
    let child = in_child(|| {
        runtime().block_on(bridge(|| overflow(0)));
    });
    if let Some(child) = child {
        child.died_of_overflow("a bridge");
    }
}

#[test]
fn a_bridge_in_a_fiber_overflows_by_itself() {
    let child = in_child(|| {
        run(|| in_named_fiber("innocent", || bridge(|| overflow(0)).wait())).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("a bridge");
    }
}

#[test]
fn a_fiber_that_polled_a_bridge_overflows_by_itself() {
    let child = in_child(|| {
        run(|| {
            in_named_fiber("guilty", || {
                let mut bridge = Box::pin(bridge(|| yield_now().wait()));
                let mut polls = 0;
                std::future::poll_fn(|cx| {
                    polls += 1;
                    let poll = bridge.as_mut().poll(cx);
                    if polls == 2 {
                        overflow(0)
                    } else {
                        0
                    };
                    poll
                })
                .wait();
            });
        })
        .unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'guilty'");
    }
}

#[test]
fn an_overflow_under_a_hub_that_is_driven_on_a_stack_is_that_stacks() {
    let child = in_child(|| {
        let inside = || {
            runtime().block_on(Hub::run_until(async {
                spawn(|| ()).await.unwrap();
                overflow(0)
            }))
        };
        futures::executor::block_on(bridge(inside));
    });
    if let Some(child) = child {
        child.died_of_overflow("a bridge");
    }
}

#[test]
fn an_overflow_on_the_second_thread_with_fibers() {
    let child = in_child(|| {
        run(|| spawn(|| ()).wait().unwrap()).unwrap();
        let second = || run(|| in_named_fiber("second", || overflow(0)));
        thread::spawn(second).join().unwrap().unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'second'");
    }
}

#[test]
fn an_overflow_while_another_thread_runs_fibers() {
    let child = in_child(|| {
        let other = |name: &'static str| {
            move || {
                run(move || {
                    in_named_fiber(name, || {
                        loop {
                            yield_now().wait();
                        }
                    });
                })
            }
        };
        thread::spawn(other("elsewhere"));
        thread::spawn(other("elsewhere too"));
        run(|| in_named_fiber("here", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        child.died_of_overflow("fiber 'here'");
    }
}

#[test]
fn the_overflow_of_a_thread_is_stds_to_report() {
    if cfg!(windows) && under_emulation("the end of a process whose thread overflows") {
        return;
    }
    let child = in_child(|| {
        run(|| spawn(|| ()).wait().unwrap()).unwrap();
        let thread = thread::Builder::new().name("plain".to_owned());
        let _ = thread.spawn(|| overflow(0)).unwrap().join();
    });
    if let Some(child) = child {
        child.died_of_its_thread();
        let report = "\nthread 'plain'";
        assert!(under_asan() || child.stderr.contains(report), "{child:#?}");
    }
}

#[test]
fn the_overflow_of_a_hubs_own_thread_is_stds_to_report() {
    if cfg!(windows) && under_emulation("the end of a process whose thread overflows") {
        return;
    }
    let child = in_child(|| {
        runtime().block_on(async {
            spawn(|| ()).await.unwrap();
            overflow(0);
        });
    });
    if let Some(child) = child {
        child.died_of_its_thread();
    }
}

#[test]
fn turned_off_nothing_is_said_of_the_fiber() {
    let child = in_child(|| {
        set_overflow_report(false);
        run(|| in_named_fiber("silent", || overflow(0))).unwrap();
    });
    if let Some(child) = child {
        assert!(!child.status.success(), "{child:#?}");
        assert!(!child.stderr.contains("silent"), "{child:#?}");
    }
}
