use std::fmt;

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The file, as seen from the crate's directory.
    file: String,
    /// The line in it, from 1; none if the file as a whole is meant.
    line: Option<usize>,
    message: String,
}

impl Problem {
    /// A problem at a line of a source file, whose path is relative to `src`.
    pub(crate) fn in_source(file: &str, line: usize, message: String) -> Problem {
        Problem::at(format!("src/{file}"), line, message)
    }

    /// A problem with a source file as a whole.
    pub(crate) fn of_source(file: &str, message: String) -> Problem {
        Problem {
            file: format!("src/{file}"),
            line: None,
            message,
        }
    }

    /// A problem at a line of any file.
    pub(crate) fn at(file: String, line: usize, message: String) -> Problem {
        Problem {
            file,
            line: Some(line),
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}
