//! Templates whose functions wait.

use minijinja::{Environment, context};
use switchback::{prelude::*, sleep, spawn};

use crate::support::{Drops, in_root_fiber, ms};

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.add_function("look_up", |name: String| {
        sleep(ms(1)).wait();
        name.to_uppercase()
    });
    let page = "{% for name in names %}{{ look_up(name) }};{% endfor %}";
    environment.add_template("page", page).unwrap();
    environment
}

#[test]
fn minijinja() {
    in_root_fiber(|| {
        let fibers: Vec<_> = (0..50)
            .map(|n| {
                spawn(move || {
                    let environment = environment();
                    let page = environment.get_template("page").unwrap();
                    page.render(context!(names => vec!["a".to_owned(), format!("c{n}")]))
                        .unwrap()
                })
            })
            .collect();
        for (n, fiber) in fibers.into_iter().enumerate() {
            assert_eq!(fiber.wait().unwrap(), format!("A;C{n};"));
        }
        // A cancel unwinds through the template.
        let drops = Drops::new();
        let token = drops.token();
        let fiber = spawn(move || {
            let _token = token;
            let mut environment = environment();
            environment.add_function("wait", || std::future::pending::<bool>().wait());
            environment.render_str("{{ wait() }}", ()).unwrap()
        });
        sleep(ms(1)).wait();
        fiber.cancel();
        assert!(fiber.wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
    });
}
