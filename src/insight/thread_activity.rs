//! [`ThreadActivity`]: what the system says about a thread.

use std::fmt;

/// What a thread is doing, as the system says: see
/// [`BlockedHub::activity`](crate::BlockedHub::activity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadActivity {
    /// It computes, or is ready to.
    Computes,
    /// It sleeps in the system call with this name, or with this number if the name is not known here.
    Sleeps {
        /// The name of the system call: `futex`, `read` and so on.
        call: Option<&'static str>,
        /// The number of the system call; negative if the thread sleeps for another reason.
        number: i64,
    },
    /// It is stopped, by a signal or a debugger.
    Stopped,
}

impl ThreadActivity {
    /// Returns what the thread with this path below `/proc` does; `None` if that cannot be known.
    #[cfg(target_os = "linux")]
    pub(super) fn of(task: &str) -> Option<ThreadActivity> {
        let stat = std::fs::read_to_string(format!("/proc/{task}/stat")).ok()?;
        // The name before it, in parentheses, may have any characters.
        let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
        match state {
            'R' => Some(ThreadActivity::Computes),
            'S' | 'D' => {
                let call = std::fs::read_to_string(format!("/proc/{task}/syscall"));
                let number = call
                    .ok()
                    .and_then(|call| call.split(' ').next()?.parse().ok());
                let number: i64 = number.unwrap_or(-1);
                let call = calls::name(number);
                Some(ThreadActivity::Sleeps { call, number })
            }
            'T' | 't' => Some(ThreadActivity::Stopped),
            _ => None,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_task: &str) -> Option<ThreadActivity> {
        None
    }

    /// Says what in a program makes such a system call.
    fn cause(&self) -> &'static str {
        let ThreadActivity::Sleeps { call, .. } = self else {
            return "";
        };
        match call.unwrap_or_default() {
            "futex" => ": a lock, a channel or a `park` of std?",
            "nanosleep" | "clock_nanosleep" => ": std's `thread::sleep`?",
            "read" | "readv" | "pread64" | "recvfrom" | "recvmsg" => ": a read that blocks?",
            "write" | "writev" | "pwrite64" | "sendto" | "sendmsg" => ": a write that blocks?",
            "connect" | "accept" | "accept4" => ": a socket of std's?",
            "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait" => {
                ": another event loop or executor?"
            }
            "wait4" | "waitid" => ": the end of a process?",
            _ => "",
        }
    }
}

impl fmt::Display for ThreadActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThreadActivity::Computes => f.write_str("computing"),
            ThreadActivity::Sleeps {
                call: Some(call), ..
            } => {
                write!(f, "asleep in `{call}`{}", self.cause())
            }
            ThreadActivity::Sleeps {
                call: None,
                number: ..0,
            } => f.write_str("asleep"),
            ThreadActivity::Sleeps { call: None, number } => {
                write!(f, "asleep in system call {number}")
            }
            ThreadActivity::Stopped => f.write_str("stopped"),
        }
    }
}

#[cfg(target_os = "linux")]
mod calls {
    /// Defines `name` for the calls that a program may block in.
    macro_rules! names {
        ($($(#[$cfg:meta])? $number:ident $name:literal,)*) => {
            /// Returns the name of the system call with this number, if it is one of these.
            pub(super) fn name(number: i64) -> Option<&'static str> {
                $($(#[$cfg])? {
                    if number == i64::from(libc::$number) {
                        return Some($name);
                    }
                })*
                None
            }
        };
    }

    names! {
        SYS_futex "futex",
        SYS_nanosleep "nanosleep",
        SYS_clock_nanosleep "clock_nanosleep",
        SYS_read "read",
        SYS_readv "readv",
        SYS_pread64 "pread64",
        SYS_recvfrom "recvfrom",
        SYS_recvmsg "recvmsg",
        SYS_write "write",
        SYS_writev "writev",
        SYS_pwrite64 "pwrite64",
        SYS_sendto "sendto",
        SYS_sendmsg "sendmsg",
        SYS_connect "connect",
        SYS_accept4 "accept4",
        #[cfg(target_arch = "x86_64")] SYS_poll "poll",
        #[cfg(target_arch = "x86_64")] SYS_select "select",
        #[cfg(target_arch = "x86_64")] SYS_epoll_wait "epoll_wait",
        SYS_ppoll "ppoll",
        SYS_pselect6 "pselect6",
        SYS_epoll_pwait "epoll_pwait",
        SYS_wait4 "wait4",
        SYS_waitid "waitid",
        SYS_flock "flock",
        SYS_fsync "fsync",
        SYS_openat "openat",
    }
}
