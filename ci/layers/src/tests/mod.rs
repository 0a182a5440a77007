//! Small crates, and what is found in them.

mod circles;
mod module_tree;
mod order;
mod resolution;
mod rules;
mod token_paths;

use crate::check::{Report, check};
use crate::graph::Graph;
use crate::load::load;
use crate::order::Order;
use crate::sources::Sources;

/// A line for each file with those that it uses, as `--graph` prints it. Panics
/// if something is wrong with the crate.
fn graph(sources: &Sources) -> String {
    let map = load(sources);
    assert_eq!(map.problems, []);
    let graph = Graph::new(&map);
    assert_eq!(graph.problems, []);
    graph.to_string()
}

/// The result of a check with an order that has no mistakes.
fn report(sources: &Sources, order: &str) -> Report {
    let map = load(sources);
    let (order, mistakes) = Order::parse("order.txt", order);
    assert_eq!(mistakes, []);
    check(&map, &Graph::new(&map), &order)
}

/// The problems that such a check finds, as it prints them.
fn problems(sources: &Sources, order: &str) -> Vec<String> {
    let mut problems = report(sources, order).problems;
    problems.sort();
    problems.iter().map(ToString::to_string).collect()
}

/// No problem.
const NONE: [&str; 0] = [];
