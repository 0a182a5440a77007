//! Drivers, bridges and others that are forgotten, kept without a poll, or dropped late, on
//! small runtimes of their own, while somebody waits for what they were for.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use switchback::prelude::*;
use switchback::{Fiber, Hub, HubHandle, SwitchBack, bridge, scope, sleep, spawn, yield_now};
use tokio::runtime::{Builder, Runtime};

use crate::show::Stage;
use crate::tally::Op;

type Local = Pin<Box<dyn Future<Output = ()>>>;

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().build();
    runtime.expect("a runtime can be made")
}

/// Polls what may be refused by a panic with a text. Ready if it was.
fn poll(future: &mut Local, cx: &mut Context<'_>) -> Poll<()> {
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(_) => Poll::Ready(()),
    }
}

/// What is left on the runtime, and what is to become of it.
struct Left<'a> {
    stage: &'a Stage,
    kept: Vec<Local>,
    late: Vec<Local>,
}

impl Left<'_> {
    fn leave(&mut self, op: Op, mut future: Local) {
        let mut cx = Context::from_waker(Waker::noop());
        let polls = self.stage.below(3);
        for _ in 0..polls {
            if poll(&mut future, &mut cx).is_ready() {
                return;
            }
        }
        self.stage.hit(match polls {
            0 => Op::LeftUnpolled,
            _ => op,
        });
        match self.stage.below(5) {
            0 | 1 => {
                self.stage.hit(Op::LeftForgotten);
                std::mem::forget(future);
            }
            2 => {
                self.stage.hit(Op::LeftKept);
                self.kept.push(future);
            }
            3 => {
                self.stage.hit(Op::LeftDroppedLate);
                self.late.push(future);
            }
            _ => drop(future),
        }
    }
}

/// Something that waits for the hub.
fn wait(stage: &Stage, hub: &HubHandle, fibers: &mut Vec<Fiber<()>>) -> Local {
    let hub = hub.clone();
    let token = stage.token();
    match stage.below(8) {
        0 | 1 if !fibers.is_empty() => {
            let fiber = fibers.swap_remove(0);
            Box::pin(async move { drop((fiber.await, token)) })
        }
        2 => Box::pin(hub.close()),
        3 => Box::pin(Hub::run_until(async move { drop(token) })),
        4 => Box::pin(async move { drop(spawn(move || drop(token)).await) }),
        5 => Box::pin(bridge(move || {
            scope(|s| {
                s.spawn(move || drop(token));
            });
        })),
        6 => {
            let body = async move {
                let spawned = thread::spawn(move || hub.spawn(move || drop(token))).join();
                if let Ok(Ok(fiber)) = spawned {
                    let _ = fiber.await;
                }
            };
            Box::pin(body)
        }
        _ => Box::pin(async move {
            yield_now().await;
            sleep(Duration::ZERO).await;
        }),
    }
}

/// Whoever waits is told, or gets what it waits for, whatever has become of the driver.
pub(crate) fn while_others_wait(stage: &Stage) {
    let runtime = runtime();
    let mut left = Left {
        stage,
        kept: Vec::new(),
        late: Vec::new(),
    };
    let mut fibers = Vec::new();
    let hub = {
        let _guard = runtime.enter();
        let mut cx = Context::from_waker(Waker::noop());
        let by_task = stage.chance(25);
        let mut first: Local = match by_task {
            true => Box::pin(pending()),
            false => Box::pin(Hub::run_until(pending())),
        };
        let hub = match by_task {
            true => runtime.block_on(async { Hub::current() }),
            false => {
                let _ = poll(&mut first, &mut cx);
                Hub::current()
            }
        };
        for _ in 0..1 + stage.below(3) {
            let token = stage.token();
            let naps = stage.below(3);
            fibers.push(spawn(move || {
                (0..naps).for_each(|_| yield_now().wait());
                drop(token);
            }));
        }
        for _ in 0..stage.below(4) {
            match stage.below(6) {
                0 => {
                    let token = stage.may_leak();
                    let body = async move {
                        let _token = token;
                        yield_now().await;
                        pending().await
                    };
                    left.leave(Op::LeftRunUntil, Box::pin(Hub::run_until(body)));
                }
                1 => {
                    let token = stage.may_leak();
                    let body = move || {
                        let _token = token;
                        pending::<()>().wait();
                    };
                    left.leave(Op::LeftBridge, Box::pin(bridge(body)));
                }
                2 => {
                    let token = stage.may_leak();
                    // The hub may be closing.
                    if let Ok(fiber) = catch_unwind(move || spawn(move || drop(token))) {
                        left.leave(Op::LeftJoin, Box::pin(async { drop(fiber.await) }));
                    }
                }
                3 => left.leave(
                    Op::LeftSwitchBack,
                    Box::pin(async { drop(SwitchBack::<u8>::new().await) }),
                ),
                4 if stage.chance(40) => left.leave(Op::LeftClose, Box::pin(hub.close())),
                _ => left.leave(Op::LeftJoin, Box::pin(yield_now())),
            }
        }
        left.leave(Op::LeftRunUntil, first);
        hub.handle()
    };
    let mut waiting: Vec<_> = (0..1 + stage.below(3))
        .map(|_| wait(stage, &hub, &mut fibers))
        .collect();
    let mut fallback = None;
    let (mut owner, mut late) = (Some(runtime), left.late);
    match stage.below(6) {
        0 => {
            stage.hit(Op::RuntimeDroppedElsewhere);
            let runtime = owner.take();
            // The fibers stay suspended till this thread ends, or asks for a hub.
            if thread::spawn(move || drop(runtime)).join().is_err() {
                stage.fault("the end of a runtime panics");
            }
        }
        1 => {
            stage.hit(Op::RuntimeDroppedHere);
            owner = None;
        }
        _ => {}
    }
    let driven = owner
        .as_ref()
        .unwrap_or_else(|| fallback.insert(self::runtime()));
    driven.block_on(poll_fn(|cx| {
        waiting.retain_mut(|one| poll(one, cx).is_pending());
        late.clear();
        match waiting.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
    if stage.chance(50) {
        std::mem::forget(left.kept);
    }
    drop((fibers, owner));
    // Whoever makes a hub on this thread unwinds those that were lost.
    self::runtime().block_on(async { drop(Hub::current()) });
}
