//! Medians by row and column, as they were measured, or read from tables in a text.

use std::collections::HashMap;

use crate::rounds::{Column, Measured};
use crate::table;

#[derive(Debug, Default)]
pub(crate) struct Figures(HashMap<String, Vec<(Column, f64)>>);

impl Figures {
    pub(crate) fn measured(results: &[Measured]) -> Figures {
        let mut figures = Figures::default();
        for row in results {
            for column in table::columns() {
                if let Some(median) = row.median(column) {
                    figures.add(&row.name, column, median);
                }
            }
        }
        figures
    }

    /// Reads every table of a Markdown text whose head is like that of our own.
    pub(crate) fn read(text: &str) -> Figures {
        let mut figures = Figures::default();
        let mut columns = Vec::new();
        for line in text.lines() {
            let cells: Vec<&str> = match line.strip_prefix('|') {
                Some(line) => line.split('|').map(str::trim).collect(),
                None => continue,
            };
            if cells[0] == "row" {
                columns = cells.iter().map(|name| table::column(name)).collect();
                continue;
            }
            for (column, cell) in columns.iter().zip(&cells) {
                let median = cell.split(' ').next().unwrap_or_default().replace(',', "");
                if let (Some(column), Ok(median)) = (column, median.parse()) {
                    figures.add(cells[0], *column, median);
                }
            }
        }
        figures
    }

    pub(crate) fn get(&self, row: &str, column: Column) -> Option<f64> {
        let figures = self.0.get(row)?;
        let (_, median) = figures.iter().find(|(this, _)| *this == column)?;
        Some(*median)
    }

    fn add(&mut self, row: &str, column: Column, median: f64) {
        let row = self.0.entry(row.to_owned()).or_default();
        row.push((column, median));
    }
}
