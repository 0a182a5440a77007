//! Child processes in the shape of [`std::process`], which block the fiber instead of its thread.
//!
//! `use switchback::process::Command` takes the place of `use std::process::Command`. Programs are run
//! and waited for by tokio's [`process`](tokio::process), in the runtime of the fiber, or, on a plain
//! thread, in a helper runtime.
//!
//! # Examples
//!
//! ```
//! use switchback::process::Command; // once: use std::process::Command
//!
//! # fn main() -> std::io::Result<()> {
//! # switchback::run(|| {
//! let output = Command::new("echo").arg("hello").output()?; // blocks this fiber only
//! assert_eq!(output.stdout, b"hello\n");
//! # Ok(())
//! # })?
//! # }
//! ```
//!
//! # Compared with std
//!
//! What is not listed here is std's own, re-exported: `Stdio`, `Output`, `ExitStatus`, `ExitCode`,
//! `Termination`, `exit`, `abort`, `id`. A fiber that calls `exit` ends the process, without a report.
//!
//! | std | here |
//! |---|---|
//! | `Command`, `Child`, `ChildStdin`, `ChildStdout`, `ChildStderr` | different: types of their own, over tokio's |
//! | `Command::new`, `Command::arg`, `Command::args`, `Command::env`, `Command::envs`, `Command::env_remove`, `Command::env_clear`, `Command::current_dir`, `Command::stdin`, `Command::stdout`, `Command::stderr` | same |
//! | `Command::spawn`, `Command::output`, `Command::status` | same |
//! | `Command::get_program`, `Command::get_args`, `Command::get_envs`, `Command::get_current_dir` | same |
//! | `CommandExt`: `Command::uid`, `Command::gid`, `Command::arg0`, `Command::process_group`, `Command::exec` | same, as methods of the type, on unix systems |
//! | `CommandExt::pre_exec` | absent: unsafe; use `command.as_std_mut().pre_exec(..)` |
//! | `CommandExt` on Windows | absent: use `command.as_std_mut()` |
//! | `Child::id`, `Child::kill`, `Child::wait`, `Child::try_wait`, `Child::wait_with_output` | same |
//! | `Read` of `ChildStdout`, `ChildStderr`, `Write` of `ChildStdin` | same |
//! | `Write` of `&ChildStdin` | absent: tokio's pipe has none |
//! | `From` of `ChildStdin`, `ChildStdout`, `ChildStderr` and `File` for `Stdio` | same. They panic where the system refuses |
//! | `AsFd`, `AsRawFd`; on Windows `AsHandle`, `AsRawHandle`, of the pipes | same. The descriptor is non-blocking |
//! | `From` and `Into` of `OwnedFd`, `IntoRawFd`, `FromRawFd` of the pipes | absent: use `Stdio` |
//! | `Child` without `wait` | different: tokio reaps it when it ends, so it leaves no zombie |
//! | not in std: `Command::kill_on_drop`, `Command::as_std_mut`, `From<std::process::Command>` | |
#![forbid(unsafe_code)]

#[doc(no_inline)]
pub use std::process::*;

mod child;
mod command;
mod pipes;

pub use child::Child;
pub use command::Command;
pub use pipes::{ChildStderr, ChildStdin, ChildStdout};
