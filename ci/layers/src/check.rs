use std::collections::BTreeSet;
use std::fmt;

use crate::crate_map::{CrateMap, FileId, Mention};
use crate::graph::{Graph, Use};
use crate::order::{Exception, Order};
use crate::problem::Problem;
use crate::resolve::Resolver;

/// A circle of more files than this is an error, even if an exception lists them.
const MAX_CIRCLE: usize = 3;

/// What a check has found.
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    pub(crate) figures: Figures,
}

/// The size of a crate.
pub(crate) struct Figures {
    pub(crate) files: usize,
    pub(crate) layers: usize,
    /// The paths of the files of the largest circle.
    pub(crate) largest_circle: Vec<String>,
}

/// Checks the files of a crate.
pub(crate) fn check(map: &CrateMap, graph: &Graph<'_>, order: &Order) -> Report {
    let mut checker = Checker {
        map,
        graph,
        order,
        problems: Vec::new(),
    };
    checker.problems.extend(map.problems.iter().cloned());
    checker.problems.extend(graph.problems.iter().cloned());
    checker.coverage();
    checker.facades();
    checker.inherent_impls();
    checker.order();
    checker.circles_in_layers();
    checker.exceptions();
    let largest_circle = checker.largest_circle();
    Report {
        problems: checker.problems,
        figures: Figures {
            files: graph.files().len(),
            layers: order.layers.len(),
            largest_circle,
        },
    }
}

struct Checker<'a> {
    map: &'a CrateMap,
    graph: &'a Graph<'a>,
    order: &'a Order,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn path(&self, file: FileId) -> &'a str {
        &self.map.files[file].path
    }

    fn layer_of(&self, file: FileId) -> Option<usize> {
        self.order.layer_of(self.path(file))
    }

    /// Returns what messages call a layer.
    fn layer(&self, layer: usize) -> String {
        format!("layer {} (`{}`)", layer + 1, self.order.layers[layer].path)
    }

    fn order_problem(&mut self, line: usize, message: String) {
        let problem = Problem::at(self.order.file.clone(), line, message);
        self.problems.push(problem);
    }

    /// Checks that each file is in one layer, and that each layer has files.
    fn coverage(&mut self) {
        let files = self.graph.files();
        for file in &files {
            let path = self.path(*file);
            let layers = self.order.layers.iter();
            let covering: Vec<String> = layers
                .filter(|layer| layer.covers(path))
                .map(|layer| format!("`{}`, line {}", layer.path, layer.line))
                .collect();
            let message = match covering.as_slice() {
                [] => format!("is in no layer of {}", self.order.file),
                [_] => continue,
                several => format!(
                    "is in several layers of {}: {}",
                    self.order.file,
                    several.join("; ")
                ),
            };
            self.problems.push(Problem::of_source(path, message));
        }
        for layer in &self.order.layers {
            if !files.iter().any(|file| layer.covers(self.path(*file))) {
                self.order_problem(
                    layer.line,
                    format!("the layer `{}` has no files", layer.path),
                );
            }
        }
    }

    /// Checks that a `mod.rs`, or a file with child modules, defines nothing.
    fn facades(&mut self) {
        for file in &self.map.files {
            let Some(line) = file.first_definition else {
                continue;
            };
            if file.is_place_of_facade() {
                let message = "a mod.rs is a facade or a noun, not both: what is defined here \
                               belongs in a file of its own, without child modules";
                let problem = Problem::in_source(&file.path, line, message.into());
                self.problems.push(problem);
            }
        }
    }

    /// Checks that the methods of a type are in its file.
    fn inherent_impls(&mut self) {
        let resolver = Resolver::new(self.map);
        for place in &self.map.inherent_impls {
            let file = self.map.modules[place.scope].file;
            // A name that is not found has been reported by the graph.
            let definers = resolver.files(place).unwrap_or_default();
            if !definers.is_empty() && !definers.contains(&file) {
                self.inherent_impl_elsewhere(place, &definers);
            }
        }
    }

    fn inherent_impl_elsewhere(&mut self, place: &Mention, definers: &BTreeSet<FileId>) {
        let definers: Vec<String> = definers
            .iter()
            .map(|file| format!("src/{}", self.path(*file)))
            .collect();
        let message = format!(
            "has methods of `{}`, which {} defines: they belong there",
            place.path.join("::"),
            definers.join(" or ")
        );
        let file = &self.map.file_of(place.scope).path;
        self.problems
            .push(Problem::in_source(file, place.line, message));
    }

    /// Checks that no file uses one of a higher layer.
    fn order(&mut self) {
        for one in &self.graph.uses {
            let layers = (self.layer_of(one.user), self.layer_of(one.definer));
            let (Some(own), Some(other)) = layers else {
                continue;
            };
            if other > own {
                let message = format!(
                    "names `{}`, which src/{} defines: {} may not use the higher {}",
                    one.path,
                    self.path(one.definer),
                    self.layer(own),
                    self.layer(other)
                );
                let problem = Problem::in_source(self.path(one.user), one.line, message);
                self.problems.push(problem);
            }
        }
    }

    /// Checks that circles inside of a layer are exceptions.
    fn circles_in_layers(&mut self) {
        let files = self.graph.files();
        for layer in 0..self.order.layers.len() {
            let of_layer = |file: &&FileId| self.layer_of(**file) == Some(layer);
            let inside: Vec<FileId> = files.iter().filter(of_layer).copied().collect();
            for circle in self.graph.circles(&inside) {
                let exceptions = &self.order.exceptions;
                if !exceptions.iter().any(|one| self.covers(one, &circle)) {
                    self.circle(layer, &circle);
                }
            }
        }
    }

    /// Whether the exception names all files of the circle.
    fn covers(&self, exception: &Exception, circle: &[FileId]) -> bool {
        circle.iter().all(|file| {
            let path = self.path(*file);
            exception.files.iter().any(|other| other == path)
        })
    }

    fn circle(&mut self, layer: usize, circle: &[FileId]) {
        let inside: Vec<&Use> = self
            .graph
            .uses
            .iter()
            .filter(|one| circle.contains(&one.user) && circle.contains(&one.definer))
            .collect();
        let mut message = format!(
            "is the first of {} files in a circle, inside {}:",
            circle.len(),
            self.layer(layer)
        );
        for one in &inside {
            message.push_str(&format!(
                "\n    src/{}:{} names `{}` of src/{}",
                self.path(one.user),
                one.line,
                one.path,
                self.path(one.definer)
            ));
        }
        let problem = Problem::of_source(self.path(circle[0]), message);
        self.problems.push(problem);
    }

    /// Checks that an exception is for files of one layer, and still needed for each.
    fn exceptions(&mut self) {
        let files = self.graph.files();
        for exception in &self.order.exceptions {
            let named = |file: &&FileId| {
                let path = self.path(**file);
                exception.files.iter().any(|other| other == path)
            };
            let found: Vec<FileId> = files.iter().filter(named).copied().collect();
            let layers: BTreeSet<_> = found.iter().map(|file| self.layer_of(*file)).collect();
            let in_circle: BTreeSet<FileId> =
                self.graph.circles(&found).into_iter().flatten().collect();
            for path in &exception.files {
                let file = found.iter().find(|file| self.path(**file) == path);
                let message = match file {
                    None => format!("the exception names `{path}`, which is no file of the crate"),
                    Some(file) if !in_circle.contains(file) => format!(
                        "the exception names `{path}`, which is in no circle with the others"
                    ),
                    Some(_) => continue,
                };
                self.order_problem(exception.line, message);
            }
            if layers.len() > 1 {
                let message = "the files of an exception have to be of one layer";
                self.order_problem(exception.line, message.into());
            }
        }
    }

    /// Checks the size of the largest circle, which may span layers, and returns it.
    fn largest_circle(&mut self) -> Vec<String> {
        let circles = self.graph.circles(&self.graph.files());
        let largest = circles.into_iter().max_by_key(Vec::len).unwrap_or_default();
        let paths: Vec<String> = largest
            .iter()
            .map(|file| self.path(*file).to_string())
            .collect();
        if paths.len() > MAX_CIRCLE {
            let message = format!(
                "is the first of {} files in a circle, where {MAX_CIRCLE} are allowed at the most",
                paths.len()
            );
            self.problems.push(Problem::of_source(&paths[0], message));
        }
        paths
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files in {} layers; ", self.files, self.layers)?;
        match self.largest_circle.as_slice() {
            [] => write!(f, "there is no circle"),
            circle => write!(
                f,
                "the largest circle has {} files: {}",
                circle.len(),
                circle.join(" ")
            ),
        }
    }
}
