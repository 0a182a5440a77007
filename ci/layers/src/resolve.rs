use std::collections::BTreeSet;

use crate::crate_map::{Binding, CrateMap, FileId, Mention, MentionKind, ModuleId, ROOT};

/// Finds what paths name, as the compiler does, but without knowing types:
/// `Type::method` leads to the file of the type, and `value.method()` leads nowhere.
pub(crate) struct Resolver<'a> {
    map: &'a CrateMap,
}

/// Something in this crate that a path names. A path to another crate, a local
/// variable or a type parameter has no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// Something that the file defines.
    Item(FileId),
    Module(ModuleId),
}

type Targets = BTreeSet<Target>;

/// A path leads to a module in which its next name does not exist.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) name: String,
    /// The file of the module.
    pub(crate) file: FileId,
}

/// The imports and globs that are being followed. None of them is followed again
/// before it has an answer, so that imports in a circle come to an end.
type Trail = Vec<(ModuleId, Step)>;

#[derive(Clone, PartialEq)]
enum Step {
    /// An import: the name that it binds, and its position among the bindings of it.
    Import(String, usize),
    Glob(usize),
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(map: &'a CrateMap) -> Resolver<'a> {
        Resolver { map }
    }

    /// Returns the files that define what is mentioned. There are several if the name
    /// stands for a type and a function, say, or for another item under each `cfg`.
    pub(crate) fn files(&self, mention: &Mention) -> Result<BTreeSet<FileId>, Missing> {
        let path = &mention.path;
        let mut targets = self.walk(mention.scope, path, &mut Trail::new())?;
        if mention.kind == MentionKind::MacroCall && path.len() == 1 && targets.is_empty() {
            targets = self.textual_macro(mention.scope, &path[0]);
        }
        if mention.kind == MentionKind::Code && path.len() == 1 {
            // A module alone is no expression and no type. If a single name in code is
            // that of a module, it means a variable of the same name.
            targets.retain(|target| matches!(target, Target::Item(_)));
        }
        let file = |target| match target {
            Target::Item(file) => file,
            Target::Module(module) => self.map.modules[module].file,
        };
        Ok(targets.into_iter().map(file).collect())
    }

    fn walk(
        &self,
        scope: ModuleId,
        path: &[String],
        trail: &mut Trail,
    ) -> Result<Targets, Missing> {
        let (mut targets, rest) = self.start(scope, path, trail);
        for name in rest {
            targets = self.step(&targets, name, trail)?;
        }
        Ok(targets)
    }

    /// Returns what the path starts from, and the names that follow.
    fn start<'p>(
        &self,
        scope: ModuleId,
        path: &'p [String],
        trail: &mut Trail,
    ) -> (Targets, &'p [String]) {
        let Some((first, mut rest)) = path.split_first() else {
            return (Targets::new(), &[]);
        };
        let mut module = match first.as_str() {
            "crate" => ROOT,
            "self" => self.module_around(scope),
            "super" => self.parent(self.module_around(scope)),
            _ => return (self.in_scope(scope, first, trail), rest),
        };
        while let Some((next, behind)) = rest.split_first() {
            if next != "super" {
                break;
            }
            module = self.parent(module);
            rest = behind;
        }
        ([Target::Module(module)].into(), rest)
    }

    /// Returns what the name stands for inside of what the path has led to so far.
    fn step(&self, targets: &Targets, name: &str, trail: &mut Trail) -> Result<Targets, Missing> {
        let mut found = Targets::new();
        let mut missing = None;
        for target in targets {
            let Target::Module(module) = *target else {
                continue;
            };
            let members = self.members(module, name, trail);
            if members.is_empty() {
                // A macro may have defined the name, but not in a facade.
                let file = self.map.file_of(module);
                if file.defines() && !file.is_root() {
                    found.insert(Target::Item(self.map.modules[module].file));
                } else {
                    missing.get_or_insert(self.map.modules[module].file);
                }
            }
            found.extend(members);
        }
        if !targets.iter().any(|t| matches!(t, Target::Module(_))) {
            // Variants and associated items count as the file of their type or trait.
            return Ok(targets.clone());
        }
        match missing {
            Some(file) if found.is_empty() => Err(Missing {
                name: name.into(),
                file,
            }),
            _ => Ok(found),
        }
    }

    /// Returns what a name stands for in a scope. A block sees the names around it too.
    fn in_scope(&self, scope: ModuleId, name: &str, trail: &mut Trail) -> Targets {
        let mut scope = scope;
        loop {
            let found = self.members(scope, name, trail);
            let module = &self.map.modules[scope];
            match module.parent {
                Some(parent) if found.is_empty() && module.is_block => scope = parent,
                _ => return found,
            }
        }
    }

    /// Returns what a name stands for in a module. Its visibility does not matter.
    fn members(&self, module: ModuleId, name: &str, trail: &mut Trail) -> Targets {
        let names = &self.map.modules[module].names;
        let mut found = Targets::new();
        for (number, binding) in names.get(name).into_iter().flatten().enumerate() {
            match binding {
                Binding::Item(file) => {
                    found.insert(Target::Item(*file));
                }
                Binding::Module(child) => {
                    found.insert(Target::Module(*child));
                }
                Binding::Import(path) => {
                    let step = (module, Step::Import(name.into(), number));
                    if trail.contains(&step) {
                        continue;
                    }
                    trail.push(step);
                    let targets = self.walk(module, path, trail).unwrap_or_default();
                    trail.pop();
                    if targets.is_empty() {
                        // The name is from another crate, and this file hands it on.
                        found.insert(Target::Item(self.map.modules[module].file));
                    }
                    found.extend(targets);
                }
            }
        }
        let is_item = |target: &Target| matches!(target, Target::Item(_));
        if found.is_empty() {
            found = self.members_by_glob(module, name, trail);
        } else if !found.iter().any(is_item) {
            // A module hides no function of the same name that a glob imports.
            let more = self.members_by_glob(module, name, trail);
            found.extend(more.into_iter().filter(is_item));
        }
        found
    }

    fn members_by_glob(&self, module: ModuleId, name: &str, trail: &mut Trail) -> Targets {
        let mut found = Targets::new();
        for (number, path) in self.map.modules[module].globs.iter().enumerate() {
            let step = (module, Step::Glob(number));
            if trail.contains(&step) {
                continue;
            }
            trail.push(step);
            for target in self.walk(module, path, trail).unwrap_or_default() {
                if let Target::Module(source) = target {
                    found.extend(self.members(source, name, trail));
                }
            }
            trail.pop();
        }
        found
    }

    /// Looks for a macro without `macro_export`, which is in scope in the modules that
    /// are declared after it.
    fn textual_macro(&self, scope: ModuleId, name: &str) -> Targets {
        let mut next = Some(scope);
        while let Some(module) = next {
            let module = &self.map.modules[module];
            let found: Targets = module
                .names
                .get(name)
                .into_iter()
                .flatten()
                .filter_map(|binding| match binding {
                    Binding::Item(file) => Some(Target::Item(*file)),
                    _ => None,
                })
                .collect();
            if !found.is_empty() {
                return found;
            }
            next = module.parent;
        }
        Targets::new()
    }

    fn module_around(&self, scope: ModuleId) -> ModuleId {
        match &self.map.modules[scope] {
            block if block.is_block => block.parent.map_or(ROOT, |p| self.module_around(p)),
            _ => scope,
        }
    }

    fn parent(&self, module: ModuleId) -> ModuleId {
        let parent = self.map.modules[module].parent;
        parent.map_or(ROOT, |parent| self.module_around(parent))
    }
}
