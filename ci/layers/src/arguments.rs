use std::path::PathBuf;

/// What the command line asks for.
pub(crate) struct Arguments {
    /// The directory of the crate.
    pub(crate) root: PathBuf,
    /// The file with the order.
    pub(crate) order: PathBuf,
    /// Print who uses whom instead of checking it.
    pub(crate) graph: bool,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut root, mut order, mut graph) = (None, None, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--graph" => graph = true,
                "--order" => {
                    let file = words.next().ok_or("--order needs the name of a file")?;
                    order = Some(PathBuf::from(file));
                }
                _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
                _ if root.is_some() => return Err(format!("one root is enough: {word}")),
                _ => root = Some(PathBuf::from(word)),
            }
        }
        let root = root.unwrap_or_else(|| PathBuf::from("."));
        let order = order.unwrap_or_else(|| root.join("ci/layers.txt"));
        Ok(Arguments { root, order, graph })
    }
}
