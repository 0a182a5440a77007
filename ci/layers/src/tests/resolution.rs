//! Which file a path leads to.

use super::graph;
use crate::sources::Sources;

/// What `user.rs` uses if it has this text, in a crate with a file `plain.rs` and
/// with a folder behind a facade.
fn used_by(text: &str) -> String {
    let graph = graph(&Sources::from([
        (
            "lib.rs",
            "mod folder; mod plain; mod user; pub use folder::Exported;",
        ),
        (
            "folder/mod.rs",
            "mod one; mod two; pub(crate) use one::{One, one}; pub use self::two::*;",
        ),
        (
            "folder/one.rs",
            "pub(crate) struct One; pub(crate) fn one() {}",
        ),
        (
            "folder/two.rs",
            "pub struct Exported; pub enum Two { A, B } pub fn two() {}",
        ),
        (
            "plain.rs",
            "pub fn plain() {} pub struct Plain; pub mod inside { pub fn deep() {} }
             thread_local! { pub static CELL: u8 = const { 0 }; }
             pub use std::sync::Mutex;",
        ),
        ("user.rs", text),
    ]));
    let line = graph.lines().find_map(|line| line.strip_prefix("user.rs:"));
    line.unwrap_or_default().trim().into()
}

#[test]
fn imports_lead_to_the_file_that_defines_the_name() {
    for (text, used) in [
        ("use crate::plain::plain;", "plain.rs"),
        ("use crate::plain;", "plain.rs"),
        ("use crate::plain::*;", "plain.rs"),
        ("use super::plain::Plain as P;", "plain.rs"),
        ("use crate::plain::Plain as _;", "plain.rs"),
        ("use crate::plain::inside::deep;", "plain.rs"),
        ("use crate::plain::CELL;", "plain.rs"),
        (
            "use super::{self as root}; fn f() { root::plain::plain(); }",
            "plain.rs",
        ),
        (
            "mod inner { use super::*; } use crate::plain as p; fn f() { inner::p::plain(); }",
            "plain.rs",
        ),
        (
            "mod inner { use super::super::*; fn f() { plain::plain(); } }",
            "plain.rs",
        ),
        ("use crate::folder::One;", "folder/one.rs"),
        ("use crate::folder::one;", "folder/one.rs"),
        ("use crate::folder::Two::A;", "folder/two.rs"),
        ("use crate::folder::Two::{self, B};", "folder/two.rs"),
        ("use crate::Exported;", "folder/two.rs"),
        (
            "use crate::{folder::{One as O, two}, plain::{self, Plain}};",
            "folder/one.rs folder/two.rs plain.rs",
        ),
        // What a file hands on from another crate is used from that file.
        ("use crate::plain::Mutex;", "plain.rs"),
    ] {
        assert_eq!(used_by(text), used, "{text}");
    }
}

#[test]
fn paths_in_code_count_like_imports() {
    for (text, used) in [
        ("fn f() { crate::plain::plain(); }", "plain.rs"),
        ("fn f(_: &crate::folder::One) {}", "folder/one.rs"),
        ("fn f() -> Vec<super::plain::Plain> { vec![] }", "plain.rs"),
        (
            "fn f(x: u8) { match x { _ if let crate::folder::Two::A = x => {} } }",
            "folder/two.rs",
        ),
        ("impl Drop for crate::folder::One {}", "folder/one.rs"),
        (
            "fn f() { <crate::plain::Plain as Default>::default(); }",
            "plain.rs",
        ),
        (
            "mod inner { fn f() { super::super::plain::plain(); } }",
            "plain.rs",
        ),
    ] {
        assert_eq!(used_by(text), used, "{text}");
    }
}

#[test]
fn names_behind_an_imported_module_are_found() {
    for (text, used) in [
        ("use crate::folder;", ""),
        (
            "use crate::folder; fn f() { folder::one(); }",
            "folder/one.rs",
        ),
        (
            "use crate::folder as other; fn f(_: other::Two) {}",
            "folder/two.rs",
        ),
        ("use crate::folder::*; fn f() { two(); }", "folder/two.rs"),
        (
            "use crate::folder::{self}; fn f() { folder::two(); }",
            "folder/two.rs",
        ),
        // An import in a block is known there and further in, and nowhere else.
        (
            "fn f() { use crate::folder; { folder::one(); } }",
            "folder/one.rs",
        ),
        (
            "fn f() { use crate::folder; } fn g() { folder::one(); }",
            "",
        ),
    ] {
        assert_eq!(used_by(text), used, "{text}");
    }
}

#[test]
fn macros_are_looked_into() {
    for (text, used) in [
        ("fn f() { assert!(crate::plain::plain()); }", "plain.rs"),
        (
            "use crate::folder; fn f() { println!(\"{}\", folder::one()); }",
            "folder/one.rs",
        ),
        (
            "macro_rules! m { () => { $crate::folder::two() }; }",
            "folder/two.rs",
        ),
        (
            "macro_rules! m { () => { use crate::{plain::Plain, folder::One as P}; }; }",
            "folder/one.rs plain.rs",
        ),
        (
            "thread_local! { static X: super::plain::Plain = f(); }",
            "plain.rs",
        ),
        ("call! { with crate::plain::plain }", "plain.rs"),
        ("call! { pub(in crate::plain) x.crate::plain }", ""),
    ] {
        assert_eq!(used_by(text), used, "{text}");
    }
}

#[test]
fn some_things_do_not_count() {
    for text in [
        "// crate::plain::plain",
        "//! [`plain`](crate::plain::plain)\nfn f() {}",
        "/// [`crate::plain`]\nfn f() {}",
        "#[cfg(test)] use crate::plain::plain;",
        "#[cfg(all(unix, test))] fn f() { crate::plain::plain() }",
        "#[cfg(test)] mod tests { use crate::plain::plain; }",
        "#[test] fn f() { crate::plain::plain() }",
        "struct S; impl S { #[cfg(test)] fn f() { crate::plain::plain() } }",
        "struct S { #[cfg(test)] field: crate::plain::Plain }",
        "fn f() { #[cfg(test)] crate::plain::plain(); }",
        "fn f() { #[cfg(test)] let x = crate::plain::plain(); }",
        "pub(in crate::plain) fn f() {}",
        "fn f() { let plain = 1; g(plain); }",
        "use std::sync::Mutex; fn f() { Mutex::new(()); ::plain::plain(); }",
        "use self::own::Thing; mod own { pub struct Thing; }",
    ] {
        assert_eq!(used_by(text), "", "{text}");
    }
}

#[test]
fn what_may_exist_outside_of_tests_counts() {
    for text in [
        "#[cfg(any(test, unix))] use crate::plain::plain;",
        "#[cfg(not(test))] use crate::plain::plain;",
        "#[cfg(unix)] use crate::plain::plain;",
    ] {
        assert_eq!(used_by(text), "plain.rs", "{text}");
    }
}

#[test]
fn a_function_may_have_the_name_of_its_module() {
    let sources = Sources::from([
        ("lib.rs", "mod join; mod user; pub use join::packet;"),
        (
            "join/mod.rs",
            "mod packet; pub use packet::{Packet, packet};",
        ),
        ("join/packet.rs", "pub struct Packet; pub fn packet() {}"),
        ("user.rs", "use crate::join::packet; fn f() { packet(); }"),
    ]);
    assert_eq!(
        graph(&sources),
        "join/packet.rs:\nuser.rs: join/packet.rs\n"
    );
}

#[test]
fn an_exported_macro_stands_in_the_root() {
    let sources = Sources::from([
        ("lib.rs", "mod local; mod user;"),
        (
            "local.rs",
            "#[macro_export] macro_rules! local { () => {}; }",
        ),
        ("user.rs", "fn f() { crate::local!(); }"),
    ]);
    assert_eq!(graph(&sources), "local.rs:\nuser.rs: local.rs\n");
}

#[test]
fn globs_that_import_each_other_end() {
    let sources = Sources::from([
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "pub use crate::b::*; pub struct A; fn f() { b(); c(); }",
        ),
        ("b.rs", "pub use crate::a::*; pub fn b() {}"),
    ]);
    assert_eq!(graph(&sources), "a.rs: b.rs\nb.rs: a.rs\n");
}
