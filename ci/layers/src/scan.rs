use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, Block, Field, FieldValue, File, ForeignItem, Ident, ImplItem, Item, ItemImpl,
    ItemMacro, ItemMod, ItemUse, Local, Macro, Path, Stmt, TraitItem, Type, TypeParamBound,
    Variant, VisRestricted,
};

use crate::attributes::{self, ModulePaths, only_for_tests};
use crate::crate_map::{Binding, CrateMap, FileId, Mention, MentionKind, ModuleId, ROOT};
use crate::token_paths::token_paths;
use crate::use_tree::{ImportName, flatten};

/// A module that a file declares, and whose code is in another file.
pub(crate) struct DeclaredModule {
    pub(crate) parent: ModuleId,
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) paths: ModulePaths,
    /// The inline modules around the declaration, outermost first.
    pub(crate) inline: Vec<String>,
    /// It is built for tests only, so nothing in it counts.
    pub(crate) only_for_tests: bool,
    /// It is an inline module for tests. There is no file for it, but there may be
    /// files for the modules in it.
    pub(crate) has_body: bool,
}

/// Goes through the file of a module and enters what it finds into the map.
/// Returns the modules that are still to be found.
pub(crate) fn scan(
    map: &mut CrateMap,
    file: FileId,
    module: ModuleId,
    parsed: &File,
) -> Vec<DeclaredModule> {
    let mut scanner = Scanner {
        map,
        file,
        scope: module,
        inline: Vec::new(),
        declared: Vec::new(),
    };
    scanner.visit_file(parsed);
    scanner.declared
}

struct Scanner<'a> {
    map: &'a mut CrateMap,
    file: FileId,
    /// The module or block that the names here are looked up in.
    scope: ModuleId,
    inline: Vec<String>,
    declared: Vec<DeclaredModule>,
}

impl Scanner<'_> {
    fn define(&mut self, name: &Ident) {
        self.note_definition(name.span());
        let binding = Binding::Item(self.file);
        self.map.bind(self.scope, text(name), binding);
    }

    fn note_definition(&mut self, span: Span) {
        let line = span.start().line;
        let file = &mut self.map.files[self.file];
        file.first_definition.get_or_insert(line);
    }

    fn mention(&mut self, path: Vec<String>, line: usize, kind: MentionKind) {
        self.map.mentions.push(Mention {
            scope: self.scope,
            path,
            line,
            kind,
        });
    }

    fn mention_path(&mut self, path: &Path, kind: MentionKind) {
        // A path with a leading `::` names another crate.
        if path.leading_colon.is_none() {
            self.mention(segments(path), span_of(path).start().line, kind);
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for path in token_paths(tokens) {
            self.mention(path.segments, path.line, MentionKind::Code);
        }
    }

    /// Does some work with another module or block as the scope.
    fn within(&mut self, scope: ModuleId, work: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.scope, scope);
        work(self);
        self.scope = outer;
    }

    fn module(&mut self, item: &ItemMod) {
        let name = text(&item.ident);
        let only_for_tests = only_for_tests(&item.attrs);
        if item.content.is_none() || only_for_tests {
            self.map.files[self.file].has_children |= !only_for_tests;
            self.declared.push(DeclaredModule {
                parent: self.scope,
                name,
                line: item.ident.span().start().line,
                paths: ModulePaths::of(&item.attrs),
                inline: self.inline.clone(),
                only_for_tests,
                has_body: item.content.is_some(),
            });
        } else if let Some((_, items)) = &item.content {
            let module = self.map.add_module(self.file, Some(self.scope), false);
            self.map
                .bind(self.scope, name.clone(), Binding::Module(module));
            self.inline.push(name);
            self.within(module, |scanner| {
                for item in items {
                    scanner.visit_item(item);
                }
            });
            self.inline.pop();
        }
    }

    fn import(&mut self, item: &ItemUse) {
        for import in flatten(&item.tree) {
            let foreign = item.leading_colon.is_some();
            match import.name {
                // A name from another crate counts as defined by the file that imports it.
                ImportName::Named(name) if foreign => {
                    self.map.bind(self.scope, name, Binding::Item(self.file));
                }
                ImportName::Named(name) => {
                    let binding = Binding::Import(import.path.clone());
                    self.map.bind(self.scope, name, binding);
                }
                ImportName::Glob if !foreign => {
                    let path = import.path.clone();
                    self.map.modules[self.scope].globs.push(path);
                }
                ImportName::Glob | ImportName::Unnamed => {}
            }
            if !foreign {
                self.mention(import.path, import.line, MentionKind::Use);
            }
        }
    }

    fn item_macro(&mut self, item: &ItemMacro) {
        let call = &item.mac;
        if call.path.is_ident("compile_error") {
            return;
        }
        if let Some(name) = &item.ident {
            self.define(name);
            let exports = |attribute: &Attribute| attribute.path().is_ident("macro_export");
            if item.attrs.iter().any(exports) {
                // An exported macro has its path in the root, wherever it is defined.
                self.map.bind(ROOT, text(name), Binding::Item(self.file));
            }
            return self.tokens(call.tokens.clone());
        }
        self.mention_path(&call.path, MentionKind::MacroCall);
        // Macros such as `thread_local!` are given items, and define them.
        match syn::parse2::<File>(call.tokens.clone()) {
            Ok(body) if !body.items.is_empty() => self.visit_file(&body),
            _ => {
                self.note_definition(span_of(&call.path));
                self.tokens(call.tokens.clone());
            }
        }
    }

    fn inherent_impl(&mut self, item: &ItemImpl) {
        let Some(path) = self_type(&item.self_ty) else {
            return;
        };
        if item.trait_.is_none() && path.leading_colon.is_none() {
            self.map.inherent_impls.push(Mention {
                scope: self.scope,
                path: segments(path),
                line: span_of(path).start().line,
                kind: MentionKind::Code,
            });
        }
    }
}

impl<'ast> Visit<'ast> for Scanner<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(item) => return self.module(item),
            _ if only_for_tests(attributes::of_item(item)) => return,
            Item::Use(item) => return self.import(item),
            Item::ExternCrate(_) => return,
            Item::Macro(item) => return self.item_macro(item),
            Item::Const(item) => self.define(&item.ident),
            Item::Enum(item) => self.define(&item.ident),
            Item::Fn(item) => self.define(&item.sig.ident),
            Item::Impl(item) => {
                self.note_definition(item.impl_token.span);
                self.inherent_impl(item);
            }
            Item::Static(item) => self.define(&item.ident),
            Item::Struct(item) => self.define(&item.ident),
            Item::Trait(item) => self.define(&item.ident),
            Item::TraitAlias(item) => self.define(&item.ident),
            Item::Type(item) => self.define(&item.ident),
            Item::Union(item) => self.define(&item.ident),
            Item::Verbatim(tokens) => self.tokens(tokens.clone()),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_foreign_item(&mut self, item: &'ast ForeignItem) {
        if only_for_tests(attributes::of_foreign_item(item)) {
            return;
        }
        match item {
            ForeignItem::Fn(item) => self.define(&item.sig.ident),
            ForeignItem::Static(item) => self.define(&item.ident),
            ForeignItem::Type(item) => self.define(&item.ident),
            _ => {}
        }
        visit::visit_foreign_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !only_for_tests(attributes::of_impl_item(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if !only_for_tests(attributes::of_trait_item(item)) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if !only_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast FieldValue) {
        if !only_for_tests(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast Variant) {
        if !only_for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if !only_for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if !only_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Expr(expression, _) => attributes::of_expression(expression),
            Stmt::Macro(call) => &call.attrs,
            Stmt::Local(_) | Stmt::Item(_) => &[],
        };
        if !only_for_tests(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let has_names = |statement: &Stmt| matches!(statement, Stmt::Item(_));
        if block.stmts.iter().any(has_names) {
            let scope = self.map.add_module(self.file, Some(self.scope), true);
            self.within(scope, |scanner| visit::visit_block(scanner, block));
        } else {
            visit::visit_block(self, block);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.mention_path(path, MentionKind::Code);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.mention_path(&call.path, MentionKind::MacroCall);
        self.tokens(call.tokens.clone());
    }

    // Attributes (docs are attributes too) and `pub(in path)` do not use what they name.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

/// The path of the type that an `impl` is for; of the trait if it is `dyn Trait`.
fn self_type(ty: &Type) -> Option<&Path> {
    match ty {
        Type::Path(ty) => Some(&ty.path),
        Type::Group(group) => self_type(&group.elem),
        Type::Paren(paren) => self_type(&paren.elem),
        Type::TraitObject(object) => object.bounds.iter().find_map(|bound| match bound {
            TypeParamBound::Trait(bound) => Some(&bound.path),
            _ => None,
        }),
        _ => None,
    }
}

fn segments(path: &Path) -> Vec<String> {
    let idents = path.segments.iter().map(|segment| &segment.ident);
    idents.map(text).collect()
}

fn text(ident: &Ident) -> String {
    ident.unraw().to_string()
}

fn span_of(path: &Path) -> Span {
    let first = path.segments.first();
    first.map_or_else(Span::call_site, |segment| segment.ident.span())
}
