//! In which files modules are found.

use super::{graph, problems};
use crate::sources::Sources;

#[test]
fn a_path_attribute_names_the_file() {
    let sources = Sources::from([
        ("lib.rs", "mod stack; mod user;"),
        (
            "stack/mod.rs",
            r#"#[cfg(unix)] #[path = "linux/mod.rs"] mod sys;
               #[cfg(not(unix))] #[path = "system.rs"] mod sys;
               pub use self::sys::Stack;"#,
        ),
        ("stack/linux/mod.rs", "mod slab; pub use slab::Stack;"),
        ("stack/linux/slab.rs", "pub struct Stack;"),
        ("stack/system.rs", "pub struct Stack;"),
        ("user.rs", "use crate::stack::Stack;"),
    ]);
    let expected = "stack/linux/slab.rs:\nstack/system.rs:\n\
                    user.rs: stack/linux/slab.rs stack/system.rs\n";
    assert_eq!(graph(&sources), expected);
}

#[test]
fn a_conditional_path_is_another_file_of_the_module() {
    let sources = Sources::from([
        (
            "lib.rs",
            r#"mod user; #[cfg_attr(any(windows), path = "no_set.rs")] mod set;"#,
        ),
        ("set.rs", "pub struct Set;"),
        ("no_set.rs", "pub struct Set;"),
        ("user.rs", "use crate::set::Set;"),
    ]);
    let expected = "no_set.rs:\nset.rs:\nuser.rs: no_set.rs set.rs\n";
    assert_eq!(graph(&sources), expected);
}

#[test]
fn child_modules_of_a_plain_file_stand_in_its_folder() {
    let sources = Sources::from([
        ("lib.rs", "mod a;"),
        ("a.rs", "mod b; mod inline { mod c; }"),
        ("a/b.rs", "use super::inline; struct B;"),
        ("a/inline/c.rs", "use super::super::b::B; struct C;"),
    ]);
    assert_eq!(graph(&sources), "a/b.rs:\na/inline/c.rs: a/b.rs\n");
}

#[test]
fn modules_in_a_macro_call_are_found() {
    let sources = Sources::from([
        ("lib.rs", "cfg_io! { mod a; pub use a::A; } mod user;"),
        ("a.rs", "pub struct A;"),
        ("user.rs", "use crate::A;"),
    ]);
    assert_eq!(graph(&sources), "a.rs:\nuser.rs: a.rs\n");
}

#[test]
fn files_for_tests_and_of_docs_do_not_count() {
    let sources = Sources::from([
        (
            "lib.rs",
            "mod a; pub mod guide; #[cfg(all(test, loom))] mod models; #[cfg(test)] mod tests;",
        ),
        ("a.rs", "struct A; #[cfg(test)] mod tests { mod more; }"),
        ("a/tests/more.rs", "use crate::b::B;"),
        ("guide/mod.rs", "//! A guide.\npub mod page;"),
        ("guide/page.rs", "//! A page."),
        ("models.rs", "use crate::a::B; struct Model;"),
        ("tests/mod.rs", "mod one;"),
        ("tests/one.rs", "struct Test;"),
    ]);
    assert_eq!(graph(&sources), "a.rs:\n");
}

#[test]
fn every_file_belongs_to_a_module_and_every_module_has_a_file() {
    let sources = Sources::from([
        ("lib.rs", "\nmod gone;"),
        ("forgotten.rs", "struct Forgotten;"),
    ]);
    let expected = [
        "src/forgotten.rs: no module is declared for this file",
        "src/lib.rs:2: there is no file for the module `gone`",
    ];
    assert_eq!(problems(&sources, ""), expected);
}

#[test]
fn a_file_that_cannot_be_parsed_is_named() {
    let sources = Sources::from([("lib.rs", "mod a;"), ("a.rs", "struct A;\nstruct;")]);
    let problems = problems(&sources, "");
    assert!(
        problems[0].starts_with("src/a.rs:2: cannot be parsed: expected"),
        "{problems:?}"
    );
}
