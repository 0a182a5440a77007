//! The page of the guide that explains errors has every text that the sources can print.

use std::fs;

use crate::sources;

/// A literal with fewer spaces is no message.
const SPACES: usize = 2;
/// A piece of a message, between the values that it names, is looked for if it has more characters.
const PIECE: usize = 5;

/// What is no message although it has spaces: Debug output, and lines of files of the system.
const OTHERS: [&str; 3] = [
    "READABLE | WRITABLE",
    "Max address space ",
    "Max data size ",
];

/// The text of a file, one character at a time.
struct Source<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Source<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Goes past a comment or the literal of a character, if it is at one.
    fn skip_other(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with("//") {
            self.skip(rest.find('\n').unwrap_or(rest.len()));
            return true;
        }
        let mut chars = rest.chars();
        let length = match (chars.next(), chars.next(), chars.next()) {
            (Some('\''), Some('\\'), Some(escaped)) => {
                let begin = 2 + escaped.len_utf8();
                begin
                    + rest[begin..]
                        .find('\'')
                        .expect("the literal of a character ends")
                    + 1
            }
            (Some('\''), Some(any), Some('\'')) => 2 + any.len_utf8(),
            _ => return false,
        };
        self.skip(length);
        true
    }

    /// Returns the string literal that it is at, without what stands for a line break.
    fn string(&mut self) -> Option<String> {
        let mut chars = self.rest().strip_prefix('"')?.char_indices();
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.skip(at + 2);
                    return Some(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push(' '),
                    Some((_, '\n')) => {
                        while chars.as_str().starts_with([' ', '\n']) {
                            chars.next();
                        }
                    }
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        panic!("a string literal that does not end: {text}");
    }

    /// Goes past a group in parentheses or brackets, whose literals users never see.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            if self.skip_other() || self.string().is_some() {
                continue;
            }
            match self.rest().as_bytes()[0] {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth -= 1,
                _ => {}
            }
            self.skip(self.rest().chars().next().map_or(0, char::len_utf8));
            if depth == 0 {
                return;
            }
        }
    }
}

/// What precedes a group that is skipped: `#[must_use = ".."]` and the like, and checks that only
/// debug builds make. `diagnostic` attributes are messages, so they are not skipped.
fn begins_hidden_group(rest: &str) -> Option<usize> {
    let attribute = ["#[", "#!["]
        .into_iter()
        .find(|begin| rest.starts_with(begin));
    match attribute {
        Some(begin) => (!rest[begin.len()..].starts_with("diagnostic")).then(|| begin.len() - 1),
        None => ["debug_assert!(", "debug_assert_eq!("]
            .into_iter()
            .find(|begin| rest.starts_with(begin))
            .map(|begin| begin.len() - 1),
    }
}

fn messages(text: &str) -> Vec<String> {
    let mut source = Source { text, at: 0 };
    let mut messages = Vec::new();
    while !source.rest().is_empty() {
        if source.skip_other() {
            continue;
        }
        if let Some(begin) = begins_hidden_group(source.rest()) {
            source.skip(begin);
            source.skip_group();
        } else if let Some(text) = source.string() {
            if text.matches(' ').count() >= SPACES && !OTHERS.contains(&&*text) {
                messages.push(text);
            }
        } else {
            source.skip(source.rest().chars().next().map_or(0, char::len_utf8));
        }
    }
    messages
}

/// Splits a message at the values that it names, as `{}` and `{error}`.
fn pieces(message: &str) -> impl Iterator<Item = &str> {
    message
        .split(['{', '}'])
        .step_by(2)
        .map(|piece| piece.trim())
        .filter(|piece| piece.len() > PIECE)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_guide_explains_every_text_of_the_sources() {
    let page = fs::read_to_string(sources::root().join("guide/errors.rs")).unwrap();
    let page: Vec<&str> = page
        .lines()
        .map(|line| line.trim_start_matches("//!"))
        .collect();
    let page = one_line(&page.join("\n"));

    let mut found = 0;
    let mut lacking = Vec::new();
    for (path, text) in sources::read() {
        for message in messages(&text) {
            found += 1;
            if !pieces(&message).all(|piece| page.contains(&one_line(piece))) {
                lacking.push(format!("{}: {message}", path.display()));
            }
        }
    }
    assert!(found > 100, "only {found} texts were found");
    assert!(
        lacking.is_empty(),
        "src/guide/errors.rs lacks these texts; if a user can meet one, say there what to do, \
         else add it to the list at its end:\n{}",
        lacking.join("\n")
    );
}

#[test]
fn the_texts_are_those_that_a_user_can_meet() {
    let text = r#"
        // "a comment is not taken"
        #[must_use = "an attribute is not taken"]
        #[diagnostic::on_unimplemented(message = "what the compiler says")]
        fn f(c: char) {
            debug_assert!(c != '"', "a check of debug builds");
            assert!(c != '\'', "this is {c} \
                and goes on");
            println!("short one");
        }
    "#;
    assert_eq!(
        messages(text),
        ["what the compiler says", "this is {c} and goes on"]
    );
    let taken: Vec<_> = pieces("this is {c} and goes on").collect();
    assert_eq!(taken, ["this is", "and goes on"]);
}
