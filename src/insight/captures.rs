//! [`Captures`]: the addresses of the calls that the fibers of a hub are in.
//!
//! The hub's thread takes them, which is quick. A [`LookUp`] finds the functions at these addresses,
//! which is not: the first one of a process reads its debug information. So it has a thread of its own.

use std::collections::HashMap;
use std::ffi::c_void;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use futures::channel::oneshot;

use super::HubDump;
use super::backtrace::{Backtrace, BacktraceFrame};
use crate::base::thread_end;
use crate::hub::Core;
use crate::shared::FiberId;
use crate::stack::{Frames, FramesEnd};

/// What a stack has stored: the addresses of its calls, and what is behind them.
type Capture = (Box<[usize]>, FramesEnd);

/// What the stacks of the fibers of a hub have stored.
#[derive(Debug, Default)]
pub(super) struct Captures {
    distinct: Arc<[Capture]>,
    /// The fibers, with the numbers of what each of them has stored.
    fibers: Vec<(FiberId, usize)>,
}

impl Captures {
    /// Makes the suspended fibers of this hub store their frames, at most `most` of them.
    pub(super) fn take(core: &Rc<Core>, most: usize) -> Captures {
        let mut captures = Captures::default();
        // The end of its thread resumes no stack, whatever for.
        if most == 0 || thread_end::has_begun() {
            return captures;
        }
        let mut frames = Frames::new();
        let mut numbers: HashMap<Capture, usize> = HashMap::new();
        for fiber in core.table.fibers() {
            if captures.fibers.len() == most {
                break;
            }
            if fiber.walk_stack(&core.token, &mut frames) {
                let next = numbers.len();
                let found = (frames.addresses().into(), frames.end());
                let number = *numbers.entry(found).or_insert(next);
                captures.fibers.push((fiber.id(), number));
            }
        }
        let mut distinct: Vec<_> = numbers.into_iter().collect();
        distinct.sort_unstable_by_key(|(_, number)| *number);
        captures.distinct = distinct.into_iter().map(|(found, _)| found).collect();
        captures
    }
}

/// A future of a dump with backtraces.
#[derive(Debug)]
pub(super) struct LookUp {
    dump: Option<HubDump>,
    captures: Captures,
    /// The backtraces by their numbers.
    answer: oneshot::Receiver<Vec<Arc<Backtrace>>>,
}

/// Begins to find the functions.
pub(super) fn look_up(dump: HubDump, captures: Captures) -> LookUp {
    let (sender, answer) = oneshot::channel();
    let distinct = captures.distinct.clone();
    if distinct.is_empty() {
        let _ = sender.send(Vec::new());
    } else {
        let looks = thread::Builder::new().name("switchback-symbols".into());
        // If there is no such thread, the functions remain unknown.
        let _ = looks.spawn(move || sender.send(backtraces(&distinct, calls_at)));
    }
    LookUp {
        dump: Some(dump),
        captures,
        answer,
    }
}

impl Future for LookUp {
    type Output = HubDump;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HubDump> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        let unknown = |address| [BacktraceFrame::unknown(address)].into();
        let found = answer.unwrap_or_else(|_| backtraces(&self.captures.distinct, unknown));
        let mut dump = self.dump.take().expect("it is ready once");
        for (fiber, number) in &self.captures.fibers {
            dump.set_backtrace(*fiber, &found[*number]);
        }
        Poll::Ready(dump)
    }
}

/// Makes the backtrace of one stack, on this thread.
pub(super) fn backtrace_of(capture: Capture) -> Backtrace {
    let (addresses, end) = capture;
    let calls = addresses.iter().map(|address| calls_at(*address));
    Backtrace::new(calls.collect(), end)
}

/// Makes backtraces of these addresses. Each address is looked up once.
fn backtraces(
    distinct: &[Capture],
    calls_at: impl Fn(usize) -> Arc<[BacktraceFrame]>,
) -> Vec<Arc<Backtrace>> {
    let mut known: HashMap<usize, Arc<[BacktraceFrame]>> = HashMap::new();
    let mut calls = |address: &usize| {
        let calls = known.entry(*address);
        calls.or_insert_with(|| calls_at(*address)).clone()
    };
    let backtraces = distinct.iter().map(|(addresses, end)| {
        let calls = addresses.iter().map(&mut calls).collect();
        Arc::new(Backtrace::new(calls, *end))
    });
    backtraces.collect()
}

/// Returns the call that goes on at this address, and those that were inlined into it, before it.
fn calls_at(address: usize) -> Arc<[BacktraceFrame]> {
    let mut calls = Vec::new();
    let pointer = ptr::without_provenance_mut::<c_void>(address);
    backtrace::resolve(pointer, |symbol| {
        calls.push(BacktraceFrame {
            // Without the hash at the end of the name.
            function: symbol.name().map(|name| format!("{name:#}").into()),
            file: symbol
                .filename()
                .map(|file| file.display().to_string().into()),
            line: symbol.lineno(),
            ..BacktraceFrame::unknown(address)
        });
    });
    if calls.is_empty() {
        calls.push(BacktraceFrame::unknown(address));
    }
    calls.into()
}
