//! What a dump says about fibers that wait for files, for names of hosts and for the standard input.

use std::io::{Read, Seek, SeekFrom, Write};
use std::panic::Location;
use std::sync::mpsc;
use std::time::SystemTime;

use switchback::fs::{self, DirBuilder, File, OpenOptions};
use switchback::net::ToSocketAddrs;
use switchback::{Builder, Track, prelude::*, sleep};

use crate::stuck::{LASTS, Says, full_dump, on_hub};
use crate::support::{folder, in_child};

/// As many as a runtime has for jobs that block.
const THREADS: usize = 512;

/// The name of a call, and code that makes it.
type Stuck = (&'static str, Box<dyn FnOnce()>);

/// Checks all of these calls, while no thread is left for what they ask for.
#[track_caller]
fn check(calls: Vec<Stuck>) {
    let test = Location::caller();
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let jobs = std::iter::repeat_with(|| {
        let held = held.clone();
        switchback::blocking(move || held.lock().is_ok_and(|held| held.recv().is_ok()))
    });
    let jobs: Vec<_> = jobs.take(THREADS).collect();
    let stuck = calls.into_iter().map(|(call, f)| {
        let fiber = Builder::new().name(call).spawn(f).unwrap();
        (call, fiber)
    });
    let stuck: Vec<_> = stuck.collect();
    for _ in 0..20 {
        switchback::yield_now().wait();
    }
    tokio::time::advance(LASTS).wait();
    let dump = full_dump();
    for (call, fiber) in &stuck {
        Says::call(call).of(dump.fiber(fiber.id()).expect(call), &dump, test);
    }
    for (_, fiber) in stuck {
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
    }
    drop((release, jobs));
}

/// Where nothing can be found or made.
const NOWHERE: &str = "/dev/null/nowhere";

macro_rules! calls {
    ($($call:literal: $code:expr;)*) => {
        vec![$(($call, Box::new(move || { let _ = $code; }) as Box<dyn FnOnce()>)),*]
    };
}

#[test]
fn functions_of_files_and_names_of_hosts() {
    on_hub(Track::Times, || {
        let (mut entries, mut first) = (fs::read_dir("/").unwrap(), fs::read_dir("/").unwrap());
        let (one, other) = (
            first.next().unwrap().unwrap(),
            first.next().unwrap().unwrap(),
        );
        check(calls! {
            "fs::canonicalize": fs::canonicalize(NOWHERE);
            "fs::copy": fs::copy(NOWHERE, NOWHERE);
            "fs::create_dir": fs::create_dir(NOWHERE);
            "fs::create_dir_all": fs::create_dir_all(NOWHERE);
            "fs::exists": fs::exists(NOWHERE);
            "fs::hard_link": fs::hard_link(NOWHERE, NOWHERE);
            "fs::metadata": fs::metadata(NOWHERE);
            "fs::read": fs::read(NOWHERE);
            "fs::read_dir": fs::read_dir(NOWHERE);
            "fs::read_link": fs::read_link(NOWHERE);
            "fs::read_to_string": fs::read_to_string(NOWHERE);
            "fs::remove_dir": fs::remove_dir(NOWHERE);
            "fs::remove_dir_all": fs::remove_dir_all(NOWHERE);
            "fs::remove_file": fs::remove_file(NOWHERE);
            "fs::rename": fs::rename(NOWHERE, NOWHERE);
            "fs::set_permissions": {
                let permissions = std::fs::metadata("/").unwrap().permissions();
                fs::set_permissions(NOWHERE, permissions)
            };
            "fs::symlink_metadata": fs::symlink_metadata(NOWHERE);
            "fs::write": fs::write(NOWHERE, "");
            "fs::ReadDir::next": entries.next();
            "fs::DirEntry::metadata": one.metadata();
            "fs::DirEntry::file_type": other.file_type();
            "fs::DirBuilder::create": DirBuilder::new().create(NOWHERE);
            "fs::OpenOptions::open": OpenOptions::new().read(true).open(NOWHERE);
            "fs::File::open": File::open(NOWHERE);
            "fs::File::create": File::create(NOWHERE);
            "fs::File::create_new": File::create_new(NOWHERE);
            "net::ToSocketAddrs::to_socket_addrs": "localhost:1".to_socket_addrs();
        });
    });
}

#[test]
fn methods_of_files() {
    let folder = folder("kinds-files");
    let path = folder.path().join("file");
    on_hub(Track::Times, move || {
        // Each has a file of its own, since those of one wait for each other.
        let file = || {
            let mut options = std::fs::OpenOptions::new();
            File::from(
                options
                    .create(true)
                    .truncate(false)
                    .read(true)
                    .write(true)
                    .open(&path)
                    .unwrap(),
            )
        };
        let files: [File; 18] = std::array::from_fn(|_| file());
        let [
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
            k,
            mut l,
            mut m,
            mut n,
            mut o,
            mut p,
            mut q,
            waited,
        ] = files;
        let permissions = std::fs::metadata(&path).unwrap().permissions();
        check(calls! {
            "fs::File::sync_all": a.sync_all();
            "fs::File::sync_data": b.sync_data();
            "fs::File::set_len": c.set_len(1);
            "fs::File::metadata": d.metadata();
            "fs::File::set_permissions": e.set_permissions(permissions);
            "fs::File::set_times": f.set_times(std::fs::FileTimes::new());
            "fs::File::set_modified": g.set_modified(SystemTime::now());
            "fs::File::read_at": h.read_at(&mut [0], 0);
            "fs::File::read_exact_at": i.read_exact_at(&mut [0], 0);
            "fs::File::write_at": j.write_at(&[0], 0);
            "fs::File::write_all_at": k.write_all_at(&[0], 0);
            "fs::File::read": l.read(&mut [0]);
            "fs::File::read_vectored": m.read_vectored(&mut [std::io::IoSliceMut::new(&mut [0])]);
            "fs::File::read_to_end": n.read_to_end(&mut Vec::new());
            "fs::File::write": o.write(&[0]);
            "fs::File::write_vectored": p.write_vectored(&[std::io::IoSlice::new(&[0])]);
            "fs::File::seek": q.seek(SeekFrom::Start(0));
            // One after the other.
            "fs::File::read": switchback::scope(|s| {
                s.spawn(|| (&waited).read(&mut [0]));
                switchback::yield_now().wait();
                (&waited).read(&mut [0])
            });
        });
        // They have begun to end.
        sleep(LASTS).wait();
        drop(folder);
    });
}

/// The input is that of the process.
#[test]
#[allow(unsafe_code)]
fn the_standard_input() {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use switchback::io::{BufRead, stdin};

    let Some(child) = in_child(|| {
        let (input, _stays_open) = UnixStream::pair().unwrap();
        // SAFETY: both are descriptors, and nobody has used the input yet.
        assert_eq!(unsafe { libc::dup2(input.as_raw_fd(), 0) }, 0);
        on_hub(Track::Times, || {
            let reads = Builder::new().name("reads");
            let reads = reads
                .spawn(|| assert!(stdin().lock().fill_buf().is_err()))
                .unwrap();
            switchback::yield_now().wait();
            let locks = Builder::new().name("locks");
            let locks = locks.spawn(|| drop(stdin().lock())).unwrap();
            switchback::yield_now().wait();
            tokio::time::advance(LASTS).wait();
            let dump = full_dump();
            let of =
                |id, call| Says::call(call).of(dump.fiber(id).unwrap(), &dump, Location::caller());
            of(reads.id(), "io::StdinLock::fill_buf");
            of(locks.id(), "io::Stdin::lock");
            reads.cancel();
            locks.cancel();
        });
    }) else {
        return;
    };
    child.assert_success();
}
