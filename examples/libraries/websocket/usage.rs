//! The resources that this process has used, as reported by Linux.

use std::fs;

/// Describes all of them in a sentence.
pub(crate) fn used() -> String {
    let (seconds, resident) = (processor(), resident());
    format!("{seconds:.1} s of processor time, {resident} resident")
}

/// Returns the peak of the resident memory.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("?").trim().to_owned()
}

/// Returns the processor time in seconds of all its threads, including those that have
/// ended.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.split_whitespace().skip(13); // user and system time
    let ticks = fields.take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
