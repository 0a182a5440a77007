use crate::problem::Problem;

/// The layers of a crate, and the circles that are allowed.
#[derive(Default)]
pub(crate) struct Order {
    /// The file that it was read from.
    pub(crate) file: String,
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    pub(crate) exceptions: Vec<Exception>,
}

/// A folder or a file, relative to `src`.
pub(crate) struct Layer {
    /// A folder's ends in `/`.
    pub(crate) path: String,
    /// The line that says so.
    pub(crate) line: usize,
}

impl Layer {
    pub(crate) fn covers(&self, file: &str) -> bool {
        file == self.path || self.path.ends_with('/') && file.starts_with(&self.path)
    }
}

/// Files of one layer that may use each other in a circle.
pub(crate) struct Exception {
    pub(crate) files: Vec<String>,
    /// The line that says so.
    pub(crate) line: usize,
}

impl Order {
    /// Reads an order, and returns the mistakes in it too. The lines that have mistakes
    /// are left out of the order.
    pub(crate) fn parse(file: &str, text: &str) -> (Order, Vec<Problem>) {
        let mut order = Order {
            file: file.into(),
            ..Order::default()
        };
        let mut mistakes = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let result = match line.strip_prefix("exception:") {
                Some(rest) => order.exception(rest, number),
                None => order.layer(line, number),
            };
            if let Err(message) = result {
                mistakes.push(Problem::at(file.into(), number, message));
            }
        }
        (order, mistakes)
    }

    fn layer(&mut self, text: &str, line: usize) -> Result<(), String> {
        if text.contains(char::is_whitespace) {
            return Err(format!("a line has one folder or file, not `{text}`"));
        }
        if !text.ends_with('/') && !text.ends_with(".rs") {
            return Err(format!(
                "`{text}` is no folder, which ends in `/`, and no file, which ends in `.rs`"
            ));
        }
        self.layers.push(Layer {
            path: text.into(),
            line,
        });
        Ok(())
    }

    fn exception(&mut self, text: &str, line: usize) -> Result<(), String> {
        let files = match text.split_once(':') {
            Some((files, reason)) if !reason.trim().is_empty() => files,
            _ => return Err("an exception needs a reason: `exception: FILES: REASON`".into()),
        };
        let files: Vec<String> = files.split_whitespace().map(String::from).collect();
        if files.len() < 2 {
            return Err("an exception is for two files or more".into());
        }
        self.exceptions.push(Exception { files, line });
        Ok(())
    }

    /// Returns the position of the layer that covers a file; that of the lowest is 0.
    pub(crate) fn layer_of(&self, file: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.covers(file))
    }
}
