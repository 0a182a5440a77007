//! Rows, and their measurement by interleaved rounds and paired ratios.

use std::time::{Duration, Instant};

/// The number of rounds that count, unless a row sets another or its time is over. It is odd, so
/// that the median is one of them.
pub(crate) const ROUNDS: usize = 15;

/// The number of rounds that count however long they take, unless a row sets fewer.
pub(crate) const LEAST_ROUNDS: usize = 3;

/// The columns of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Switchback,
    /// What switchback itself is held against in this row.
    Otherwise,
    TokioTasks,
    May,
    SpawnBlocking,
    LocalPool,
    /// Tokio's `duplex` between a fiber and a task.
    Duplex,
    /// An `AsyncReader`, in the task that reads it.
    InPlace,
    Threads,
    Corosensei,
}

/// The unit of a figure, and whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds for each of these.
    NanosPer(&'static str),
    /// The number of these per second.
    PerSecond(&'static str),
    /// Another unit of which less is better, with its name.
    Less(&'static str),
}

/// One piece of work, and the columns that do it.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    rounds: usize,
    columns: Vec<(Column, Sample)>,
}

/// Does the work once and returns a figure in the row's unit.
type Sample = Box<dyn Fn() -> f64>;

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: Unit) -> Row {
        Row {
            name: name.into(),
            unit,
            rounds: ROUNDS,
            columns: Vec::new(),
        }
    }

    /// Sets another, odd number of rounds that count, for a row that takes long or gives
    /// the same figure every time.
    pub(crate) fn rounds(self, rounds: usize) -> Row {
        debug_assert!(rounds % 2 == 1);
        Row { rounds, ..self }
    }

    /// Takes a single round, and none before it to warm up, for a row whose samples take many
    /// seconds.
    pub(crate) fn once(self) -> Row {
        Row { rounds: 0, ..self }
    }

    pub(crate) fn column(mut self, column: Column, sample: impl Fn() -> f64 + 'static) -> Row {
        self.columns.push((column, Box::new(sample)));
        self
    }

    /// Measures every column in each round. Each round begins with another column, so that
    /// no column always follows the same one. There are fewer rounds if all of them would take
    /// longer than `time`.
    pub(crate) fn measure(&self, time: Duration) -> Measured {
        let begin = Instant::now();
        let count = self.columns.len();
        let mut figures = vec![Vec::with_capacity(self.rounds); count];
        for round in 0..=self.rounds {
            // The number of rounds stays odd, so they are taken in pairs.
            if round > LEAST_ROUNDS && round % 2 == 0 {
                let each = begin.elapsed() / round as u32;
                if begin.elapsed() + 2 * each > time {
                    break;
                }
            }
            for place in 0..count {
                let index = (round + place) % count;
                let figure = self.columns[index].1();
                // The first round warms up, unless it is the only one.
                if round > 0 || self.rounds == 0 {
                    figures[index].push(figure);
                }
            }
        }
        let columns = self.columns.iter().map(|(column, _)| *column);
        Measured {
            name: self.name.clone(),
            unit: self.unit,
            columns: columns.zip(figures).collect(),
        }
    }
}

/// The figures of a row: one for each column and round.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    columns: Vec<(Column, Vec<f64>)>,
}

/// How many times better switchback was than a rival, over all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Measured {
    /// Returns how many rounds count.
    pub(crate) fn rounds(&self) -> usize {
        self.columns.first().map_or(0, |(_, figures)| figures.len())
    }

    /// Returns the median figure of a column, if the column applies to this row.
    pub(crate) fn median(&self, column: Column) -> Option<f64> {
        self.figures(column).map(|figures| median(figures.to_vec()))
    }

    /// Returns the ratios between switchback and a rival, each within one round.
    pub(crate) fn ratio(&self, rival: Column) -> Option<Ratio> {
        let ours = self.figures(Column::Switchback)?;
        let theirs = self.figures(rival)?;
        let ratios: Vec<f64> = ours
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| match self.unit {
                Unit::NanosPer(_) | Unit::Less(_) => theirs / ours,
                Unit::PerSecond(_) => ours / theirs,
            })
            .collect();
        Some(Ratio {
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            greatest: ratios.iter().copied().fold(0.0, f64::max),
            median: median(ratios),
        })
    }

    fn figures(&self, column: Column) -> Option<&[f64]> {
        let mut columns = self.columns.iter();
        let (_, figures) = columns.find(|(this, _)| *this == column)?;
        Some(figures)
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
