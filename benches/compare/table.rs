//! The Markdown table.

use std::env::consts::{ARCH, OS};
use std::fmt::Write as _;
use std::num::NonZero;

use crate::rounds::{Column, LEAST_ROUNDS, Measured, ROUNDS, Ratio, Unit};

const OURS: &str = "switchback";
const RIVALS: [(Column, &str); 9] = [
    (Column::Otherwise, "switchback otherwise"),
    (Column::TokioTasks, "tokio tasks"),
    (Column::May, "may"),
    (Column::SpawnBlocking, "spawn_blocking"),
    (Column::LocalPool, "LocalPoolHandle"),
    (Column::Duplex, "tokio's duplex"),
    (Column::InPlace, "AsyncReader"),
    (Column::Threads, "std threads"),
    (Column::Corosensei, "bare corosensei"),
];

/// The columns, in order.
pub(crate) fn columns() -> impl Iterator<Item = Column> {
    [Column::Switchback]
        .into_iter()
        .chain(RIVALS.map(|(column, _)| column))
}

/// Returns the column with this heading.
pub(crate) fn column(heading: &str) -> Option<Column> {
    let ours = [(Column::Switchback, OURS)];
    let mut columns = ours.into_iter().chain(RIVALS);
    columns
        .find(|(_, name)| *name == heading)
        .map(|(column, _)| column)
}

/// Renders the table, with a line above it that explains its cells.
pub(crate) fn render(results: &[Measured]) -> String {
    let mut lines = vec![heading()];
    lines.extend(results.iter().map(line));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|i| lines.iter().map(|line| width(&line[i])).max().unwrap_or(0))
        .collect();

    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut text = format!(
        "Medians of as many rounds as fit into the row's time, from {LEAST_ROUNDS} to {ROUNDS}, or of \
         1 for a million fibers, on {OS}, {ARCH}, {cores} cores. After a rival's figure: how many times better switchback was in the same \
         round (median, least to greatest).\n\n"
    );
    for (number, line) in lines.iter().enumerate() {
        push_line(&mut text, line, &widths);
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            push_line(&mut text, &rules, &widths);
        }
    }
    text
}

fn heading() -> Vec<String> {
    let mut cells = vec![
        "row".to_owned(),
        "rounds".to_owned(),
        "unit".to_owned(),
        OURS.to_owned(),
    ];
    cells.extend(RIVALS.map(|(_, name)| name.to_owned()));
    cells
}

fn line(row: &Measured) -> Vec<String> {
    let unit = match row.unit {
        Unit::NanosPer(what) => format!("ns per {what}"),
        Unit::PerSecond(what) => format!("{what} per s"),
        Unit::Less(what) => what.to_owned(),
    };
    let ours = row.median(Column::Switchback).map(number);
    let mut cells = vec![
        row.name.clone(),
        row.rounds().to_string(),
        unit,
        ours.unwrap_or_default(),
    ];
    cells.extend(RIVALS.map(|(rival, _)| {
        let figure = row.median(rival).zip(row.ratio(rival));
        figure.map_or_else(String::new, |(median, ratio)| cell(median, ratio))
    }));
    cells
}

fn cell(median: f64, ratio: Ratio) -> String {
    let Ratio {
        median: times,
        least,
        greatest,
    } = ratio;
    format!(
        "{} (×{}, {} to {})",
        number(median),
        factor(times),
        factor(least),
        factor(greatest)
    )
}

fn push_line(text: &mut String, cells: &[String], widths: &[usize]) {
    for (cell, column) in cells.iter().zip(widths) {
        let padding = column - width(cell);
        write!(text, "| {cell}{:padding$} ", "").expect("writing to a string cannot fail");
    }
    text.push_str("|\n");
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// Formats a figure with two or three significant digits, or as a whole number with its
/// thousands set apart.
pub(crate) fn number(figure: f64) -> String {
    if figure < 99.5 {
        return factor(figure);
    }
    let digits = format!("{figure:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn factor(ratio: f64) -> String {
    match ratio {
        r if r < 0.0995 => format!("{r:.3}"),
        r if r < 9.95 => format!("{r:.2}"),
        r if r < 99.5 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    }
}
