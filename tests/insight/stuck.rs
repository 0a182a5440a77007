//! Fibers that are stuck, and what a dump says about them.

use std::panic::Location;
use std::time::Duration;

use switchback::{
    Builder, FiberDump, FiberState, Hub, HubDump, Track, WaitDump, WaitsFor, prelude::*, sleep,
};

/// How long a fiber has been stuck when the dump is taken, on the virtual clock.
pub(crate) const LASTS: Duration = Duration::from_secs(5);

/// What a dump has to say about a fiber that is stuck.
#[derive(Clone, Copy)]
pub(crate) struct Says {
    /// The call that waits.
    pub(crate) call: &'static str,
    /// A part of the name of the future's type.
    pub(crate) type_name: &'static str,
    pub(crate) waits_for: fn(Option<&WaitsFor>) -> bool,
    /// Whether the fiber tries again and again, so that nothing is known about how long it has waited.
    pub(crate) tries: bool,
}

/// Runs `f` on a hub with this track and the virtual clock.
pub(crate) fn on_hub(track: Track, f: impl FnOnce() + 'static) {
    let hub = Hub::builder().track(track).start_paused(true);
    hub.run(f).unwrap();
}

/// A fiber named "stuck" that runs `f` is stuck: the dump says where, in which call, for what and since
/// when, and the text has it all. With the feature, the backtrace has the function that waits.
#[track_caller]
pub(crate) fn check(says: Says, f: Box<dyn FnOnce()>) {
    let test = Location::caller();
    on_hub(Track::Times, move || {
        let stuck = Builder::new().name("stuck").spawn(f).unwrap();
        // Each passes a poll for I/O.
        for _ in 0..20 {
            sleep(Duration::ZERO).wait();
        }
        tokio::time::advance(LASTS).wait();
        let dump = full_dump();
        says.of(dump.fiber(stuck.id()).expect("it lives"), &dump, test);
        stuck.cancel();
        drop(stuck);
    });
}

/// Returns a dump of this hub, with backtraces where there are any.
pub(crate) fn full_dump() -> HubDump {
    let dump = Hub::current().handle().dump();
    #[cfg(all(feature = "backtrace", unix))]
    let dump = dump.backtraces(usize::MAX);
    dump.wait().unwrap()
}

impl Says {
    /// A wait for nothing that is known, in a call of this crate.
    pub(crate) fn call(call: &'static str) -> Says {
        Says {
            call,
            type_name: "",
            waits_for: |waits_for| waits_for.is_none(),
            tries: false,
        }
    }

    /// Checks what a dump says about a fiber, which waits in the file of this place.
    pub(crate) fn of(self, fiber: &FiberDump, dump: &HubDump, test: &Location<'_>) {
        let why = format!("{test}: {}: {fiber:?}", self.call);
        let wait = fiber.wait().expect(&why);
        assert_eq!(wait.call(), self.call, "{why}");
        assert_eq!(wait.at().file(), test.file(), "{why}");
        assert!(wait.type_name().contains(self.type_name), "{why}");
        assert!((self.waits_for)(wait.waits_for()), "{why}");
        let waiting = [FiberState::Waiting, FiberState::PutOff];
        assert!(waiting.contains(&fiber.state()), "{why}");
        assert!(wait.lasts().expect(&why) >= LASTS || self.tries, "{why}");
        assert!(fiber.stack_size() >= 64 * 1024, "{why}");
        #[cfg(all(feature = "backtrace", unix))]
        has_the_user(fiber.backtrace().expect(&why), wait, test);
        let text = dump.to_string();
        assert!(
            text.contains(&format!("'{}', waiting", fiber.name())),
            "{text}"
        );
        assert!(text.contains(&format!("at {}", wait.at())), "{text}");
        if wait.waits_for().is_none() {
            let any = self.call.starts_with('.');
            let what = match any {
                true => self.type_name.to_owned(),
                false if self.call.contains('`') => self.call.to_owned(),
                false => format!("`{}`", self.call),
            };
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with("for ") && line.contains(&what));
            assert!(line.is_some(), "{what}: {text}");
        }
    }
}

/// The backtrace has the function that waits, and of this crate at most the one that it has called.
#[cfg(all(feature = "backtrace", unix))]
fn has_the_user(backtrace: &switchback::Backtrace, wait: &WaitDump, test: &Location<'_>) {
    use switchback::BacktraceFrame;

    let at = wait.at();
    let is_of = |frame: &BacktraceFrame, begin: &str, end: &str| {
        let file = frame.file();
        file.is_some_and(|file| file.starts_with(begin) && file.ends_with(end))
    };
    let is_the_users =
        |frame: &BacktraceFrame| is_of(frame, "", test.file()) && frame.line() == Some(at.line());
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let called = backtrace
        .frames()
        .take_while(|frame| !is_of(frame, "", test.file()));
    let count = called.filter(|frame| is_of(frame, own, "")).count();
    // A release build has no debug information.
    if cfg!(debug_assertions) {
        assert!(backtrace.frames().any(is_the_users), "{backtrace}");
        assert!(count <= 1, "{backtrace}");
    }
}

/// Checks each of these: the call that waits, with a part of the name of the future's type, if that says
/// more; what it waits for; and the code, which does not return and has the place. With `tries`, the call
/// tries again and again.
macro_rules! stuck {
    ($(
        $(#[$attribute:meta])*
        $name:ident: $call:literal $(=> $type_name:literal)? $(/ $tries:ident)?, $waits_for:pat, $code:expr;
    )*) => {
        $($(#[$attribute])* #[test]
        #[allow(clippy::redundant_pattern_matching)] // of `None`
        fn $name() {
            let says = $crate::stuck::Says {
                call: $call,
                type_name: concat!("" $(, $type_name)?),
                waits_for: |waits_for| matches!(waits_for, $waits_for),
                tries: !concat!("" $(, stringify!($tries))?).is_empty(),
            };
            $crate::stuck::check(says, Box::new(|| { let _ = $code; }));
        })*
    };
}

pub(crate) use stuck;
