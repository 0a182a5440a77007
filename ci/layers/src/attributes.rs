//! What the attributes `cfg`, `cfg_attr` and `path` say.

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ForeignItem, ImplItem, Item, Lit, Meta, Token, TraitItem};

type Metas = Punctuated<Meta, Token![,]>;

/// Whether the attributes leave an item out of every build that is not for tests.
pub(crate) fn only_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args()
                    .is_ok_and(|predicate| needs_test(&predicate))
    })
}

/// Whether the predicate of a `cfg` is false without `test` and `doctest`.
fn needs_test(predicate: &Meta) -> bool {
    let path = predicate.path();
    if path.is_ident("test") || path.is_ident("doctest") {
        return true;
    }
    let Meta::List(list) = predicate else {
        return false;
    };
    let Ok(parts) = list.parse_args_with(Metas::parse_terminated) else {
        return false;
    };
    if path.is_ident("all") {
        parts.iter().any(needs_test)
    } else {
        path.is_ident("any") && !parts.is_empty() && parts.iter().all(needs_test)
    }
}

/// The files that the attributes of a module name.
#[derive(Default)]
pub(crate) struct ModulePaths {
    /// From `#[path = "..."]`: the file is there and nowhere else.
    pub(crate) fixed: Option<String>,
    /// From `#[cfg_attr(..., path = "...")]`: the file is there in some builds.
    pub(crate) alternatives: Vec<String>,
}

impl ModulePaths {
    pub(crate) fn of(attributes: &[Attribute]) -> ModulePaths {
        let mut paths = ModulePaths::default();
        for attribute in attributes {
            if let Some(path) = value_of_path(&attribute.meta) {
                paths.fixed = Some(path);
            } else if attribute.path().is_ident("cfg_attr") {
                // The first of them is the predicate.
                if let Ok(metas) = attribute.parse_args_with(Metas::parse_terminated) {
                    let given = metas.iter().skip(1).filter_map(value_of_path);
                    paths.alternatives.extend(given);
                }
            }
        }
        paths
    }
}

/// The text in `path = "text"`.
fn value_of_path(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn of_item(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

pub(crate) fn of_impl_item(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        ImplItem::Macro(item) => &item.attrs,
        _ => &[],
    }
}

pub(crate) fn of_trait_item(item: &TraitItem) -> &[Attribute] {
    match item {
        TraitItem::Const(item) => &item.attrs,
        TraitItem::Fn(item) => &item.attrs,
        TraitItem::Type(item) => &item.attrs,
        TraitItem::Macro(item) => &item.attrs,
        _ => &[],
    }
}

pub(crate) fn of_foreign_item(item: &ForeignItem) -> &[Attribute] {
    match item {
        ForeignItem::Fn(item) => &item.attrs,
        ForeignItem::Static(item) => &item.attrs,
        ForeignItem::Type(item) => &item.attrs,
        ForeignItem::Macro(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns the attributes of an expression that is a statement. Stable Rust has
/// no `cfg` on other expressions.
pub(crate) fn of_expression(expression: &Expr) -> &[Attribute] {
    match expression {
        Expr::Assign(expression) => &expression.attrs,
        Expr::Binary(expression) => &expression.attrs,
        Expr::Block(expression) => &expression.attrs,
        Expr::Call(expression) => &expression.attrs,
        Expr::ForLoop(expression) => &expression.attrs,
        Expr::If(expression) => &expression.attrs,
        Expr::Loop(expression) => &expression.attrs,
        Expr::Macro(expression) => &expression.attrs,
        Expr::Match(expression) => &expression.attrs,
        Expr::MethodCall(expression) => &expression.attrs,
        Expr::Path(expression) => &expression.attrs,
        Expr::Return(expression) => &expression.attrs,
        Expr::Struct(expression) => &expression.attrs,
        Expr::Try(expression) => &expression.attrs,
        Expr::Unsafe(expression) => &expression.attrs,
        Expr::While(expression) => &expression.attrs,
        _ => &[],
    }
}
