//! Synchronous code, which knows nothing of async, but for the wait in `Store`.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::Duration;

use switchback::{prelude::*, sleep};
use zip::write::SimpleFileOptions;

use super::gate::{Gate, ShutOnDrop};

/// How many files an archive has.
pub(crate) const FILES: usize = 20;

/// One archive in this many lacks a file.
pub(crate) const BROKEN: usize = 10;

/// Stands for a client of a store that has to be asked for each file.
struct Store;

impl Store {
    fn file(&self, archive: usize, file: usize) -> io::Result<Vec<u8>> {
        sleep(Duration::from_millis(1)).wait(); // the fiber waits for the store
        match archive % BROKEN == 0 && file == FILES / 2 {
            true => Err(io::Error::other("a file is not there")),
            false => Ok(content(archive, file)),
        }
    }
}

/// What a file has to have in it.
pub(crate) fn content(archive: usize, file: usize) -> Vec<u8> {
    let line = |n| format!("archive {archive}, file {file}, line {n}\n");
    (0..200).flat_map(|n| line(n).into_bytes()).collect()
}

/// Makes an archive while it is written. If a file is not there, or a panic or a cancel ends this half
/// way, the archive has no end.
pub(crate) fn write_archive(out: &mut dyn Write, archive: usize) -> io::Result<()> {
    let is_shut = Cell::new(false);
    let mut zip = zip::ZipWriter::new_stream(Gate::new(out, &is_shut));
    let _shut = ShutOnDrop(&is_shut); // dropped before `zip`, unless that is finished
    for file in 0..FILES {
        let content = Store.file(archive, file)?;
        zip.start_file(format!("{file}.txt"), SimpleFileOptions::default())?;
        zip.write_all(&content)?;
    }
    zip.finish()?;
    Ok(())
}

/// The states of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Placed,
    Paid,
    Shipped,
}

impl Order {
    /// Returns the state that follows an event.
    fn after(before: Option<Order>, event: &str) -> Option<Order> {
        match (before, event) {
            (None, "place") => Some(Order::Placed),
            (Some(Order::Placed), "pay") => Some(Order::Paid),
            (Some(Order::Paid), "ship") => Some(Order::Shipped),
            _ => None,
        }
    }
}

/// Reads the events of orders, as lines of their numbers and what has happened to them. Returns how
/// many orders were shipped.
pub(crate) fn read_orders(from: impl Read) -> io::Result<usize> {
    let mut orders = HashMap::new();
    let mut events = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(from);
    for event in events.records() {
        let event = event?;
        let (number, what) = (&event[0], &event[1]);
        let before = orders.get(number).copied();
        let Some(after) = Order::after(before, what) else {
            let message = format!("order {number} is {before:?}: it cannot {what}");
            return Err(io::Error::other(message));
        };
        orders.insert(number.to_owned(), after);
    }
    Ok(orders
        .values()
        .filter(|order| **order == Order::Shipped)
        .count())
}
