//! Explains why a stack could not be allocated: which resource ran out, and which setting
//! limits it.
//!
//! The kernel reports only that it is out of memory, so this module compares what the
//! process uses with its limits. The answer can be wrong if other threads change that
//! meanwhile; it is used only for a message.
//!
//! A program may retry often, so this takes only a few microseconds. Counting the mappings
//! of a process means listing them, 65,530 lines and more, so this tries to create one more
//! instead.

use std::fs::read_to_string;
use std::io;

use super::guard::Guards;

/// The resource that could not be allocated.
#[derive(Debug)]
pub(super) enum MapError {
    /// This many bytes of address space.
    Space(usize, io::Error),
    /// A guard.
    Guard(io::Error),
}

impl MapError {
    /// Describes which resource ran out, and which setting limits it.
    #[cold]
    pub(super) fn explain(&self) -> String {
        let (found, error) = match self {
            MapError::Space(len, e) => {
                let len = *len as u64;
                let limited = address_space(len).or_else(|| data(len)).or_else(commit);
                (limited.or_else(mappings), e)
            }
            MapError::Guard(e) => (mappings(), e),
        };
        found.unwrap_or_else(|| {
            format!(
                "{error}; a process is limited by vm.max_map_count in its mappings, by \
                 RLIMIT_AS (`ulimit -v`) in its address space, and by vm.overcommit_memory"
            )
        })
    }
}

fn mappings() -> Option<String> {
    if Guards::try_another_mapping().is_ok() {
        return None;
    }
    let limit: usize = number(&read_to_string("/proc/sys/vm/max_map_count").ok()?)?;
    Some(format!(
        "the process has as many memory mappings as vm.max_map_count allows, {limit}; raise it \
         (on a kernel before Linux 6.13 each stack takes two)"
    ))
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

/// Returns how much of a resource the process uses, in bytes.
fn used(what: &str) -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let kib: u64 = number(line(&status, what)?)?;
    Some(kib.saturating_mul(1024))
}

/// Returns how much of a resource the process may use, in bytes, if there is a limit.
fn soft_limit(what: &str) -> Option<u64> {
    number(line(&read_to_string("/proc/self/limits").ok()?, what)?)
}

/// Returns the rest of the line that begins with `what`.
fn line<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(what))
}

/// Returns the first word of a text as a number.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_whitespace().next()?.parse().ok()
}
