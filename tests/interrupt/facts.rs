//! The facts.

use std::future::pending;
use std::panic::catch_unwind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use switchback::{
    Builder, Hub, JoinError, catch_cancel, check_cancelled, current_fiber, prelude::*, run, scope,
    shield, sleep, spawn, yield_now,
};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::program::{Fact, Named, catches_sigint, fact, listen, open_files, say};
use crate::support::OnDrop;

macro_rules! facts {
    ($($fact:ident),* $(,)?) => {
        pub(crate) const FACTS: &[Named] = &[$((stringify!($fact), $fact)),*];
    };
}

facts![
    a_root_in_a_wait_is_cancelled,
    a_root_that_is_busy_is_cancelled_at_its_next_wait,
    a_root_that_joins_a_busy_fiber_is_cancelled_there,
    a_root_that_gives_way_is_cancelled_there,
    a_root_that_computes_learns_it_by_check_cancelled,
    the_second_kills_while_the_root_is_busy,
    the_second_kills_while_the_root_computes_for_ever,
    the_second_kills_while_the_root_is_shielded,
    who_has_the_thread_is_reported_while_it_has_it,
    a_shielded_root_is_cancelled_after_the_shield,
    a_root_that_catches_it_goes_on_and_is_cancelled_again,
    wait_or_cancelled_returns_it,
    a_scope_passes_it_on_once,
    the_second_kills_while_a_scope_waits_for_a_child_that_does_not_end,
    a_cancel_that_is_pending_already_is_the_answer,
    an_interrupt_on_another_thread_is_noticed_two_thousand_times,
    ignored_by_the_builder_it_does_nothing,
    ignored_at_run_time_it_does_nothing_until_that_is_taken_back,
    what_came_before_it_is_ignored_still_counts,
    a_hub_on_another_thread_goes_on,
    a_hub_on_a_second_thread_called_main_goes_on,
    run_on_another_thread_installs_nothing,
    a_runtime_of_the_program_installs_nothing,
    after_run_it_kills,
    after_a_run_that_panicked_it_kills,
    after_a_run_that_ignored_it_nothing_happens,
    a_run_that_does_not_ignore_it_makes_it_kill_again,
    a_listener_of_the_program_has_it_if_run_ignores_it,
    a_listener_from_before_does_not_change_what_run_does,
    a_listener_from_after_does_not_keep_it_from_killing,
    a_hundred_runs_leave_nothing_behind,
    a_root_that_waits_for_the_close_is_cancelled,
    while_the_hub_closes_the_first_is_reported,
    while_the_hub_closes_the_second_kills,
    while_the_runtime_is_dropped_the_first_is_reported,
    while_the_runtime_is_dropped_the_second_kills,
    an_interrupt_that_the_root_did_not_wait_for_is_reported,
];

/// How a `run` has ended.
fn outcome<T>(result: Result<T, JoinError>) -> String {
    match result {
        Ok(_) => "ended".to_owned(),
        Err(e) => match e.cancelled().and_then(|cancelled| cancelled.message()) {
            Some(message) => format!("cancelled: {message}"),
            None => format!("{e}"),
        },
    }
}

/// Waits for ever, and says so when it does.
fn wait() {
    spawn(|| say("waiting"));
    pending::<()>().wait();
}

/// Waits until the script says so, without blocking the hub.
fn wait_to_listen() {
    spawn(|| say("waiting"));
    spawn_blocking(listen).wait().unwrap();
}

fn a_root_in_a_wait_is_cancelled() -> Fact {
    fact(
        || say(outcome(run(wait))),
        |program| {
            program.says("waiting");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn a_root_that_is_busy_is_cancelled_at_its_next_wait() -> Fact {
    fact(
        || {
            let result = run(|| {
                say("busy");
                listen();
                say("done");
                pending::<()>().wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.tell();
            program.says("done");
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

/// The fiber ends in the turn in which the signal comes, and makes the join ready.
fn a_root_that_joins_a_busy_fiber_is_cancelled_there() -> Fact {
    fact(
        || {
            let result = run(|| {
                let busy = spawn(|| {
                    say("busy");
                    listen();
                });
                busy.wait().unwrap();
                say("not cancelled");
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.tell();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn a_root_that_gives_way_is_cancelled_there() -> Fact {
    fact(
        || {
            let result = run(|| {
                say("busy");
                listen();
                yield_now().wait();
                say("not cancelled");
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.tell();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn a_root_that_computes_learns_it_by_check_cancelled() -> Fact {
    fact(
        || {
            let result = run(|| {
                say("busy");
                loop {
                    check_cancelled();
                }
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn the_second_kills_while_the_root_is_busy() -> Fact {
    fact(
        || {
            let _ = run(|| {
                say("busy");
                listen();
                say("still busy");
                listen();
            });
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.tell();
            program.says("still busy");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn the_second_kills_while_the_root_computes_for_ever() -> Fact {
    fact(
        || {
            let _ = run(|| {
                say("busy");
                loop {
                    std::hint::spin_loop();
                }
            });
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.interrupt();
            program.is_killed();
        },
    )
}

fn the_second_kills_while_the_root_is_shielded() -> Fact {
    fact(
        || {
            let _ = run(|| shield(wait));
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.interrupt();
            program.is_killed();
        },
    )
}

fn who_has_the_thread_is_reported_while_it_has_it() -> Fact {
    fact(
        || {
            let result = run(|| {
                let hog = Builder::new().name("hog").spawn(|| {
                    say("busy");
                    listen();
                });
                drop(hog.unwrap());
                pending::<()>().wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.reports(concat!("'hog', spawned at ", file!()));
            program.tell();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn a_shielded_root_is_cancelled_after_the_shield() -> Fact {
    fact(
        || {
            let result = run(|| {
                shield(wait_to_listen);
                say("after the shield");
                yield_now().wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.tell();
            program.says("after the shield");
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn a_root_that_catches_it_goes_on_and_is_cancelled_again() -> Fact {
    fact(
        || {
            let result = run(|| {
                for _ in 0..3 {
                    let cancelled = catch_cancel(wait).unwrap_err();
                    say(format!("caught: {}", cancelled.message().unwrap()));
                }
                wait();
            });
            say(outcome(result));
        },
        |program| {
            for _ in 0..3 {
                program.says("waiting");
                program.interrupt();
                program.says("caught: interrupted");
            }
            program.says("waiting");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn wait_or_cancelled_returns_it() -> Fact {
    fact(
        || {
            let result = run(|| {
                for _ in 0..2 {
                    spawn(|| say("waiting"));
                    let cancelled = pending::<()>().wait_or_cancelled().unwrap_err();
                    say(format!("returned: {}", cancelled.message().unwrap()));
                }
            });
            say(outcome(result));
        },
        |program| {
            for _ in 0..2 {
                program.says("waiting");
                program.interrupt();
                program.says("returned: interrupted");
            }
            program.says("ended");
            program.ends_quietly();
        },
    )
}

fn a_scope_passes_it_on_once() -> Fact {
    fact(
        || {
            let result = run(|| {
                scope(|s| {
                    s.spawn(|| {
                        say(outcome_of_wait());
                        (0..3).for_each(|_| yield_now().wait());
                        say("the child ends");
                    });
                });
                yield_now().wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.says("the scope was interrupted");
            program.says("the child ends");
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

fn outcome_of_wait() -> String {
    let cancelled = catch_cancel(wait).unwrap_err();
    cancelled.message().unwrap().to_owned()
}

fn the_second_kills_while_a_scope_waits_for_a_child_that_does_not_end() -> Fact {
    fact(
        || {
            let _ = run(|| {
                scope(|s| {
                    s.spawn(|| shield(wait));
                });
            });
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.interrupt();
            program.is_killed();
        },
    )
}

fn a_cancel_that_is_pending_already_is_the_answer() -> Fact {
    fact(
        || {
            let result = run(|| {
                shield(|| {
                    current_fiber().unwrap().cancel_with("mine");
                    wait_to_listen();
                });
                let cancelled = catch_cancel(|| yield_now().wait()).unwrap_err();
                say(format!("caught: {}", cancelled.message().unwrap()));
                yield_now().wait();
                wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.tell();
            program.says("caught: mine");
            program.says("waiting");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

/// The order of what the handler does matters here: a hub that is woken before
/// the interrupt counts as not answered would miss it, or end the process later.
fn an_interrupt_on_another_thread_is_noticed_two_thousand_times() -> Fact {
    fact(
        || {
            // The actions of the first run come before those of this one.
            run(|| {}).unwrap();
            let result = run(|| {
                let (caught, is_caught) = mpsc::channel();
                let interrupter = thread::spawn(move || {
                    while is_caught.recv().is_ok() {
                        signal_hook::low_level::raise(SIGINT).unwrap();
                    }
                });
                for _ in 0..2_000 {
                    caught.send(()).unwrap();
                    let cancelled = catch_cancel(|| pending::<()>().wait()).unwrap_err();
                    assert_eq!(cancelled.message(), Some("interrupted"));
                }
                drop(caught);
                interrupter.join().unwrap();
            });
            say(outcome(result));
        },
        |program| {
            program.says("ended");
            program.ends_quietly();
        },
    )
}

fn ignored_by_the_builder_it_does_nothing() -> Fact {
    fact(
        || {
            let result = Hub::builder().ignore_interrupt(true).run(|| {
                wait_to_listen();
                say("busy");
                listen();
                yield_now().wait();
            });
            say(outcome(result));
        },
        |program| {
            for doing in ["waiting", "busy"] {
                program.says(doing);
                (0..5).for_each(|_| program.interrupt());
                program.tell();
            }
            program.says("ended");
            program.ends_quietly();
        },
    )
}

fn ignored_at_run_time_it_does_nothing_until_that_is_taken_back() -> Fact {
    fact(
        || {
            let result = run(|| {
                let hub = Hub::current();
                for _ in 0..2 {
                    hub.set_ignore_interrupt(true);
                    hub.set_ignore_interrupt(true);
                    wait_to_listen();
                    hub.set_ignore_interrupt(false);
                    yield_now().wait();
                    say(outcome_of_wait());
                }
                shield(wait);
            });
            say(outcome(result));
        },
        |program| {
            for _ in 0..2 {
                program.says("waiting");
                (0..5).for_each(|_| program.interrupt());
                program.tell();
                program.says("waiting");
                program.interrupt();
                program.says("interrupted");
            }
            program.says("waiting");
            program.interrupt();
            program.interrupt();
            program.is_killed();
        },
    )
}

fn what_came_before_it_is_ignored_still_counts() -> Fact {
    fact(
        || {
            let result = run(|| {
                say("busy");
                listen();
                Hub::current().set_ignore_interrupt(true);
                yield_now().wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.tell();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

/// Runs a hub on the main thread and one on another.
fn two_hubs(name: &str, ignored_by_other: bool) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (is_ready, ready) = mpsc::channel();
    let body = move || {
        if ignored_by_other {
            // It has no say.
            Hub::current().set_ignore_interrupt(true);
        }
        is_ready.send(()).unwrap();
        stopped.wait().unwrap();
    };
    let result = run({
        let name = name.to_owned();
        move || {
            let thread = thread::Builder::new().name(name);
            let other = thread.spawn(|| run(body)).unwrap();
            ready.recv().unwrap();
            say(outcome_of_wait());
            stop.send(()).unwrap();
            say(format!("the other: {}", outcome(other.join().unwrap())));
            wait();
        }
    });
    say(outcome(result));
}

fn check_two_hubs(program: &mut crate::program::Program) {
    program.says("waiting");
    program.interrupt();
    program.says("interrupted");
    program.says("the other: ended");
    program.says("waiting");
    program.interrupt();
    program.says("cancelled: interrupted");
    program.ends_quietly();
}

fn a_hub_on_another_thread_goes_on() -> Fact {
    fact(|| two_hubs("other", true), check_two_hubs)
}

fn a_hub_on_a_second_thread_called_main_goes_on() -> Fact {
    fact(|| two_hubs("main", false), check_two_hubs)
}

fn run_on_another_thread_installs_nothing() -> Fact {
    fact(
        || {
            let hub = || {
                run(|| {
                    assert_ne!(catches_sigint(), Some(true));
                    wait();
                })
            };
            let _ = thread::spawn(hub).join();
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn a_runtime_of_the_program_installs_nothing() -> Fact {
    fact(
        || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut fiber = spawn(|| {
                    Hub::current().set_ignore_interrupt(true);
                    wait();
                });
                Hub::run_until(async {
                    assert_ne!(catches_sigint(), Some(true));
                    fiber.join().await
                })
                .await
                .unwrap();
            });
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn after_run_it_kills() -> Fact {
    fact(
        || {
            say(outcome(run(wait)));
            listen();
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn after_a_run_that_panicked_it_kills() -> Fact {
    fact(
        || {
            catch_unwind(|| run(|| panic!("of the root"))).unwrap_err();
            say("over");
            listen();
        },
        |program| {
            program.says("over");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn after_a_run_that_ignored_it_nothing_happens() -> Fact {
    fact(
        || {
            run(|| Hub::current().set_ignore_interrupt(true)).unwrap();
            say("over");
            listen();
        },
        |program| {
            program.says("over");
            (0..3).for_each(|_| program.interrupt());
            program.tell();
            program.ends_quietly();
        },
    )
}

fn a_run_that_does_not_ignore_it_makes_it_kill_again() -> Fact {
    fact(
        || {
            run(|| Hub::current().set_ignore_interrupt(true)).unwrap();
            say(outcome(run(wait)));
            listen();
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.interrupt();
            program.is_killed();
        },
    )
}

/// What the documentation of `run` tells programs that have their own handling.
fn a_listener_of_the_program_has_it_if_run_ignores_it() -> Fact {
    fact(
        || {
            let runtime = || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
            };
            let listening = || async {
                spawn(|| say("listening"));
                tokio::signal::ctrl_c().await.unwrap();
                say("heard");
            };
            // Before, beside and after a `run`, of which the last says it all.
            runtime().unwrap().block_on(listening());
            Hub::builder()
                .ignore_interrupt(true)
                .run(move || listening().wait())
                .unwrap();
            runtime().unwrap().block_on(listening());
        },
        |program| {
            for _ in 0..3 {
                program.says("listening");
                program.interrupt();
                program.says("heard");
            }
            program.ends_quietly();
        },
    )
}

fn a_listener_from_before_does_not_change_what_run_does() -> Fact {
    fact(
        || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let mut listener = runtime.unwrap().block_on(async {
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).unwrap()
            });
            say(outcome(run(wait)));
            let heard = tokio_test::task::spawn(listener.recv()).poll().is_ready();
            say(format!("heard: {heard}"));
            let _ = run(|| shield(wait));
        },
        |program| {
            program.says("waiting");
            program.interrupt();
            program.says("cancelled: interrupted");
            program.says("heard: true");
            program.says("waiting");
            program.interrupt();
            program.interrupt();
            program.is_killed();
        },
    )
}

fn a_listener_from_after_does_not_keep_it_from_killing() -> Fact {
    fact(
        || {
            run(|| {}).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                spawn(|| say("listening"));
                tokio::signal::ctrl_c().await.unwrap();
            });
        },
        |program| {
            program.says("listening");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn a_hundred_runs_leave_nothing_behind() -> Fact {
    fact(
        || {
            let interrupted = || {
                let result = run(|| {
                    signal_hook::low_level::raise(SIGINT).unwrap();
                    yield_now().wait();
                });
                assert_eq!(outcome(result), "cancelled: interrupted");
            };
            interrupted();
            let files = open_files();
            (0..100).for_each(|_| interrupted());
            assert_eq!(open_files(), files);
            say("over");
            listen();
        },
        |program| {
            program.says("over");
            program.interrupt();
            program.is_killed();
        },
    )
}

fn a_root_that_waits_for_the_close_is_cancelled() -> Fact {
    fact(
        || {
            let result = run(|| {
                hold_up_the_close();
                let cancelled = catch_cancel(|| Hub::current().close().wait()).unwrap_err();
                say(format!("caught: {}", cancelled.message().unwrap()));
                Hub::current().close().wait();
            });
            say(outcome(result));
        },
        |program| {
            program.says("closing");
            program.interrupt();
            program.says("caught: interrupted");
            program.interrupt();
            program.tell();
            program.says("cancelled: interrupted");
            program.ends_quietly();
        },
    )
}

/// Sees to it that the hub closes only when the script says so, and says when it
/// does.
fn hold_up_the_close() {
    let holder = Builder::new().name("holds it up");
    holder
        .spawn(|| {
            shield(|| {
                let told = spawn_blocking(listen);
                told.wait().unwrap();
                // What came before that is seen when the runtime polls for I/O.
                for _ in 0..3 {
                    sleep(Duration::ZERO).wait();
                }
            });
        })
        .unwrap();
    spawn(|| {
        catch_cancel(|| pending::<()>().wait()).unwrap_err();
        say("closing");
    });
    yield_now().wait();
}

/// A program whose hub takes its time to close.
fn closing() {
    say(outcome(run(hold_up_the_close)));
}

/// It was reported, once, that an interrupt came too late.
#[track_caller]
fn assert_late(reported: &str) {
    // With this feature, reports go to `tracing`, not to stderr.
    if cfg!(not(feature = "tracing")) {
        let late = "Ctrl-C came too late for the root fiber, which has ended";
        assert_eq!(reported.matches(late).count(), 1, "{reported}");
    }
}

fn while_the_hub_closes_the_first_is_reported() -> Fact {
    fact(closing, |program| {
        program.says("closing");
        program.interrupt();
        program.tell();
        program.says("ended");
        let reported = program.ends();
        assert_late(&reported);
        if cfg!(not(feature = "tracing")) {
            assert!(
                reported.contains("alive: holds it up (spawned at "),
                "{reported}"
            );
        }
    })
}

fn while_the_hub_closes_the_second_kills() -> Fact {
    fact(closing, |program| {
        program.says("closing");
        program.interrupt();
        program.interrupt();
        program.is_killed();
    })
}

/// A program whose runtime takes its time to go: a call that blocks is under way.
fn dropping() {
    let result = run(|| {
        let (began, has_begun) = oneshot::channel();
        drop(spawn_blocking(|| {
            began.send(()).unwrap();
            listen();
        }));
        has_begun.wait().unwrap();
        // Tasks are dropped first, and then closures waited for.
        let dropped = OnDrop(|| say("dropping"));
        tokio::spawn(async {
            let _dropped = dropped;
            pending::<()>().await
        });
    });
    say(outcome(result));
}

fn while_the_runtime_is_dropped_the_first_is_reported() -> Fact {
    fact(dropping, |program| {
        program.says("dropping");
        program.interrupt();
        program.tell();
        program.says("ended");
        assert_late(&program.ends());
    })
}

fn while_the_runtime_is_dropped_the_second_kills() -> Fact {
    fact(dropping, |program| {
        program.says("dropping");
        program.interrupt();
        program.interrupt();
        program.is_killed();
    })
}

fn an_interrupt_that_the_root_did_not_wait_for_is_reported() -> Fact {
    fact(
        || {
            let result = run(|| {
                say("busy");
                listen();
            });
            say(outcome(result));
        },
        |program| {
            program.says("busy");
            program.interrupt();
            program.tell();
            program.says("ended");
            assert_late(&program.ends());
        },
    )
}
