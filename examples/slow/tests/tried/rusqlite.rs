use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use switchback::{blocking, prelude::*, spawn, yield_now};

use crate::scratch::Scratch;
use crate::support::in_root_fiber;
use crate::waits::{at_once, look_up, wait_for_cancel};

/// A database in memory, with SQL functions that wait.
fn in_memory() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    let flags = FunctionFlags::SQLITE_UTF8;
    database
        .create_scalar_function("look_up", 1, flags, |context| {
            Ok(look_up(&context.get::<String>(0)?))
        })
        .unwrap();
    database
        .create_scalar_function("wait", 0, flags, |_| {
            wait_for_cancel();
            Ok(1)
        })
        .unwrap();
    database
}

/// A database in a file, with a table.
fn in_file(directory: &Path) -> Connection {
    let database = Connection::open(directory.join("database")).unwrap();
    let table = "create table if not exists numbers (number integer)";
    database.execute(table, ()).unwrap();
    database
}

fn insert(database: &Connection, number: i64) {
    let insert = "insert into numbers values (?1)";
    assert_eq!(database.execute(insert, [number]).unwrap(), 1);
}

fn sum(database: &Connection) -> i64 {
    let sum = "select sum(number) from numbers";
    database.query_row(sum, (), |row| row.get(0)).unwrap()
}

#[test]
fn sql_functions_wait() {
    at_once(
        |n| {
            let query = "select look_up('a') || ';' || look_up(?1)";
            let name = format!("c{n}");
            let answer: String = in_memory()
                .query_row(query, [name], |row| row.get(0))
                .unwrap();
            answer
        },
        |n| format!("A;C{n}"),
    );
}

/// Its callbacks catch every panic, so also what unwinds a fiber that is cancelled.
#[test]
fn a_cancel_in_an_sql_function_is_an_sql_error_and_used_up() {
    in_root_fiber(|| {
        let fiber = spawn(|| {
            let database = in_memory();
            let answer = database.query_row("select wait()", (), |row| row.get::<_, i64>(0));
            yield_now().wait();
            answer.is_err()
        });
        yield_now().wait();
        fiber.cancel();
        assert!(fiber.wait().unwrap());
    });
}

/// Without it, the thread would block while the fiber that has the lock waits for its turn.
#[test]
fn a_busy_handler_waits() {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    in_root_fiber(|| {
        let directory = Scratch::new();
        let [first, second] = [(); 2].map(|()| in_file(directory.path()));
        second
            .busy_handler(Some(|_| {
                BUSY.fetch_add(1, Ordering::SeqCst);
                yield_now().wait();
                true
            }))
            .unwrap();
        first.execute_batch("begin immediate").unwrap();
        insert(&first, 1);
        let second = spawn(move || {
            insert(&second, 2);
            sum(&second)
        });
        while BUSY.load(Ordering::SeqCst) < 3 {
            yield_now().wait();
        }
        first.execute_batch("commit").unwrap();
        assert_eq!(second.wait().unwrap(), 3);
    });
}

#[test]
fn a_progress_handler_lets_others_run() {
    in_root_fiber(|| {
        let database = in_memory();
        database.progress_handler(
            100,
            Some(|| {
                yield_now().wait();
                false
            }),
        );
        let turns = Rc::new(Cell::new(0));
        let counted = turns.clone();
        let other = spawn(move || {
            loop {
                counted.set(counted.get() + 1);
                yield_now().wait();
            }
        });
        let query =
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
            select sum(i) from n";
        let sum: i64 = database.query_row(query, (), |row| row.get(0)).unwrap();
        assert_eq!(sum, 10_000 * 10_001 / 2);
        assert!(turns.get() > 100);
        other.cancel();
    });
}

#[test]
fn a_database_in_a_file_works_under_blocking() {
    in_root_fiber(|| {
        let directory = Scratch::new();
        let [first, second] = [(); 2].map(|()| in_file(directory.path()));
        // Longer than the test takes.
        second.busy_timeout(Duration::from_secs(100)).unwrap();
        first.execute_batch("begin immediate").unwrap();
        insert(&first, 1);
        let (begun, has_begun) = mpsc::channel();
        let second = spawn(move || {
            let insert = move || {
                begun.send(()).unwrap();
                insert(&second, 2);
                sum(&second)
            };
            blocking(insert).wait()
        });
        // The thread of the second one blocks at most until here; this one does not.
        while has_begun.try_recv().is_err() {
            yield_now().wait();
        }
        first.execute_batch("commit").unwrap();
        assert_eq!(second.wait().unwrap(), 3);
    });
}
