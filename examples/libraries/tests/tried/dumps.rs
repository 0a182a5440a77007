//! Dumps of hubs as JSON.

use serde_json::{Value, json, to_value};
use switchback::sync::Mutex;
use switchback::{Builder, Hub, Track, prelude::*, sleep, spawn, yield_now};

/// Returns the part of a dump that is about this fiber.
fn of_fiber(dump: &Value, name: &str) -> Value {
    let fibers = dump["fibers"].as_array().expect("it is a list");
    let found = fibers.iter().find(|fiber| fiber["name"] == name);
    found.expect("the fiber is in the dump").clone()
}

#[test]
fn a_dump_is_data() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    let hub = Hub::builder().name("server").track(Track::Times);
    let root = hub.run(|| {
        let guard = LOCK.lock().unwrap();
        let own = switchback::current_fiber().expect("this is a fiber").id();
        let name = |name: &str| Builder::new().name(name);
        let locks = name("locks").spawn(|| drop(LOCK.lock())).unwrap();
        let (id, mut late) = (locks.id(), locks);
        let joins = name("joins")
            .spawn(move || drop(late.join().wait()))
            .unwrap();
        let sleeps = spawn(|| sleep(std::time::Duration::from_secs(3600)).wait());
        yield_now().wait();
        let dump = to_value(Hub::current().dump()).unwrap();
        drop(guard);
        joins.wait().unwrap();
        sleeps.cancel();

        assert_eq!(dump["name"], "server");
        assert_eq!(dump["is_open"], true);
        assert_eq!(dump["metrics"]["live_fibers"], 4);
        assert_eq!(dump["metrics"]["deepest_stack"], Value::Null);
        assert_eq!(dump["cycles"], json!([]));
        let locks = of_fiber(&dump, "locks");
        assert_eq!(locks["state"], "waiting");
        assert_eq!(locks["id"], to_value(id).unwrap());
        assert_eq!(locks["parent"], to_value(own).unwrap());
        assert_eq!(locks["wait"]["waits_for"], json!({ "lock": own }));
        assert_eq!(locks["wait"]["at"]["file"], file!());
        assert_eq!(locks["wait"]["call"], "Mutex::lock");
        assert!(
            locks["wait"]["lasts"]
                .as_f64()
                .is_some_and(|lasts| lasts >= 0.0)
        );
        assert_eq!(
            of_fiber(&dump, "joins")["wait"]["waits_for"],
            json!({ "fiber": id })
        );
        let sleeps = of_fiber(&dump, sleeps.name());
        let left = sleeps["wait"]["waits_for"]["time"].as_f64();
        assert!(left.is_some_and(|left| left > 3000.0), "{sleeps}");
        of_fiber(&dump, "Root")
    });
    let root = root.unwrap();
    assert_eq!(root["state"], "running");
    assert_eq!(root["wait"], Value::Null);
}

#[test]
fn a_dump_of_the_process_is_data() {
    let dump = switchback::run(|| to_value(switchback::dump_all().wait()).unwrap()).unwrap();
    assert!(dump["hubs"].as_array().is_some_and(|hubs| !hubs.is_empty()));
    assert!(
        dump["blocked"].is_array() && dump["cycles"].is_array(),
        "{dump}"
    );
}
