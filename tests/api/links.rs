//! What the texts and the guide link to is there: files, and headings. rustdoc checks the rest of
//! their links.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a page: of a Markdown file, or of the docs at the head of a source file.
fn page(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_some_and(|extension| extension == "md") {
        return text;
    }
    let docs = text.lines().filter_map(|line| line.strip_prefix("//!"));
    docs.map(|line| line.strip_prefix(' ').unwrap_or(line))
        .fold(String::new(), |mut page, line| {
            page.push_str(line);
            page.push('\n');
            page
        })
}

/// A page without its code, whose brackets are no links.
fn prose(page: &str) -> String {
    let mut text = String::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Returns the targets of the links `[text](target)`.
fn targets(prose: &str) -> impl Iterator<Item = &str> {
    let after = prose.split("](").skip(1);
    after.map(|rest| {
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth < 0
        });
        &rest[..end.expect("a link ends")]
    })
}

/// Returns the anchors of the headings of a page, as rustdoc and code hosts make them.
fn anchors(page: &str) -> Vec<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The page of the guide, or of the crate, that an item path names.
fn guide_page(path: &str) -> Option<PathBuf> {
    let src = root().join("src");
    if path == "crate" {
        return Some(src.join("lib.rs"));
    }
    let name = ["super::", "crate::guide::", "guide::"]
        .iter()
        .find_map(|begin| path.strip_prefix(begin))?;
    Some(src.join("guide").join(format!("{name}.rs")))
}

#[test]
fn what_is_linked_to_is_there() {
    let mut pages: Vec<PathBuf> = vec![root().join("src/lib.rs")];
    for folder in [root().to_owned(), root().join("src/guide")] {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_guide = path
                .parent()
                .is_some_and(|folder| folder.ends_with("guide"));
            extension == Some("md") || is_guide && extension == Some("rs")
        }));
    }
    let mut known = BTreeMap::new();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for path in &pages {
        let text = page(path);
        for target in targets(&prose(&text)) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = match path.extension().is_some_and(|extension| extension == "md") {
                _ if target.contains("://") => continue,
                _ if file.is_empty() => path.clone(),
                true => path.with_file_name(file),
                // Other items are rustdoc's to check.
                false => match guide_page(file) {
                    Some(page) => page,
                    None => continue,
                },
            };
            checked += 1;
            let is_there = match anchor {
                "" => linked.exists(),
                anchor => known
                    .entry(linked.clone())
                    .or_insert_with(|| anchors(&page(&linked)))
                    .iter()
                    .any(|heading| heading == anchor),
            };
            if !is_there {
                wrong.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(checked > 50, "only {checked} links were found");
    assert!(
        wrong.is_empty(),
        "these lead nowhere:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn links_and_headings_are_found() {
    let page = "# A `title`, two\nSee [this](super::one#part) and [`f`](crate::f()).\n\
                ```\nlet x = y[0](1);\n# no heading\n```\n";
    let text = prose(page);
    let found: Vec<_> = targets(&text).collect();
    assert_eq!(found, ["super::one#part", "crate::f()"]);
    assert_eq!(anchors(page), ["a-title-two"]);
}
