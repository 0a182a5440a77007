//! How an order is written.

use crate::order::Order;

#[test]
fn entries_are_layers_from_the_lowest_up() {
    let text = "# Head.\n\nbase/\n  switch.rs # the engine\n";
    let (order, mistakes) = Order::parse("order.txt", text);
    assert_eq!(mistakes, []);
    assert_eq!(order.layer_of("base/list.rs"), Some(0));
    assert_eq!(order.layer_of("switch.rs"), Some(1));
    assert_eq!(order.layer_of("switch_back.rs"), None);
    assert_eq!(order.layer_of("io/base/list.rs"), None);
    assert_eq!(order.layers[1].line, 4);
}

#[test]
fn exceptions_name_files_and_a_reason() {
    let text = "exception: a/x.rs a/y.rs: one: is half of the other";
    let (order, mistakes) = Order::parse("order.txt", text);
    assert_eq!(mistakes, []);
    assert_eq!(order.exceptions[0].files, ["a/x.rs", "a/y.rs"]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, told) in [
        ("\na.rs b.rs", "order.txt:2: a line has one folder or file"),
        ("base", "order.txt:1: `base` is no folder"),
        (
            "exception: a.rs b.rs",
            "order.txt:1: an exception needs a reason",
        ),
        (
            "exception: a.rs b.rs: ",
            "order.txt:1: an exception needs a reason",
        ),
        (
            "exception: a.rs: why",
            "order.txt:1: an exception is for two files or more",
        ),
    ] {
        let (_, mistakes) = Order::parse("order.txt", text);
        assert_eq!(mistakes.len(), 1, "{text}");
        let mistake = mistakes[0].to_string();
        assert!(mistake.starts_with(told), "{text}: {mistake}");
    }
}
