//! Written for threads, long ago: it has never heard of futures.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter::Peekable;
use std::str::SplitWhitespace;

/// Calculates sums of products of names, whose values it asks a store for.
pub(crate) struct Calculator<'a, S: Read> {
    words: Peekable<SplitWhitespace<'a>>,
    store: BufReader<S>,
}

impl<'a, S: Read + Write> Calculator<'a, S> {
    pub(crate) fn calculate(expression: &'a str, store: S) -> io::Result<usize> {
        let mut calculator = Calculator {
            words: expression.split_whitespace().peekable(),
            store: BufReader::new(store),
        };
        calculator.sum()
    }

    fn sum(&mut self) -> io::Result<usize> {
        let mut value = self.product()?;
        while self.words.next_if_eq(&"+").is_some() {
            value += self.product()?;
        }
        Ok(value)
    }

    fn product(&mut self) -> io::Result<usize> {
        let mut value = self.operand()?;
        while self.words.next_if_eq(&"*").is_some() {
            value *= self.operand()?;
        }
        Ok(value)
    }

    fn operand(&mut self) -> io::Result<usize> {
        match self.words.next() {
            Some("(") => {
                let value = self.sum()?;
                match self.words.next() {
                    Some(")") => Ok(value),
                    _ => Err(io::Error::other("a bracket is not closed")),
                }
            }
            Some(name) => self.ask(name),
            None => Err(io::Error::other("the expression ends early")),
        }
    }

    /// A line to the store, and a line back.
    fn ask(&mut self, name: &str) -> io::Result<usize> {
        writeln!(self.store.get_mut(), "{name}")?;
        let mut answer = String::new();
        self.store.read_line(&mut answer)?;
        answer.trim_end().parse().map_err(io::Error::other)
    }
}
