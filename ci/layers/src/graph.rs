use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::crate_map::{CrateMap, FileId, Mention, MentionKind};
use crate::problem::Problem;
use crate::resolve::Resolver;

/// Which file uses which.
pub(crate) struct Graph<'a> {
    map: &'a CrateMap,
    /// Each path by which a file uses another, at the first line that has it.
    pub(crate) uses: Vec<Use>,
    /// The names that were not found.
    pub(crate) problems: Vec<Problem>,
}

/// A file uses something of another one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Use {
    pub(crate) user: FileId,
    pub(crate) line: usize,
    /// The path as written.
    pub(crate) path: String,
    /// The file that defines what the path names.
    pub(crate) definer: FileId,
}

/// The uses that were found so far, by user and definer.
#[derive(Default)]
struct Found(BTreeMap<(FileId, FileId), Lines>);

#[derive(Default)]
struct Lines {
    /// The first line of each import, and of each path from `crate`, `self` or `super`.
    explicit: BTreeMap<String, usize>,
    /// The first line of each path that begins with a name in scope.
    relative: BTreeMap<String, usize>,
}

impl Found {
    fn add(&mut self, mention: &Mention, path: &str, user: FileId, definer: FileId) {
        let lines = self.0.entry((user, definer)).or_default();
        let first = mention.path.first().map(String::as_str);
        let is_explicit =
            mention.kind == MentionKind::Use || matches!(first, Some("crate" | "self" | "super"));
        let paths = if is_explicit {
            &mut lines.explicit
        } else {
            &mut lines.relative
        };
        let line = paths.entry(path.into()).or_insert(mention.line);
        *line = mention.line.min(*line);
    }

    /// A file that imports from another one uses it where the import is. What the code
    /// then does with the imported names is not listed again.
    fn uses(self) -> Vec<Use> {
        let mut uses = Vec::new();
        for ((user, definer), lines) in self.0 {
            let paths = if lines.explicit.is_empty() {
                lines.relative
            } else {
                lines.explicit
            };
            uses.extend(paths.into_iter().map(|(path, line)| Use {
                user,
                line,
                path,
                definer,
            }));
        }
        uses
    }
}

impl<'a> Graph<'a> {
    pub(crate) fn new(map: &'a CrateMap) -> Graph<'a> {
        let resolver = Resolver::new(map);
        let mut found = Found::default();
        let mut problems = Vec::new();
        for mention in &map.mentions {
            let user = map.modules[mention.scope].file;
            let path = mention.path.join("::");
            match resolver.files(mention) {
                Ok(definers) => {
                    let is_other = |definer: &FileId| {
                        *definer != user && map.files[user].counts() && map.files[*definer].counts()
                    };
                    for definer in definers.into_iter().filter(is_other) {
                        found.add(mention, &path, user, definer);
                    }
                }
                Err(missing) => {
                    let message = format!(
                        "names `{path}`, but src/{} neither defines `{}` nor hands it on",
                        map.files[missing.file].path, missing.name
                    );
                    let file = &map.files[user].path;
                    problems.push(Problem::in_source(file, mention.line, message));
                }
            }
        }
        Graph {
            map,
            uses: found.uses(),
            problems,
        }
    }

    /// Returns the files that count, sorted by path.
    pub(crate) fn files(&self) -> Vec<FileId> {
        let mut files: Vec<FileId> = (0..self.map.files.len())
            .filter(|file| self.map.files[*file].counts())
            .collect();
        files.sort_by_key(|file| &self.map.files[*file].path);
        files
    }

    /// Returns which of the given files a file uses.
    fn used_by(&self, user: FileId, among: &BTreeSet<FileId>) -> BTreeSet<FileId> {
        let used = self.uses.iter().filter(|one| one.user == user);
        used.map(|one| one.definer)
            .filter(|definer| among.contains(definer))
            .collect()
    }

    /// Returns the groups among the given files in which each file uses all others,
    /// directly or by way of files of the group. They are sorted by their first path.
    pub(crate) fn circles(&self, among: &[FileId]) -> Vec<Vec<FileId>> {
        let among: BTreeSet<FileId> = among.iter().copied().collect();
        let reach: BTreeMap<FileId, BTreeSet<FileId>> = among
            .iter()
            .map(|file| (*file, self.reachable(*file, &among)))
            .collect();
        let mut circles = BTreeSet::new();
        for (file, reached) in &reach {
            if reached.contains(file) {
                let back = reached.iter().filter(|other| reach[*other].contains(file));
                let mut circle: Vec<FileId> = back.copied().collect();
                circle.sort_by_key(|file| &self.map.files[*file].path);
                circles.insert(circle);
            }
        }
        let mut circles: Vec<Vec<FileId>> = circles.into_iter().collect();
        circles.sort_by_key(|circle| &self.map.files[circle[0]].path);
        circles
    }

    /// Returns the files that a file uses directly or by way of others.
    fn reachable(&self, from: FileId, among: &BTreeSet<FileId>) -> BTreeSet<FileId> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(file) = next.pop() {
            for used in self.used_by(file, among) {
                if reached.insert(used) {
                    next.push(used);
                }
            }
        }
        reached
    }
}

/// A line for each file: its path, a colon, and the paths of those that it uses.
impl fmt::Display for Graph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files();
        let all = files.iter().copied().collect();
        for file in files {
            write!(f, "{}:", self.map.files[file].path)?;
            let used = self.used_by(file, &all);
            let mut used: Vec<&str> = used
                .iter()
                .map(|file| self.map.files[*file].path.as_str())
                .collect();
            used.sort_unstable();
            for path in used {
                write!(f, " {path}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
