//! What this process has used, as Linux tells it.

use std::fs;

/// All of it, in words.
pub(crate) fn used() -> String {
    let (seconds, resident) = (processor(), resident());
    format!("{seconds:.1} s of processor time, {resident} resident")
}

/// The most memory that it has had resident.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("?").trim().to_owned()
}

/// The seconds of processor time of all its threads, those that have ended too.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.split_whitespace().skip(13); // of user code, of the system
    let ticks = fields.take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
