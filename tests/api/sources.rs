//! The sources of the crate, for tests that hold a text against them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the files, sorted by path, with their text. The guide and the tests are left out.
pub(crate) fn read() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    files.sort();
    files
}

/// The module that a line declares.
fn module(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix("mod ")?;
    Some(name.trim_end_matches([';', '{', ' ']))
}

/// Collects the files below a folder, without those of tests, and reads them up to their tests.
fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    let mut tests = BTreeSet::new();
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            folders.push(path);
            continue;
        }
        let mut text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut end = None;
        for pair in lines.windows(2) {
            if pair[0].starts_with("#[cfg(test)]") || pair[0].starts_with("#[cfg(all(test") {
                match module(pair[1]) {
                    Some(name) if pair[1].ends_with(';') => drop(tests.insert(name.to_owned())),
                    Some(_) => end = text.find(&format!("{}\n{}", pair[0], pair[1])),
                    None => {}
                }
            }
        }
        text.truncate(end.unwrap_or(text.len()));
        files.push((path, text));
    }
    let is_test = |path: &Path| tests.contains(path.file_stem().unwrap().to_str().unwrap());
    files.retain(|(path, _)| !is_test(path));
    folders.retain(|path| !is_test(path) && path.file_name().unwrap() != "guide");
    into.extend(files);
    folders.iter().for_each(|folder| collect(folder, into));
}
