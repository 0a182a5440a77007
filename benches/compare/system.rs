//! What only the system tells: the processor time of a thread. And what only the
//! system grants: files enough for a thousand connections.
#![allow(unsafe_code)]

use std::time::Duration;

/// The processor time that this thread has used so far, as Linux tells it. Zero
/// elsewhere.
pub(crate) fn thread_cpu_time() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a `timespec` that lives on.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        assert_eq!(result, 0, "every Linux has this clock");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

/// Allows as many open files as the system lets a process allow itself. Linux
/// begins with 1,024 for the sake of `select`; elsewhere nothing is done.
pub(crate) fn allow_many_files() {
    #[cfg(target_os = "linux")]
    {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to an `rlimit` that lives on.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0 {
            limit.rlim_cur = limit.rlim_max;
            // SAFETY: the pointer is to an `rlimit` that lives on. If the system
            // refuses, rows with many connections say what they lack.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        }
    }
}
