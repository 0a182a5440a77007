//! Calls to the operating system: the processor time of a thread, the memory of the process,
//! and the limit of open files, which has to suffice for a thousand connections.
#![allow(unsafe_code)]

use std::time::Duration;

/// Returns the processor time that this thread has used so far, as reported by Linux, or
/// zero elsewhere.
pub(crate) fn thread_cpu_time() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a live `timespec`.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        assert_eq!(result, 0, "every Linux has this clock");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

/// Raises the limit of open files as far as the system permits. Linux begins with 1,024 for
/// the sake of `select`; elsewhere this does nothing.
pub(crate) fn allow_many_files() {
    #[cfg(target_os = "linux")]
    {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to a live `rlimit`.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0 {
            limit.rlim_cur = limit.rlim_max;
            // SAFETY: the pointer is to a live `rlimit`. If the system refuses, rows with
            // many connections report what they lack.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        }
    }
}

/// Forgets how much memory the process has had at most. Returns how much it has, in bytes, or
/// zero where that is not known.
pub(crate) fn forget_peak_memory() -> u64 {
    #[cfg(target_os = "linux")]
    // Where the kernel refuses, the peak stays, and a row shows more than there was.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak_memory()
}

/// Returns how much memory the process has had at most since then, in bytes.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
    1024 * kib.unwrap_or(0)
}
