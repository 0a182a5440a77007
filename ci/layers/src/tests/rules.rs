//! What is an error, and how it is told.

use super::{NONE, problems};
use crate::sources::Sources;

#[test]
fn a_file_may_use_lower_layers_only() {
    let sources = Sources::from([
        ("lib.rs", "mod base; mod hub;"),
        ("base/mod.rs", "mod list;"),
        (
            "base/list.rs",
            "pub struct List;\nuse crate::hub;\nuse crate::hub::Hub;\nfn f(_: Hub) {}",
        ),
        ("hub/mod.rs", "mod core; pub use core::Hub;"),
        (
            "hub/core.rs",
            "use crate::base::list::List; pub struct Hub;",
        ),
    ]);
    assert_eq!(
        problems(&sources, "base/\nhub/"),
        [
            "src/base/list.rs:3: names `crate::hub::Hub`, which src/hub/core.rs defines: layer 1 \
             (`base/`) may not use the higher layer 2 (`hub/`)"
        ]
    );
}

#[test]
fn each_file_is_in_one_layer_and_each_layer_has_files() {
    let sources = Sources::from([
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "struct A;"),
        ("b/mod.rs", "mod x;"),
        ("b/x.rs", "struct X;"),
        ("c.rs", "struct C;"),
    ]);
    assert_eq!(
        problems(&sources, "a.rs\nb/\nb/x.rs\nd/"),
        [
            "order.txt:4: the layer `d/` has no files",
            "src/b/x.rs: is in several layers of order.txt: `b/`, line 2; `b/x.rs`, line 3",
            "src/c.rs: is in no layer of order.txt",
        ]
    );
}

#[test]
fn a_mod_rs_defines_nothing() {
    let told = |text: &str| {
        let sources = Sources::from([
            ("lib.rs", "mod a;"),
            ("a/mod.rs", text),
            ("a/b.rs", "pub struct B;"),
        ]);
        problems(&sources, "a/")
    };
    for facade in [
        "//! Docs.\n#![forbid(unsafe_code)]\nmod b; pub use b::B;",
        "mod b; #[cfg(test)] fn f() {} #[cfg(test)] mod tests {}",
        "mod b; pub mod prelude { pub use super::b::B as _; }",
        "mod b; #[cfg(not(unix))] compile_error!(\"no\");",
    ] {
        assert_eq!(told(facade), NONE, "{facade}");
    }
    for noun in [
        "mod b;\nfn f() {}",
        "mod b;\ntype A = b::B;",
        "mod b;\nmod inline { const N: u8 = 1; }",
        "mod b;\nimpl Drop for b::B {}",
        "mod b;\nmacro_rules! m { () => {}; }",
    ] {
        let problems = told(noun);
        let start = "src/a/mod.rs:2: a mod.rs is a facade or a noun, not both";
        assert!(problems[0].starts_with(start), "{noun}: {problems:?}");
    }
}

#[test]
fn a_noun_has_no_child_modules_and_is_no_mod_rs() {
    for (file, text, child) in [
        ("a.rs", "mod b; struct A;", "a/b.rs"),
        ("a/mod.rs", "mod b; struct A;", "a/b.rs"),
        ("a/mod.rs", "struct A;", "a/mod.rs"),
    ] {
        let child_text = if child == file { text } else { "struct B;" };
        let sources = Sources::from([("lib.rs", "mod a;"), (file, text), (child, child_text)]);
        let problems = problems(&sources, if file == "a.rs" { "a.rs\na/" } else { "a/" });
        assert_eq!(problems.len(), 1, "{file}: {text}: {problems:?}");
        assert!(problems[0].contains("a facade or a noun"), "{problems:?}");
    }
}

#[test]
fn methods_stand_in_the_file_of_their_type() {
    let told = |text: &str| {
        let sources = Sources::from([
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "pub struct A<T>(T); pub trait Tr {} impl<T> A<T> {}",
            ),
            ("b.rs", text),
        ]);
        problems(&sources, "a.rs\nb.rs")
    };
    for fine in [
        "use crate::a::A; impl<T> Drop for A<T> {}",
        "struct B; impl B {} mod inside { use super::B; impl B {} }",
        "struct B; fn f() { impl B {} }",
        "pin_project! { pub struct B { x: u8 } } impl B {}",
        "use crate::a::A; #[cfg(test)] impl A<u8> {}",
    ] {
        assert_eq!(told(fine), NONE, "{fine}");
    }
    for wrong in [
        "use crate::a::A;\nimpl<T> A<T> {}",
        "\nimpl crate::a::A<u8> {}",
        "use crate::a::A as B; fn f() {\nimpl<T> B<T> {} }",
        "use crate::a;\nimpl a::A<u8> {}",
        "use crate::a::*;\nimpl A<u8> {}",
        "use crate::a::Tr;\nimpl dyn Tr {}",
    ] {
        let problems = told(wrong);
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
        assert!(
            problems[0].starts_with("src/b.rs:2: has methods of `"),
            "{problems:?}"
        );
        assert!(
            problems[0].contains("`, which src/a.rs defines"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_name_that_a_facade_does_not_hand_on_is_told() {
    let sources = Sources::from([
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod x;"),
        ("a/x.rs", "pub struct X;"),
        ("b.rs", "use crate::a::X; struct B;"),
    ]);
    assert_eq!(
        problems(&sources, "a/\nb.rs"),
        ["src/b.rs:1: names `crate::a::X`, but src/a/mod.rs neither defines `X` nor hands it on"]
    );
}
