use std::collections::BTreeMap;

use crate::problem::Problem;

/// A file, by its position in [`CrateMap::files`].
pub(crate) type FileId = usize;

/// A module, by its position in [`CrateMap::modules`].
pub(crate) type ModuleId = usize;

/// The module of `lib.rs`.
pub(crate) const ROOT: ModuleId = 0;

/// What the sources of a crate say, before any of the names is resolved.
#[derive(Default)]
pub(crate) struct CrateMap {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: Vec<Module>,
    /// Every path that is imported or written out in code.
    pub(crate) mentions: Vec<Mention>,
    /// The type of each inherent `impl`, at the place of the `impl`.
    pub(crate) inherent_impls: Vec<Mention>,
    /// What was wrong with the files themselves.
    pub(crate) problems: Vec<Problem>,
}

/// A source file of the crate that is not for tests only.
pub(crate) struct SourceFile {
    /// Relative to `src`.
    pub(crate) path: String,
    /// Whether there is more in it than docs.
    pub(crate) has_items: bool,
    /// The line of the first thing that it defines itself.
    pub(crate) first_definition: Option<usize>,
    /// Whether it declares modules that are files of their own.
    pub(crate) has_children: bool,
}

impl SourceFile {
    pub(crate) fn is_root(&self) -> bool {
        self.path == "lib.rs"
    }

    /// Whether the file is one of those that use each other. `lib.rs`, files of docs
    /// and facades, which only hand on the names of their children, are not.
    pub(crate) fn counts(&self) -> bool {
        let is_facade = self.is_place_of_facade() && !self.defines();
        self.has_items && !self.is_root() && !is_facade
    }

    /// Whether it has a definition of its own.
    pub(crate) fn defines(&self) -> bool {
        self.first_definition.is_some()
    }

    /// Whether the file has to be a facade: it is a `mod.rs`, or has child modules in
    /// files of their own.
    pub(crate) fn is_place_of_facade(&self) -> bool {
        let name = self.path.rsplit('/').next();
        !self.is_root() && (self.has_children || name == Some("mod.rs"))
    }
}

/// A module, or a block of code that has names of its own.
pub(crate) struct Module {
    pub(crate) file: FileId,
    /// The module around it.
    pub(crate) parent: Option<ModuleId>,
    /// Whether it is a block: `self` and `super` then mean the module around it, whose
    /// names are in scope too.
    pub(crate) is_block: bool,
    /// A name may stand for a module, a function and a macro at once, and for other
    /// ones under each `cfg`.
    pub(crate) names: BTreeMap<String, Vec<Binding>>,
    /// The modules that are imported with `*`.
    pub(crate) globs: Vec<Vec<String>>,
}

/// What a name in a module stands for.
#[derive(Clone)]
pub(crate) enum Binding {
    /// An item that this file defines.
    Item(FileId),
    Module(ModuleId),
    /// Whatever this path names, which is imported.
    Import(Vec<String>),
}

/// A path in the sources.
pub(crate) struct Mention {
    pub(crate) scope: ModuleId,
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) kind: MentionKind,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum MentionKind {
    Use,
    Code,
    /// The name of a macro that is called.
    MacroCall,
}

impl CrateMap {
    pub(crate) fn add_module(
        &mut self,
        file: FileId,
        parent: Option<ModuleId>,
        is_block: bool,
    ) -> ModuleId {
        self.modules.push(Module {
            file,
            parent,
            is_block,
            names: BTreeMap::new(),
            globs: Vec::new(),
        });
        self.modules.len() - 1
    }

    pub(crate) fn bind(&mut self, module: ModuleId, name: String, binding: Binding) {
        let names = &mut self.modules[module].names;
        names.entry(name).or_default().push(binding);
    }

    /// The file in which a module, or a block of it, stands.
    pub(crate) fn file_of(&self, module: ModuleId) -> &SourceFile {
        &self.files[self.modules[module].file]
    }
}
