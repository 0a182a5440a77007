//! Scopes that the first failure ends.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use switchback::{
    TryScope, bridge, catch_cancel, current_fiber, prelude::*, scope, shield, sleep, spawn,
    try_scope, with_timeout, yield_now,
};

use crate::support::ending::{Count, in_paused_fiber, settle};
use crate::support::{
    OnDrop, forever, in_async, in_paused, in_root_fiber, ms, panic_of, text, watched,
};

/// Runs a scope whose errors are texts.
#[track_caller]
fn run<'env, T>(
    f: impl for<'scope> FnOnce(TryScope<'scope, 'env, &'static str>) -> Result<T, &'static str>,
) -> Result<T, &'static str> {
    try_scope(f)
}

#[test]
fn a_scope_without_failures_gives_the_value_of_its_body_after_its_children() {
    in_root_fiber(|| {
        let log = RefCell::new(Vec::new());
        let value = run(|s| {
            let child = s.spawn(|| {
                yield_now().wait();
                log.borrow_mut().push("child");
                Ok(1)
            });
            s.spawn(|| {
                for _ in 0..5 {
                    yield_now().wait();
                }
                log.borrow_mut().push("last");
                Ok(())
            });
            let value = child.wait().unwrap();
            log.borrow_mut().push("body");
            Ok(value + 1)
        });
        assert_eq!(value, Ok(2));
        assert_eq!(log.into_inner(), ["child", "body", "last"]);
    });
}

/// How the first failure comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    ChildErrs,
    ChildPanics,
    BodyErrs,
    BodyPanics,
    /// No failure: the parent is cancelled from outside.
    Cancelled,
    /// No failure: a deadline around the scope.
    TimesOut,
    /// No failure: a child is cancelled, and then one fails.
    AfterACancel,
}

/// What the other children do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Wait,
    AreShielded,
    WaitInDrop,
    CatchAndGoOn,
    FailToo,
    PanicToo,
    HaveEnded,
    ScopeTheirOwn,
}

/// What the body does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Waits,
    Joins,
    Catches,
    WaitsInDrop,
    Returns,
}

const FAILS: [Fails; 7] = [
    Fails::ChildErrs,
    Fails::ChildPanics,
    Fails::BodyErrs,
    Fails::BodyPanics,
    Fails::Cancelled,
    Fails::TimesOut,
    Fails::AfterACancel,
];
const OTHERS: [Others; 8] = [
    Others::Wait,
    Others::AreShielded,
    Others::WaitInDrop,
    Others::CatchAndGoOn,
    Others::FailToo,
    Others::PanicToo,
    Others::HaveEnded,
    Others::ScopeTheirOwn,
];
const BODIES: [Body; 5] = [
    Body::Waits,
    Body::Joins,
    Body::Catches,
    Body::WaitsInDrop,
    Body::Returns,
];

fn other(others: Others) -> Result<(), &'static str> {
    match others {
        Others::Wait => forever(),
        Others::AreShielded => shield(|| sleep(ms(50)).wait()),
        Others::WaitInDrop => {
            let _slow = OnDrop(|| sleep(ms(50)).wait());
            forever();
        }
        Others::CatchAndGoOn => {
            catch_cancel(forever).unwrap_err();
            sleep(ms(50)).wait();
        }
        Others::FailToo => {
            catch_cancel(forever).unwrap_err();
            return Err("late");
        }
        Others::PanicToo => {
            catch_cancel(forever).unwrap_err();
            resume_unwind(Box::new("late"));
        }
        Others::HaveEnded => {}
        Others::ScopeTheirOwn => scope(|s| {
            s.spawn(forever);
        }),
    }
    Ok(())
}

fn fail_first(fails: Fails) -> Result<(), &'static str> {
    match fails {
        Fails::ChildErrs | Fails::AfterACancel => Err("first"),
        Fails::ChildPanics => resume_unwind(Box::new("first")),
        _ => {
            forever();
            Ok(())
        }
    }
}

fn body(fails: Fails, body: Body, first: impl FnOnce()) -> Result<&'static str, &'static str> {
    match fails {
        Fails::BodyErrs => {
            sleep(ms(10)).wait();
            return Err("first");
        }
        Fails::BodyPanics => {
            sleep(ms(10)).wait();
            resume_unwind(Box::new("first"));
        }
        _ => {}
    }
    match body {
        Body::Waits => forever(),
        Body::Joins => first(),
        Body::Catches => {
            for _ in 0..3 {
                catch_unwind(forever).unwrap_err();
            }
        }
        Body::WaitsInDrop => {
            let _slow = OnDrop(|| drop(sleep(ms(50)).wait_or_cancelled()));
            forever();
        }
        Body::Returns => {}
    }
    Ok("value")
}

#[test]
fn the_first_failure_ends_all_others_whatever_they_do() {
    in_paused_fiber(|| {
        for fails in FAILS {
            for others in OTHERS {
                for what in BODIES {
                    let case = format!("{fails:?}, {others:?}, {what:?}");
                    // An edge-triggered cancel is caught once; the body of such a case waits on.
                    let once = matches!(fails, Fails::Cancelled);
                    if once && what == Body::Catches {
                        continue;
                    }
                    check(&case, fails, others, what);
                }
            }
        }
    });
}

fn check(case: &str, fails: Fails, others: Others, what: Body) {
    const CHILDREN: usize = 3;
    let ended = Count::new();
    let told = ended.clone();
    let mut parent = spawn(move || {
        let ended = &told;
        let begun = Cell::new(0);
        let begun = &begun;
        let scope = || {
            run(|s| {
                for _ in 0..CHILDREN {
                    s.spawn(move || {
                        let _ended = OnDrop(|| ended.add());
                        begun.set(begun.get() + 1);
                        other(others)
                    });
                }
                if fails == Fails::AfterACancel {
                    s.spawn(|| {
                        forever();
                        Ok(())
                    })
                    .cancel();
                }
                let first = s.spawn(move || {
                    let _ended = OnDrop(|| ended.add());
                    sleep(ms(10)).wait();
                    fail_first(fails)
                });
                body(fails, what, || {
                    let _ = first.wait();
                })
            })
        };
        let result = match fails {
            Fails::TimesOut => with_timeout(ms(10), scope).map_err(|_| "out of time"),
            _ => Ok(scope()),
        };
        // All have ended by now.
        assert_eq!(ended.get(), CHILDREN + 1);
        result
    });
    if fails == Fails::Cancelled {
        sleep(ms(10)).wait();
        parent.cancel_with("from outside");
    }
    let result = parent.join().wait();
    assert_eq!(ended.get(), CHILDREN + 1, "{case}");
    match fails {
        Fails::ChildErrs | Fails::BodyErrs | Fails::AfterACancel => {
            assert_eq!(result.unwrap(), Ok(Err("first")), "{case}");
        }
        Fails::ChildPanics => {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("a scoped fiber panicked"), "{case}: {error}");
        }
        Fails::BodyPanics => {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("\"first\""), "{case}: {error}");
        }
        Fails::Cancelled => {
            let error = result.unwrap_err();
            let message = error.cancelled().unwrap().message().map(str::to_owned);
            assert_eq!(message.as_deref(), Some("from outside"), "{case}");
        }
        Fails::TimesOut => assert_eq!(result.unwrap(), Err("out of time"), "{case}"),
    }
}

/// A body that catches what ends it gets it again at each wait, and returns for nothing.
#[test]
fn try_scope_body_catches() {
    in_root_fiber(|| {
        let caught = Cell::new(0);
        let result = run(|s| {
            s.spawn(|| Err::<(), _>("first"));
            for _ in 0..10 {
                let unwound = catch_unwind(AssertUnwindSafe(|| {
                    yield_now().wait();
                    forever();
                }));
                assert!(unwound.is_err());
                caught.set(caught.get() + 1);
            }
            let refused = yield_now().wait_or_cancelled().unwrap_err();
            assert_eq!(
                refused.message(),
                Some("another fiber of its scope has failed"),
            );
            Ok("value")
        });
        assert_eq!(result, Err("first"));
        assert_eq!(caught.get(), 10);
        // It is over with the scope.
        yield_now().wait();
    });
}

#[test]
fn a_child_that_failed_counts_as_cancelled_for_its_joiner() {
    in_root_fiber(|| {
        let seen = RefCell::new(String::new());
        let result = run(|s| {
            let mut child = s.spawn(|| Err::<(), _>("first"));
            // A join in a shield is not ended.
            let joined = shield(|| child.join().wait());
            *seen.borrow_mut() = joined.unwrap_err().to_string();
            Ok(())
        });
        assert_eq!(result, Err("first"));
        let seen = seen.into_inner();
        assert!(
            seen.ends_with("was cancelled: it has failed, and its scope has the error"),
            "{seen}",
        );
    });
}

#[test]
fn a_child_that_is_spawned_after_the_failure_never_runs() {
    in_root_fiber(|| {
        let result = run(|s| {
            s.spawn(|| Err::<(), _>("first"));
            shield(|| yield_now().wait());
            s.spawn(|| -> Result<(), _> { unreachable!() });
            Ok(())
        });
        assert_eq!(result, Err("first"));
    });
}

#[test]
fn errors_may_borrow_and_later_ones_are_dropped() {
    struct Tells<'a>(&'a Cell<usize>, &'static str);
    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if self.1 == "panics" {
                resume_unwind(Box::new("in a drop"));
            }
        }
    }
    in_root_fiber(|| {
        let dropped = Cell::new(0);
        let result = try_scope(|s| {
            s.spawn(|| {
                shield(|| sleep(ms(1)).wait());
                Err::<(), _>(Tells(&dropped, "panics"))
            });
            s.spawn(|| Err::<(), _>(Tells(&dropped, "first")));
            shield(|| sleep(ms(2)).wait());
            Err::<(), _>(Tells(&dropped, "of the body"))
        });
        assert_eq!(result.as_ref().unwrap_err().1, "first");
        assert_eq!(dropped.get(), 2);
        drop(result);
        assert_eq!(dropped.get(), 3);
    });
}

#[test]
fn a_failure_does_not_reach_into_a_scope_around() {
    in_root_fiber(|| {
        let result = run(|outer| {
            let waits = outer.spawn(|| {
                for _ in 0..20 {
                    yield_now().wait();
                }
                Ok("outer")
            });
            let inner = run(|s| {
                s.spawn(|| Err::<(), _>("inner"));
                forever();
                Ok(())
            });
            assert_eq!(inner, Err("inner"));
            Ok(waits.wait().unwrap())
        });
        assert_eq!(result, Ok("outer"));
    });
}

#[test]
fn a_failure_around_ends_a_scope_inside() {
    in_root_fiber(|| {
        let ended = Count::new();
        let result = run(|outer| {
            outer.spawn(|| {
                yield_now().wait();
                Err::<(), _>("outer")
            });
            run(|s| {
                s.spawn(|| {
                    let _ended = OnDrop(|| ended.add());
                    forever();
                    Ok(())
                });
                forever();
                Ok(())
            })
        });
        assert_eq!((result, ended.get()), (Err("outer"), 1));
    });
}

#[test]
fn a_scope_in_a_bridge_ends_at_its_first_failure() {
    watched(|| {
        let runtime = crate::support::runtime();
        runtime.block_on(async {
            let result = bridge(|| {
                run(|s| {
                    s.spawn(|| {
                        yield_now().wait();
                        Err::<(), _>("first")
                    });
                    forever();
                    Ok(())
                })
            });
            assert_eq!(result.await, Err("first"));
        });
    });
}

#[test]
fn a_cancel_from_outside_goes_before_a_failure() {
    in_paused(|| async {
        let mut parent = spawn(|| {
            run(|s| {
                s.spawn(|| {
                    shield(|| sleep(ms(20)).wait());
                    Err::<(), _>("first")
                });
                Ok(())
            })
        });
        settle().await;
        parent.cancel_with("from outside");
        let error = parent.join().await.unwrap_err();
        assert_eq!(error.cancelled().unwrap().message(), Some("from outside"));
    });
}

#[test]
fn a_scope_is_refused_where_it_could_not_wait_without_running_its_body() {
    in_async(|| async {
        let refused = panic_of(|| run(|_| -> Result<(), _> { unreachable!() }));
        assert!(
            refused
                .message
                .starts_with("`try_scope` would block the runtime"),
            "{refused:?}"
        );
    });
    watched(|| {
        let refused = panic_of(|| run(|_| -> Result<(), _> { unreachable!() }));
        assert!(
            refused
                .message
                .starts_with("`try_scope` was called on a plain thread")
        );
    });
}

#[test]
fn a_runtime_that_is_dropped_ends_the_children_before_the_parents_frame() {
    watched(|| {
        let ended = Count::new();
        let told = ended.clone();
        let runtime = crate::support::runtime();
        runtime.block_on(async {
            drop(spawn(move || {
                let in_frame = Rc::new(told);
                let result = run(|s| {
                    for _ in 0..3 {
                        s.spawn(|| {
                            let _ended = OnDrop(|| in_frame.add());
                            forever();
                            Ok(())
                        });
                    }
                    forever();
                    Ok(())
                });
                result.unwrap();
            }));
            settle().await;
        });
        drop(runtime);
        assert_eq!(ended.get(), 3);
    });
}

#[test]
fn a_panic_of_a_child_that_the_body_has_joined_is_a_failure_all_the_same() {
    in_root_fiber(|| {
        let payload = catch_unwind(|| {
            run(|s| {
                let mut child = s.spawn(|| -> Result<(), _> { resume_unwind(Box::new("first")) });
                let joined = shield(|| child.join().wait());
                assert!(joined.unwrap_err().is_panic());
                Ok(())
            })
        });
        assert_eq!(text(&*payload.unwrap_err()), "a scoped fiber panicked");
        assert!(current_fiber().is_some());
    });
}
