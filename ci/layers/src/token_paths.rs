//! Finds paths in the tokens that a macro is given, or is defined by. Such tokens
//! need not be Rust, so they cannot be parsed. But names with `::` between them
//! are a path in nearly every macro.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use syn::Ident;
use syn::ext::IdentExt;

/// A path among tokens.
#[derive(Debug, PartialEq)]
pub(crate) struct TokenPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// Finds the paths among the tokens, and in the groups of them.
pub(crate) fn token_paths(tokens: TokenStream) -> Vec<TokenPath> {
    let mut paths = Vec::new();
    Reader::new(tokens).read(&mut paths);
    paths
}

struct Reader {
    tokens: Vec<TokenTree>,
    next: usize,
}

impl Reader {
    fn new(tokens: TokenStream) -> Reader {
        Reader {
            tokens: tokens.into_iter().collect(),
            next: 0,
        }
    }

    fn read(&mut self, paths: &mut Vec<TokenPath>) {
        while let Some(token) = self.tokens.get(self.next).cloned() {
            match token {
                TokenTree::Group(group) => {
                    self.next += 1;
                    if !(group.delimiter() == Delimiter::Parenthesis && self.is_visibility()) {
                        Reader::new(group.stream()).read(paths);
                    }
                }
                TokenTree::Ident(ident) => {
                    let names_something = self.may_begin_path(&ident);
                    let found = self.path(&ident, &[]);
                    if names_something {
                        paths.extend(found);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.next += 1,
            }
        }
    }

    /// Whether the group just read stands in `pub(crate)` or the like.
    fn is_visibility(&self) -> bool {
        self.next >= 2 && matches!(&self.tokens[self.next - 2], TokenTree::Ident(i) if i == "pub")
    }

    /// Whether the identifier that comes next may begin a path. A field or method after
    /// a dot, a lifetime, a metavariable, and a name after `::` do not.
    fn may_begin_path(&self, ident: &Ident) -> bool {
        match self.before(1) {
            // But in `a..b` the `b` may.
            Some('.') => self.before(2) == Some('.'),
            Some('\'') => false,
            Some('$') => ident == "crate",
            // But in `a: b` the `b` may.
            Some(':') => self.before(2) != Some(':'),
            _ => true,
        }
    }

    /// Returns the punctuation that is `distance` tokens before the next one.
    fn before(&self, distance: usize) -> Option<char> {
        match self.tokens.get(self.next.checked_sub(distance)?) {
            Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
            _ => None,
        }
    }

    /// Reads the path that begins with the identifier, which comes next. If the path
    /// ends in a group, as in `use a::{b, c}`, it stands for several.
    fn path(&mut self, first: &Ident, prefix: &[String]) -> Vec<TokenPath> {
        let line = first.span().start().line;
        let mut segments = prefix.to_vec();
        if first != "self" || prefix.is_empty() {
            segments.push(first.unraw().to_string());
        }
        self.next += 1;
        while self.is_at_colons() {
            match self.tokens.get(self.next + 2).cloned() {
                Some(TokenTree::Ident(ident)) => {
                    segments.push(ident.unraw().to_string());
                    self.next += 3;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.next += 3;
                    return group_paths(&group, &segments);
                }
                // A turbofish, a glob or a metavariable.
                _ => {
                    self.next += 2;
                    break;
                }
            }
        }
        vec![TokenPath { segments, line }]
    }

    fn is_at_colons(&self) -> bool {
        let is_colon = |at: usize, spacing: Option<Spacing>| match self.tokens.get(at) {
            Some(TokenTree::Punct(punct)) => {
                punct.as_char() == ':' && spacing.is_none_or(|spacing| punct.spacing() == spacing)
            }
            _ => false,
        };
        is_colon(self.next, Some(Spacing::Joint)) && is_colon(self.next + 1, None)
    }
}

/// The paths in the braces of `prefix::{...}`.
fn group_paths(group: &Group, prefix: &[String]) -> Vec<TokenPath> {
    let mut reader = Reader::new(group.stream());
    let mut paths = Vec::new();
    let mut is_new_name = false;
    while let Some(token) = reader.tokens.get(reader.next).cloned() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => {
                is_new_name = true;
                reader.next += 1;
            }
            TokenTree::Ident(_) if is_new_name => {
                is_new_name = false;
                reader.next += 1;
            }
            TokenTree::Ident(ident) => paths.extend(reader.path(&ident, prefix)),
            _ => reader.next += 1,
        }
    }
    paths
}
