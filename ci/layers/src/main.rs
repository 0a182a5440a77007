//! Checks that the source files of a crate use only lower layers, in the order
//! that a text file gives.
//!
//! ```text
//! layers [--graph] [--order FILE] [ROOT]
//! ```
//!
//! `ROOT` is the directory of the crate, by default the current one. The order
//! is read from `ci/layers.txt` there, unless `--order` names another file; its
//! head says how it is written. With `--graph` nothing is checked: each file is
//! printed with the files that it uses.
//!
//! The steps, each in its own module:
//!
//! 1. `sources` reads the text of every file.
//! 2. `load` parses the files, from `lib.rs` down, and builds the module tree.
//!    `scan` goes through one file, and collects what its modules define and
//!    import, and every path that its code mentions.
//! 3. `resolve` finds the file that defines what a path names.
//! 4. `graph` knows which file uses which, and finds the circles.
//! 5. `check` compares that with the `order`.

#![forbid(unsafe_code)]

mod arguments;
mod attributes;
mod check;
mod crate_map;
mod graph;
mod load;
mod order;
mod problem;
mod resolve;
mod scan;
mod sources;
#[cfg(test)]
mod tests;
mod token_paths;
mod use_tree;

use std::fs;
use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::check::check;
use crate::graph::Graph;
use crate::load::load;
use crate::order::Order;
use crate::sources::Sources;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("layers: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the order holds. An error means that there was nothing to check.
fn run() -> Result<bool, String> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let sources = Sources::read(&arguments.root.join("src"))?;
    let map = load(&sources);
    let graph = Graph::new(&map);
    if arguments.graph {
        print!("{graph}");
        return Ok(true);
    }

    let file = &arguments.order;
    let name = file.strip_prefix(&arguments.root).unwrap_or(file);
    let text = fs::read_to_string(file)
        .map_err(|why| format!("cannot read the order, {}: {why}", file.display()))?;
    let (order, mistakes) = Order::parse(&name.display().to_string(), &text);

    let mut report = check(&map, &graph, &order);
    report.problems.extend(mistakes);
    report.problems.sort();
    for problem in &report.problems {
        eprintln!("{problem}");
    }
    if report.problems.is_empty() {
        println!("ok: {}", report.figures);
    } else {
        eprintln!("problems: {}; {}", report.problems.len(), report.figures);
    }
    Ok(report.problems.is_empty())
}
