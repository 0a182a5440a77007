use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The text of every source file of a crate, by its path relative to `src`,
/// with `/` between the parts on every system.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Reads every `.rs` file in and under the directory.
    pub(crate) fn read(directory: &Path) -> Result<Sources, String> {
        let mut sources = Sources::default();
        sources.read_into(directory, "")?;
        Ok(sources)
    }

    fn read_into(&mut self, directory: &Path, prefix: &str) -> Result<(), String> {
        let cannot = |why| format!("cannot read {}: {why}", directory.display());
        for entry in fs::read_dir(directory).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(format!("{} is not a name in UTF-8", path.display()));
            };
            let relative = format!("{prefix}{name}");
            if path.is_dir() {
                self.read_into(&path, &format!("{relative}/"))?;
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path)
                    .map_err(|why| format!("cannot read {}: {why}", path.display()))?;
                self.0.insert(relative, text);
            }
        }
        Ok(())
    }

    pub(crate) fn text(&self, file: &str) -> Option<&str> {
        self.0.get(file).map(String::as_str)
    }

    /// The paths of the files, sorted.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The sources of a crate that a test makes up: paths and texts.
#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Sources {
    fn from(files: [(&str, &str); N]) -> Sources {
        Sources(files.map(|(path, text)| (path.into(), text.into())).into())
    }
}
