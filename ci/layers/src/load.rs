use std::collections::BTreeSet;

use crate::attributes::ModulePaths;
use crate::crate_map::{Binding, CrateMap, ModuleId, SourceFile};
use crate::problem::Problem;
use crate::scan::{DeclaredModule, scan};
use crate::sources::Sources;

/// Builds the map of a crate, from `lib.rs` down.
pub(crate) fn load(sources: &Sources) -> CrateMap {
    let mut loader = Loader {
        sources,
        map: CrateMap::default(),
        known: BTreeSet::new(),
        test_directories: Vec::new(),
    };
    loader.file("lib.rs", None, true);
    loader.find_undeclared();
    loader.map
}

struct Loader<'a> {
    sources: &'a Sources,
    map: CrateMap,
    /// The files that belong to some module.
    known: BTreeSet<String>,
    /// The directories of modules that are built for tests only.
    test_directories: Vec<String>,
}

/// Where the modules that a file declares are to be found.
struct Surroundings<'a> {
    file: &'a str,
    /// The directory of the file.
    directory: &'a str,
    /// The directory of its child modules.
    children: &'a str,
}

impl Loader<'_> {
    /// Loads the file of a module, and those of the modules that it declares. A file
    /// is like a `mod.rs` if its child modules are looked for beside it.
    fn file(&mut self, path: &str, declared: Option<&DeclaredModule>, is_like_mod_rs: bool) {
        self.known.insert(path.into());
        let Some(text) = self.sources.text(path) else {
            let problem = Problem::of_source(path, "there is no such file".into());
            return self.map.problems.push(problem);
        };
        let parsed = match syn::parse_file(text) {
            Ok(parsed) => parsed,
            Err(why) => {
                let line = why.span().start().line;
                let problem = Problem::in_source(path, line, format!("cannot be parsed: {why}"));
                return self.map.problems.push(problem);
            }
        };
        self.map.files.push(SourceFile {
            path: path.into(),
            has_items: !parsed.items.is_empty(),
            first_definition: None,
            has_children: false,
        });
        let file = self.map.files.len() - 1;
        let parent = declared.map(|declared| declared.parent);
        let module: ModuleId = self.map.add_module(file, parent, false);
        if let Some(declared) = declared {
            let binding = Binding::Module(module);
            self.map
                .bind(declared.parent, declared.name.clone(), binding);
        }

        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = name.trim_end_matches(".rs");
        let own = if is_like_mod_rs || name == "mod.rs" {
            directory.to_string()
        } else {
            join(directory, stem)
        };
        let surroundings = Surroundings {
            file: path,
            directory,
            children: &own,
        };
        for declared in scan(&mut self.map, file, module, &parsed) {
            self.declared(&declared, &surroundings);
        }
    }

    fn declared(&mut self, declared: &DeclaredModule, surroundings: &Surroundings<'_>) {
        let inline = declared.inline.join("/");
        let directory = join(surroundings.children, &inline);
        // The path in an attribute is relative to the file, unless the declaration is in
        // an inline module: then it is relative to the directory of that.
        let start = if inline.is_empty() {
            surroundings.directory
        } else {
            &directory
        };
        let candidates = self.candidates(declared, start, &directory);

        if declared.only_for_tests {
            self.known
                .extend(candidates.into_iter().map(|(path, _)| path));
            let inside = join(&directory, &declared.name);
            self.test_directories.push(format!("{inside}/"));
        } else if candidates.is_empty() && !declared.has_body {
            let message = format!("there is no file for the module `{}`", declared.name);
            let problem = Problem::in_source(surroundings.file, declared.line, message);
            self.map.problems.push(problem);
        } else {
            for (path, is_like_mod_rs) in candidates {
                self.file(&path, Some(declared), is_like_mod_rs);
            }
        }
    }

    /// Returns the files that a module may be in, and whether each is like a `mod.rs`.
    /// With `cfg_attr` there may be several.
    fn candidates(
        &self,
        declared: &DeclaredModule,
        start: &str,
        directory: &str,
    ) -> Vec<(String, bool)> {
        let ModulePaths {
            fixed,
            alternatives,
        } = &declared.paths;
        let mut files = Vec::new();
        for path in alternatives.iter().chain(fixed) {
            files.push((join(start, path), true));
        }
        if fixed.is_none() {
            let place = join(directory, &declared.name);
            files.push((format!("{place}.rs"), false));
            files.push((format!("{place}/mod.rs"), false));
        }
        files.retain(|(path, _)| self.sources.text(path).is_some());
        files
    }

    /// Reports each file that belongs to no module.
    fn find_undeclared(&mut self) {
        for path in self.sources.files() {
            let is_for_tests = |directory: &String| path.starts_with(directory.as_str());
            if !self.known.contains(path) && !self.test_directories.iter().any(is_for_tests) {
                let message = "no module is declared for this file".into();
                self.map.problems.push(Problem::of_source(path, message));
            }
        }
    }
}

/// Joins two relative paths, of which either may be empty.
fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
