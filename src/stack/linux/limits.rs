//! Why there is no memory for a stack: what ran out, and which setting limits it.
//!
//! The kernel says no more than that it is out of memory. So this compares what the
//! process has with what it may have. It can be wrong where other threads change
//! that in the meantime; it is for a message.

use std::fs::{File, read_to_string};
use std::io::{self, Read as _};

/// Near enough to the limit: a new guard may need two mappings, and the list of
/// mappings shows one that is not counted.
const FEW: usize = 4;

/// What kept us from getting `len` more bytes of address space, or a guard in it.
#[cold]
pub(super) fn explain(len: usize, error: &io::Error) -> String {
    let found = mappings()
        .or_else(|| address_space(len as u64))
        .or_else(|| data(len as u64))
        .or_else(commit);
    found.unwrap_or_else(|| {
        format!(
            "{error}; a process is limited by vm.max_map_count in its mappings, by RLIMIT_AS \
             (`ulimit -v`) in its address space, and by vm.overcommit_memory"
        )
    })
}

fn mappings() -> Option<String> {
    let limit: usize = number(&read_to_string("/proc/sys/vm/max_map_count").ok()?)?;
    let count = count_lines("/proc/self/maps").ok()?;
    (count + FEW >= limit).then(|| {
        format!(
            "the process has {count} memory mappings, and vm.max_map_count allows {limit}; \
             raise it (on a kernel before Linux 6.13 each stack takes two)"
        )
    })
}

fn address_space(len: u64) -> Option<String> {
    let used = used("VmSize:")?;
    let limit = soft_limit("Max address space ")?;
    (used.saturating_add(len) > limit).then(|| {
        format!(
            "the process uses {used} bytes of address space, and RLIMIT_AS (`ulimit -v`) allows \
             {limit}; raise it, or use smaller stacks"
        )
    })
}

fn data(len: u64) -> Option<String> {
    let used = used("VmData:")?;
    let limit = soft_limit("Max data size ")?;
    (used.saturating_add(len) > limit).then(|| {
        format!(
            "the process has {used} bytes of data, which stacks count as, and RLIMIT_DATA \
             (`ulimit -d`) allows {limit}; raise it, or use smaller stacks"
        )
    })
}

fn commit() -> Option<String> {
    let mode: u8 = number(&read_to_string("/proc/sys/vm/overcommit_memory").ok()?)?;
    (mode == 2).then(|| {
        "the system sets memory aside for all that is mapped (vm.overcommit_memory is 2), and \
         has no more; raise vm.overcommit_ratio, or use smaller stacks"
            .to_owned()
    })
}

/// What the process uses of something, in bytes.
fn used(what: &str) -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let kib: u64 = number(line(&status, what)?)?;
    Some(kib.saturating_mul(1024))
}

/// What the process may use of something, in bytes, if that is limited.
fn soft_limit(what: &str) -> Option<u64> {
    number(line(&read_to_string("/proc/self/limits").ok()?, what)?)
}

/// The rest of the line that begins with `what`.
fn line<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(what))
}

/// The first word of a text, if it is a number.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_whitespace().next()?.parse().ok()
}

/// There may be more lines than would fit into memory just now.
fn count_lines(path: &str) -> io::Result<usize> {
    let mut file = File::open(path)?;
    let mut buffer = [0; 4096];
    let mut count = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(count),
            n => count += buffer[..n].iter().filter(|byte| **byte == b'\n').count(),
        }
    }
}
