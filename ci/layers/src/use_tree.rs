use syn::UseTree;
use syn::ext::IdentExt;

/// One of the paths that a `use` brings in.
#[derive(Debug, PartialEq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) name: ImportName,
    pub(crate) line: usize,
}

/// The name that an import gets.
#[derive(Debug, PartialEq)]
pub(crate) enum ImportName {
    Named(String),
    /// `as _`
    Unnamed,
    /// `*`: the path is that of the module.
    Glob,
}

/// Takes the tree of a `use` apart into its paths.
pub(crate) fn flatten(tree: &UseTree) -> Vec<Import> {
    let mut imports = Vec::new();
    add(tree, &[], 0, &mut imports);
    imports
}

/// `line` is that of the last name in `prefix`.
fn add(tree: &UseTree, prefix: &[String], line: usize, imports: &mut Vec<Import>) {
    let extended = |ident: &syn::Ident| {
        let mut path = prefix.to_vec();
        // In `a::{self}` the `self` names what stands before.
        if ident != "self" || prefix.is_empty() {
            path.push(ident.unraw().to_string());
        }
        path
    };
    match tree {
        UseTree::Path(path) => {
            let line = path.ident.span().start().line;
            add(&path.tree, &extended(&path.ident), line, imports);
        }
        UseTree::Name(name) => {
            let path = extended(&name.ident);
            let last = path.last().cloned().unwrap_or_default();
            imports.push(Import {
                path,
                name: ImportName::Named(last),
                line: name.ident.span().start().line,
            });
        }
        UseTree::Rename(rename) => {
            let name = if rename.rename == "_" {
                ImportName::Unnamed
            } else {
                ImportName::Named(rename.rename.unraw().to_string())
            };
            imports.push(Import {
                path: extended(&rename.ident),
                name,
                line: rename.ident.span().start().line,
            });
        }
        UseTree::Glob(_) => imports.push(Import {
            path: prefix.to_vec(),
            name: ImportName::Glob,
            line,
        }),
        UseTree::Group(group) => {
            for tree in &group.items {
                add(tree, prefix, line, imports);
            }
        }
    }
}
