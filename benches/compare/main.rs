//! Compares fibers with their rivals, interleaved in one process, and prints one Markdown
//! table.
//!
//! Run with: `cargo bench -p compare`, or `cargo bench -p compare -- ROW...` for some rows.
//! A name that is not a row's selects the rows that begin with it: `yield` stands for
//! `yield-10`, `yield-1000` and so on.
//!
//! # How it measures
//!
//! A row is one piece of work, which each column that applies does in its own way. A round
//! measures every column once; the column that goes first changes from round to round. The
//! first round is discarded. The rows share four minutes: each takes as many rounds as fit into
//! its part, from three to fifteen (those of a million one), and the rows after it share what it leaves. A cell is the median of the rounds that count. A disturbance
//! of the machine tends to affect a whole round, so a rival is compared with switchback in
//! the same round: its cell also has the median of these ratios, and their least and
//! greatest.
//!
//! A sample creates its own runtime (or scope, or threads) and does some of the work before
//! its clock starts, so that no column pays for the first use of memory. Columns that take
//! microseconds do less of the work per sample; all figures are per unit of work.
//!
//! Where threads wait for each other, a figure depends on whether a core falls asleep in
//! between, which on some machines costs ten times the work itself. The spread of these
//! figures is wide for that reason.
//!
//! The table is also written to `compare.md` in the target directory, with plots of the rows
//! `growth-...` and `echo-1000` if these were measured.
//!
//! The tables of `BENCHMARKS.md` are copies of such tables. `cargo bench -p compare -- draw`
//! measures nothing, and draws the plots in `benches` anew from these tables.

mod bodies;
mod calls;
mod copy;
mod echo;
mod fairness;
mod figures;
mod growth;
mod heap;
mod load;
mod locks;
mod memory;
mod offload;
mod pingpong;
mod plot;
mod remote;
mod rounds;
mod sleeps;
mod spawn_join;
mod system;
mod table;
mod worlds;
mod yields;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::figures::Figures;
use crate::rounds::Row;

/// The time that all rows share.
const TIME: Duration = Duration::from_secs(240);

fn main() -> ExitCode {
    if calls::is_sample() {
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|argument| argument == "draw") {
        return redraw();
    }
    worlds::set_up_may();
    system::allow_many_files();
    let rows = match select(all_rows(), std::env::args().skip(1)) {
        Ok(rows) => rows,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    let count = rows.len();
    let results: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(number, row)| {
            eprint!("{} ... ", row.name);
            let row_begin = Instant::now();
            let left = TIME.saturating_sub(begin.elapsed());
            let measured = row.measure(left / (count - number) as u32);
            let seconds = row_begin.elapsed().as_secs_f64();
            eprintln!("{} rounds, {seconds:.1} s", measured.rounds());
            measured
        })
        .collect();
    eprintln!("done in {:.0} s", begin.elapsed().as_secs_f64());

    let table = table::render(&results);
    print!("{table}");
    write(&target().join("compare.md"), &table);
    draw(&Figures::measured(&results), &target());
    ExitCode::SUCCESS
}

/// Draws the plots in the repository from the tables in it.
fn redraw() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = root.join("BENCHMARKS.md");
    match std::fs::read_to_string(&page) {
        Ok(text) => draw(&Figures::read(&text), &root.join("benches")),
        Err(e) => {
            eprintln!("{} could not be read: {e}", page.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn draw(figures: &Figures, folder: &Path) {
    for (name, plot) in plot::PLOTS {
        match plot(figures) {
            Ok(Some(svg)) => write(&folder.join(name), &svg),
            Ok(None) => {}
            Err(e) => eprintln!("{name} could not be drawn: {e}"),
        }
    }
}

fn all_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend([10, 100, 300, 1_000, 3_000, 10_000, 100_000].map(yields::row));
    rows.extend([10, 1_000].map(yields::wait_row));
    for (size, bytes) in [("64-kib", 64 << 10), ("1-mib", 1 << 20)] {
        rows.extend([1_000, 10_000].map(|count| yields::size_row(count, size, bytes)));
    }
    rows.extend(spawn_join::rows());
    rows.extend(pingpong::rows());
    rows.extend(locks::rows());
    rows.extend(echo::rows());
    rows.extend(sleeps::rows());
    rows.extend(memory::rows());
    rows.extend(fairness::rows());
    rows.extend(remote::rows());
    rows.extend(calls::rows());
    rows.extend(offload::rows());
    rows.extend(copy::rows());
    rows.extend(bodies::rows());
    rows.extend(growth::rows());
    rows.extend(load::rows());
    rows
}

/// Returns the rows that the arguments ask for, or all. Options come from cargo, which
/// passes `--bench`.
fn select(rows: Vec<Row>, arguments: impl Iterator<Item = String>) -> Result<Vec<Row>, String> {
    let mut wanted = Vec::new();
    for argument in arguments.filter(|argument| !argument.starts_with('-')) {
        let before = wanted.len();
        let exact = rows.iter().any(|row| row.name == argument);
        let matches = rows
            .iter()
            .map(|row| row.name.as_str())
            .filter(|name| *name == argument || !exact && name.starts_with(&argument));
        wanted.extend(matches.map(str::to_owned));
        if wanted.len() == before {
            let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
            return Err(format!(
                "there is no row '{argument}'; the rows are: {}",
                names.join(", ")
            ));
        }
    }
    if wanted.is_empty() {
        return Ok(rows);
    }
    Ok(rows
        .into_iter()
        .filter(|row| wanted.contains(&row.name))
        .collect())
}

fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}

fn write(path: &Path, text: &str) {
    match std::fs::write(path, text) {
        Ok(()) => eprintln!("written to {}", path.display()),
        Err(e) => eprintln!("{} could not be written: {e}", path.display()),
    }
}
