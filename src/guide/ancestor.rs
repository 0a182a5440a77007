//! The names of Gruvi, a library for Python. The model of one hub that every fiber switches back to
//! comes from its "Fibers and the Hub".
//!
//! | Gruvi | here |
//! |---|---|
//! | `get_hub()` | [`Hub::current`](crate::Hub::current) |
//! | `Hub.loop` | [`Hub::runtime`](crate::Hub::runtime) |
//! | `Hub.switch()` in a `switch_back` | [`wait`](crate::Wait::wait) for a [`SwitchBack`](crate::SwitchBack), or for any future |
//! | `Hub.run_callback` | [`Hub::run_callback`](crate::Hub::run_callback); from other threads [`HubHandle::run_callback`](crate::HubHandle::run_callback) |
//! | `Hub.data` | [`Hub::data`](crate::Hub::data), by type |
//! | `Hub.poll` | `Hub::poll`, on unix systems |
//! | `Hub.close` | [`Hub::close`](crate::Hub::close) |
//! | `Hub.ignore_interrupt` | [`Hub::set_ignore_interrupt`](crate::Hub::set_ignore_interrupt), [`HubBuilder::ignore_interrupt`](crate::HubBuilder::ignore_interrupt) |
//! | `Hub.name` | [`Hub::name`](crate::Hub::name) |
//! | `Fiber(target, name=...)` | [`Fiber::new`](crate::Fiber::new), [`Builder::create`](crate::Builder::create) |
//! | `Fiber.start` | [`Fiber::start`](crate::Fiber::start) |
//! | `Fiber.cancel` | [`Fiber::cancel`](crate::Fiber::cancel), [`Fiber::cancel_with`](crate::Fiber::cancel_with) |
//! | `Fiber.join` | [`Fiber::join`](crate::Fiber::join), which returns the result |
//! | `Fiber.name` | [`Fiber::name`](crate::Fiber::name) |
//! | `Fiber.alive` | [`Fiber::is_alive`](crate::Fiber::is_alive) |
//! | `switch_back()`, called or `.switch` | [`SwitchBack`](crate::SwitchBack), [`Switcher::switch`](crate::Switcher::switch) |
//! | `switch_back.throw` | [`Switcher::throw`](crate::Switcher::throw) |
//! | `switch_back.active` | [`SwitchBack::is_active`](crate::SwitchBack::is_active), [`Switcher::is_active`](crate::Switcher::is_active) |
//! | `switch_back.fiber` | [`SwitchBack::fiber`](crate::SwitchBack::fiber) |
//! | `switch_back.timeout` | [`SwitchBack::with_timeout`](crate::SwitchBack::with_timeout), [`SwitchBack::timeout`](crate::SwitchBack::timeout) |
//! | `switch_back.add_cleanup` | [`SwitchBack::add_cleanup`](crate::SwitchBack::add_cleanup) |
//! | `@switchpoint` | [`switchpoint`](crate::switchpoint()) |
//! | `assert_no_switchpoints` | [`assert_no_switchpoints`](crate::assert_no_switchpoints) |
//! | `current_fiber()` | [`current_fiber`](crate::current_fiber) |
//! | `spawn` | [`spawn`](crate::spawn()) |
//! | `sleep` | [`sleep`](crate::sleep()) |
//! | `local` | [`fiber_local!`](crate::fiber_local) |
//! | the pool for blocking I/O | [`blocking`](crate::blocking()) |
//! | the pool for computations | `compute`, with the feature of that name |
//!
//! Two parts of `switch_back` have no counterpart: its lock, because a [`Switcher`](crate::Switcher) is
//! atomic, and the timeout that it raises as the error, because [`SwitchError`](crate::SwitchError) reports a
//! timeout.
//!
//! Gruvi's first example, in which a fiber says hello while the root fiber sleeps:
//!
//! ```
//! use std::time::Duration;
//! use switchback::{prelude::*, sleep, spawn};
//!
//! fn say_hello() {
//!     println!("Hello, there!");
//! }
//!
//! switchback::run(|| {
//!     let fiber = spawn(say_hello);
//!     println!("Starting fiber");
//!     sleep(Duration::ZERO).wait();
//!     assert!(!fiber.is_alive());
//!     println!("Back in root fiber");
//! })
//! .unwrap();
//! ```
