//! The public items of the crate are those of `surface.txt`, so that a review sees each change.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use crate::sources;

/// Set this variable to write the file anew.
const RENEW: &str = "SWITCHBACK_RENEW_SURFACE";

/// Modules that share names with others, so that their items are listed with the module's.
const STD_SHAPED: [&str; 2] = ["thread", "sync"];

/// The list from which the getters of `HubMetrics` are made.
const METRICS: &str = "metrics!";
const METRICS_BEGIN: &str = "metrics! {";

/// Returns what a file declares as public, one item a line. This relies on rustfmt, which begins
/// each item on a line of its own, and indents what is in another one.
pub(crate) fn public(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The `impl`, trait or enum that the line is in, with its indentation.
    let mut around: Option<(usize, String)> = None;
    let mut derived = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if let Some(traits) = code.strip_prefix("#[derive(") {
            derived = traits.trim_end_matches(")]");
        }
        if code.starts_with("//") || code.starts_with("#[") {
            continue;
        }
        let derived = std::mem::take(&mut derived);
        let inside = around.as_ref().filter(|(of, _)| *of < indent);
        if code == "}" && inside.is_none() {
            around = None;
            continue;
        }
        let is_member = inside.is_some_and(|(of, head)| {
            let begins = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
            *of + 4 == indent
                && match head.split(' ').nth(1) {
                    Some("trait") => begins(&["fn ", "type "]),
                    Some("enum") => code.starts_with(char::is_uppercase),
                    _ => head == METRICS,
                }
        });
        let is_impl = code.starts_with("impl") || code.starts_with("unsafe impl");
        let is_macro = code.starts_with("macro_rules! fiber_local ") || code == METRICS_BEGIN;
        let is_public = code.starts_with("pub ") && !code.starts_with("pub use ");
        if !is_member && !is_impl && !is_macro && !is_public {
            continue;
        }
        let mut item = code.to_owned();
        while !is_whole(&item) {
            item.push(' ');
            item.push_str(lines.next().expect("the item ends").trim());
        }
        let head = head(&item);
        match inside {
            Some((_, around)) if !is_impl => found.push(format!("{around}: {head}")),
            _ if !is_impl || head.contains(" for ") => found.push(head.clone()),
            _ => {}
        }
        if let Some(name) = name(&head) {
            let traits = derived.split(", ").filter(|of| !of.is_empty());
            found.extend(traits.map(|of| format!("#[derive({of})] {name}")));
        }
        let has_members = ["impl", "unsafe impl", "pub trait ", "pub enum ", METRICS]
            .iter()
            .any(|begin| head.starts_with(begin));
        if has_members && item.ends_with('{') {
            around = Some((indent, head));
        }
    }
    found
}

fn is_whole(item: &str) -> bool {
    let open = item.matches(['(', '[']).count();
    let closed = item.matches([')', ']']).count();
    // The bounds of a `where` go on after a comma.
    let goes_on = item.ends_with(',') && item.contains(" where ");
    open == closed && item.ends_with(['{', ';', ',', '}']) && !goes_on
}

/// Returns an item without its body or value.
fn head(item: &str) -> String {
    let value = ["pub const ", "pub static "]
        .iter()
        .any(|begin| item.starts_with(begin))
        && !item.starts_with("pub const fn");
    let head = match item.split_once(" = ") {
        Some((head, _)) if value => head,
        _ => item,
    };
    // The fields of a tuple are private here.
    let head = match head.split_once('(') {
        Some((head, _)) if head.starts_with("pub struct ") => head,
        _ => head,
    };
    head.trim_end_matches("{}")
        .trim_end_matches(['{', ';', ','])
        .trim_end()
        .trim_end_matches(',')
        .to_owned()
}

/// Whether an `impl` of a trait concerns users: it names one of the public types or traits.
fn is_of(head: &str, names: &BTreeSet<&str>) -> bool {
    let mut words = head.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| names.contains(word))
}

fn name(head: &str) -> Option<&str> {
    let mut words = head.strip_prefix("pub ")?.split(' ');
    matches!(words.next(), Some("struct" | "enum" | "trait")).then_some(())?;
    words.next()?.split(['<', '(', ':', ';']).next()
}

/// Returns what precedes the items of a file in the list.
fn module(path: &Path) -> String {
    let path = path.strip_prefix(sources::root()).unwrap();
    let folder = path.iter().next().unwrap().to_str().unwrap();
    match STD_SHAPED.contains(&folder) {
        true => format!("{folder}: "),
        false => String::new(),
    }
}

#[test]
fn the_public_items_are_those_of_the_list() {
    let found: Vec<(String, String)> = sources::read()
        .iter()
        .flat_map(|(path, text)| {
            let module = module(path);
            public(text)
                .into_iter()
                .map(move |head| (module.clone(), head))
        })
        .collect();
    let names: BTreeSet<&str> = found.iter().filter_map(|(_, head)| name(head)).collect();
    let concerns = |(_, head): &&(String, String)| {
        let is_impl = head.starts_with("impl") || head.starts_with("unsafe impl");
        !is_impl || head.contains(": pub ") || is_of(head, &names)
    };
    let of_module = |(module, head): &(String, String)| format!("{module}{head}");
    let listed: BTreeSet<String> = found.iter().filter(concerns).map(of_module).collect();
    let mut text = listed.into_iter().collect::<Vec<_>>().join("\n");
    text.push('\n');

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/surface.txt");
    if env::var_os(RENEW).is_some() {
        fs::write(&path, &text).unwrap();
    }
    let held = fs::read_to_string(&path).unwrap();
    let difference = |of: &str, from: &str, sign| -> String {
        let from: BTreeSet<&str> = from.lines().collect();
        let only = of.lines().filter(|line| !from.contains(line));
        only.map(|line| format!("{sign} {line}\n")).collect()
    };
    assert!(
        held == text,
        "the public items differ from tests/api/surface.txt; if that is meant, run the test with \
         {RENEW}=1, and commit the file:\n{}{}",
        difference(&held, &text, '-'),
        difference(&text, &held, '+'),
    );
}

#[test]
fn a_public_item_is_listed_by_its_head() {
    let text = "
/// Docs.
#[derive(Clone, Debug)]
#[must_use]
pub struct Thing<T> {
    private: T,
}

impl<T: Clone> Thing<T> {
    pub fn new<F>(
        f: F,
        count: usize,
    ) -> Thing<T>
    where
        F: FnOnce() -> T,
        T: Send,
    {
        pub(crate) fn inner() {}
    }

    fn private() {}
}

pub enum Kind {
    One,
    Two(u32),
}

pub trait Does {
    fn it(&self) -> u32 {
        1
    }
}

impl<T> Does for Thing<T> {
    fn it(&self) -> u32 {
        2
    }
}

pub use other::{
    A,
    B,
};
pub struct Tuple(u32);
metrics! {
    /// Docs.
    figure: usize,
}
pub const LIMIT: usize = 3;
";
    let expected = [
        "pub struct Thing<T>",
        "#[derive(Clone)] Thing",
        "#[derive(Debug)] Thing",
        "impl<T: Clone> Thing<T>: pub fn new<F>( f: F, count: usize, ) -> Thing<T> where F: FnOnce() -> T, T: Send",
        "pub enum Kind",
        "pub enum Kind: One",
        "pub enum Kind: Two(u32)",
        "pub trait Does",
        "pub trait Does: fn it(&self) -> u32",
        "impl<T> Does for Thing<T>",
        "pub struct Tuple",
        "metrics!",
        "metrics!: figure: usize",
        "pub const LIMIT: usize",
    ];
    assert_eq!(public(text), expected);
}
