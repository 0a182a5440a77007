use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;
use std::thread;

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext};
use switchback::{blocking, prelude::*, spawn};

use crate::support::in_root_fiber;
use crate::through::{Seen, text, writes};
use crate::waits::{at_once, look_up, unwinds, wait_for_cancel};

/// Templates, which are parsed on a thread.
static TEMPLATES: LazyLock<Handlebars<'static>> =
    LazyLock::new(|| thread::spawn(templates).join().unwrap().unwrap());

fn templates() -> Seen<Handlebars<'static>> {
    let mut handlebars = Handlebars::new();
    handlebars.register_helper("look_up", Box::new(look_up_helper));
    handlebars.register_helper("wait", Box::new(wait_helper));
    let page = "{{#each names}}{{look_up this}};{{/each}}";
    let page = handlebars.register_template_string("page", page);
    let wait = handlebars.register_template_string("wait", "{{wait}}");
    page.and(wait).map_err(text)?;
    Ok(handlebars)
}

fn look_up_helper(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let name = helper.param(0).unwrap().value().as_str().unwrap();
    out.write(&look_up(name))?;
    Ok(())
}

fn wait_helper(
    _: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    _: &mut dyn Output,
) -> HelperResult {
    wait_for_cancel();
    Ok(())
}

fn page(names: &[String], out: &mut dyn Write) -> Seen<()> {
    let data = BTreeMap::from([("names", names)]);
    TEMPLATES.render_to_write("page", &data, out).map_err(text)
}

#[test]
fn helpers_wait() {
    at_once(
        |n| {
            let mut text = Vec::new();
            page(&["a".to_owned(), format!("c{n}")], &mut text).unwrap();
            String::from_utf8(text).unwrap()
        },
        |n| format!("A;C{n};"),
    );
}

#[test]
fn writes_through_streams_of_a_few_bytes() {
    writes(|out| {
        let names: Vec<_> = (0..300).map(|n| format!("name {n}")).collect();
        page(&names, out)
    });
}

#[test]
fn a_cancel_unwinds_through_the_template() {
    unwinds(|| drop(TEMPLATES.render("wait", &()).unwrap()));
}

/// Its parser asks `stacker` how much stack is left, which knows that of the thread only: on a stack
/// that lies below, none.
#[test]
fn a_fiber_can_parse_only_where_stacker_knows_its_stack() {
    in_root_fiber(|| {
        let fiber = spawn(|| (stacker::remaining_stack(), templates().map(drop)));
        let (remaining, parsed) = fiber.wait().unwrap();
        match parsed {
            Ok(()) => assert_ne!(remaining, Some(0)),
            Err(error) => {
                assert_eq!(remaining, Some(0));
                assert!(error.contains("stack limit reached"), "{error}");
            }
        }
        let fiber = spawn(|| stacker::grow(1 << 20, || templates().map(drop)));
        assert_eq!(fiber.wait().unwrap(), Ok(()));
        let fiber = spawn(|| blocking(|| templates().map(drop)).wait());
        assert_eq!(fiber.wait().unwrap(), Ok(()));
    });
}
