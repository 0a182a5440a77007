//! What the tests of stacks ask of Linux.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)]

use std::fs::{File, read_to_string};
use std::io::Read as _;

use libc::{c_long, sock_filter, sock_fprog};

/// A line of `/proc/self/status`, in KiB.
pub(crate) fn status(name: &str) -> usize {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap().trim_start_matches(':').split_whitespace();
    value.into_iter().next().unwrap().parse().unwrap()
}

/// How many mappings the process has.
pub(crate) fn mappings() -> usize {
    let mut maps = String::new();
    File::open("/proc/self/maps")
        .unwrap()
        .read_to_string(&mut maps)
        .unwrap();
    maps.lines().count()
}

/// How many mappings a process may have.
pub(crate) fn max_mappings() -> usize {
    let limit = read_to_string("/proc/sys/vm/max_map_count").unwrap();
    limit.trim().parse().unwrap()
}

/// Makes mappings until the process may have only `left` more.
pub(crate) fn leave_mappings(left: usize) {
    let count = max_mappings() - mappings() - left;
    let page = 4096;
    // Every other page of one mapping is made a mapping.
    // SAFETY: the kernel chooses a place where nothing is.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            (count + 1) * page,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(start, libc::MAP_FAILED);
    for place in (0..count).step_by(2) {
        // SAFETY: it is in the mapping above, which no other code knows.
        let result = unsafe { libc::mprotect(start.byte_add(place * page), page, libc::PROT_READ) };
        assert_eq!(result, 0);
    }
}

/// Limits the address space of the process to `left` bytes more than it has.
pub(crate) fn leave_address_space(left: usize) {
    let bytes = (status("VmSize") * 1024 + left) as libc::rlim_t;
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: `limit` is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

const MADV_GUARD_INSTALL: u32 = 102;

/// Whether the kernel has guards that are no mappings.
pub(crate) fn has_light_guards() -> bool {
    // SAFETY: the kernel chooses a place where nothing is; nothing else is there.
    unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
        libc::madvise(page, 4096, MADV_GUARD_INSTALL as i32) == 0
    }
}

/// Makes the kernel one that has no such guards, for this thread and those that it
/// starts: to the advice it says that it is invalid.
pub(crate) fn without_light_guards() {
    const INVALID: u32 = libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32;
    filter(&mut [
        load(0), // the call's number
        jump_unless(number(libc::SYS_madvise), 3),
        load(32), // the lower half of its third argument
        jump_unless(MADV_GUARD_INSTALL, 1),
        answer(INVALID),
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    assert!(!has_light_guards());
}

/// From now on each system call of this thread ends the process, but for its own
/// end and a look at what I/O is ready.
pub(crate) fn forbid_system_calls() {
    let mut program = vec![load(0)];
    let allowed = [
        libc::SYS_exit_group,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        libc::SYS_epoll_wait,
    ];
    for call in allowed {
        program.push(jump_unless(number(call), 1));
        program.push(answer(libc::SECCOMP_RET_ALLOW));
    }
    program.push(answer(libc::SECCOMP_RET_KILL_PROCESS));
    filter(&mut program);
}

/// Ends the process without anything that std or the test would still do.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: there is nothing to keep in mind.
    unsafe { libc::_exit(code) }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0)
}

/// The number of a system call as filters see it.
fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap()
}

/// Skips `skip` instructions unless the loaded value is this.
fn jump_unless(value: u32, skip: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, skip)
}

fn answer(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0)
}

fn instruction(code: u32, k: u32, jf: u8) -> sock_filter {
    let code = u16::try_from(code).unwrap();
    sock_filter { code, jt: 0, jf, k }
}

fn filter(program: &mut [sock_filter]) {
    let program = sock_fprog {
        len: u16::try_from(program.len()).unwrap(),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program is valid while the kernel copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

/// Loads a library that nobody else uses, and unloads it.
#[cfg(target_env = "gnu")]
pub(crate) fn load_a_library() {
    let name = c"libresolv.so.2";
    // SAFETY: it is a library of the system, which does nothing when it is loaded or unloaded.
    let closed = unsafe {
        let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "each glibc comes with {name:?}");
        libc::dlclose(library)
    };
    assert_eq!(closed, 0);
}
