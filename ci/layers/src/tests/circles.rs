//! Files that use each other in a circle.

use super::{NONE, problems, report};
use crate::sources::Sources;

/// A folder of three files, of which the first two use each other.
fn two_in_a_circle() -> Sources {
    Sources::from([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; mod z; pub use x::X;"),
        ("a/x.rs", "pub struct X; use super::y::Y;"),
        ("a/y.rs", "pub struct Y; fn f(_: crate::a::X) {}"),
        ("a/z.rs", "use super::X;"),
    ])
}

#[test]
fn files_of_a_layer_may_use_each_other() {
    let sources = Sources::from([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; mod z; pub use z::Z;"),
        ("a/x.rs", "pub struct X; use super::{y::Y, Z};"),
        ("a/y.rs", "pub struct Y; use super::z::Z;"),
        ("a/z.rs", "pub struct Z;"),
    ]);
    let report = report(&sources, "a/");
    assert_eq!(report.problems, []);
    let figures = "3 files in 1 layers; there is no circle";
    assert_eq!(report.figures.to_string(), figures);
}

#[test]
fn a_circle_inside_a_layer_is_told_with_all_that_closes_it() {
    assert_eq!(
        problems(&two_in_a_circle(), "a/"),
        [
            "src/a/x.rs: is the first of 2 files in a circle, inside layer 1 (`a/`):\
             \n    src/a/x.rs:1 names `super::y::Y` of src/a/y.rs\
             \n    src/a/y.rs:1 names `crate::a::X` of src/a/x.rs"
        ]
    );
}

#[test]
fn an_exception_allows_a_circle() {
    let report = report(
        &two_in_a_circle(),
        "a/\nexception: a/x.rs a/y.rs: each is half of the other",
    );
    assert_eq!(report.problems, []);
    let figures = "3 files in 1 layers; the largest circle has 2 files: a/x.rs a/y.rs";
    assert_eq!(report.figures.to_string(), figures);
}

#[test]
fn an_exception_has_to_be_needed_for_each_of_its_files() {
    let sources = Sources::from([
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod x; mod y; mod z;"),
        ("a/x.rs", "pub struct X; use super::y::Y;"),
        ("a/y.rs", "pub struct Y; use super::x::X;"),
        ("a/z.rs", "pub struct Z; use super::x::X;"),
        ("b.rs", "pub struct B;"),
    ]);
    let order = "a/\nb.rs\nexception: a/x.rs a/y.rs a/z.rs: so it was\n\
                 exception: b.rs a/x.rs a/y.rs a/gone.rs: elsewhere";
    assert_eq!(
        problems(&sources, order),
        [
            "order.txt:3: the exception names `a/z.rs`, which is in no circle with the others",
            "order.txt:4: the exception names `a/gone.rs`, which is no file of the crate",
            "order.txt:4: the exception names `b.rs`, which is in no circle with the others",
            "order.txt:4: the files of an exception have to be of one layer",
        ]
    );
}

#[test]
fn an_exception_covers_no_larger_circle() {
    let sources = Sources::from([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; mod z;"),
        ("a/x.rs", "pub struct X; use super::y::Y;"),
        ("a/y.rs", "pub struct Y; use super::{x::X, z::Z};"),
        ("a/z.rs", "pub struct Z; use super::y::Y;"),
    ]);
    let problems = problems(&sources, "a/\nexception: a/x.rs a/y.rs: these alone");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("the first of 3 files in a circle"));
}

#[test]
fn a_circle_of_four_is_too_large_for_an_exception() {
    let sources = Sources::from([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod w; mod x; mod y; mod z;"),
        ("a/w.rs", "pub struct W; use super::x::X;"),
        ("a/x.rs", "pub struct X; use super::y::Y;"),
        ("a/y.rs", "pub struct Y; use super::z::Z;"),
        ("a/z.rs", "pub struct Z; use super::w::W;"),
    ]);
    assert_eq!(
        problems(&sources, "a/\nexception: a/w.rs a/x.rs a/y.rs a/z.rs: all"),
        ["src/a/w.rs: is the first of 4 files in a circle, where 3 are allowed at the most"]
    );
}

#[test]
fn circles_of_two_layers_are_counted_too() {
    let sources = Sources::from([
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub struct A; use crate::b::B;"),
        ("b.rs", "pub struct B; use crate::a::A;"),
    ]);
    let report = report(&sources, "a.rs\nb.rs");
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.figures.largest_circle, ["a.rs", "b.rs"]);
    assert_eq!(problems(&Sources::from([("lib.rs", "")]), ""), NONE);
}
