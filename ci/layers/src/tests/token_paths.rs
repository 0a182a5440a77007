//! What counts as a path among the tokens of a macro.

use std::str::FromStr;

use proc_macro2::TokenStream;

use crate::token_paths::token_paths;

#[test]
fn names_with_colons_between_them_are_paths() {
    for (text, expected) in [
        ("a", "a"),
        ("a::b::c", "a::b::c"),
        ("f(a::b, [c])", "f a::b c"),
        ("a::b::<c::D>()", "a::b c::D"),
        ("a::{b, c::{d, self}, self as e}", "a::b a::c::d a::c a"),
        ("a::*", "a"),
        ("x: a::b", "x a::b"),
        ("x..a::b", "x a::b"),
        ("x.y.z()", "x"),
        ("::a::b", ""),
        ("'a b", "b"),
        ("$a $crate::b", "crate::b"),
        ("$a::b", ""),
        ("pub(crate) a", "pub a"),
        ("r#mod::a", "mod::a"),
    ] {
        let tokens = TokenStream::from_str(text).expect("it consists of tokens");
        let paths: Vec<String> = token_paths(tokens)
            .iter()
            .map(|path| path.segments.join("::"))
            .collect();
        assert_eq!(paths.join(" "), expected, "{text}");
    }
}
