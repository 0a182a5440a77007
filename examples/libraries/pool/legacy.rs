//! Old code, written for threads: it knows nothing of futures.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter::Peekable;
use std::str::SplitWhitespace;

/// Calculates sums and products of names. It asks a store for their values over `stream`.
pub(crate) fn calculate(expression: &str, stream: impl Read + Write) -> io::Result<usize> {
    let mut parser = Parser {
        words: expression.split_whitespace().peekable(),
        store: Store(BufReader::new(stream)),
    };
    let value = parser.sum()?;
    match parser.words.next() {
        Some(word) => Err(io::Error::other(format!("'{word}' is too much"))),
        None => Ok(value),
    }
}

/// A client of the store's protocol: one line for the request, and one for the answer.
struct Store<S>(BufReader<S>);

impl<S: Read + Write> Store<S> {
    fn value(&mut self, name: &str) -> io::Result<usize> {
        self.0.get_mut().write_all(format!("{name}\n").as_bytes())?;
        let mut answer = String::new();
        self.0.read_line(&mut answer)?;
        answer.trim_end().parse().map_err(io::Error::other)
    }
}

/// A recursive-descent parser, which needs values while it parses.
struct Parser<'a, S> {
    words: Peekable<SplitWhitespace<'a>>,
    store: Store<S>,
}

impl<S: Read + Write> Parser<'_, S> {
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
            Some(name) => self.store.value(name),
            None => Err(io::Error::other("the expression ends early")),
        }
    }
}
