//! One suite for every step: the same answers, and what each step promises from when on.
//!
//! Where a promise begins with a step, the steps before it are held to what hurts in them, so that
//! the guide does not complain of what is not so.

mod support;

use std::{thread, time::Duration};

use migration::{Mode, STEPS, Step};
use serde_json::{Value, json};
use support::{Settings, eventually, scene, watched};

/// Long enough to see that something does not happen, which nothing but the test can bring about.
const A_WHILE: Duration = Duration::from_millis(200);

/// The shortest time that there is for a socket.
const AT_ONCE: Duration = Duration::from_millis(1);

macro_rules! suite {
    ($($step:ident: $number:literal),*) => {$(
        mod $step {
            suite!(@promises $number; answers_and_errors_are_the_same,
                the_same_question_is_not_asked_twice,
                a_supplier_that_fails_is_left_out, a_supplier_that_hangs_is_left_out_after_its_time,
                a_supplier_that_hangs_takes_no_more_than_its_share, all_suppliers_are_asked_at_once,
                a_writer_that_waits_holds_up_no_reader, a_client_that_hangs_up_leaves_nothing_behind,
                computing_holds_up_nobody, it_ends_although_a_supplier_hangs);
        }
    )*};
    (@promises $number:literal; $($promise:ident),*) => {$(
        #[test]
        fn $promise() {
            crate::watched(|| crate::$promise(&crate::STEPS[$number]));
        }
    )*};
}

suite!(step_0: 0, step_1: 1, step_2: 2, step_3: 3, step_4: 4, step_5: 5);

fn answers_and_errors_are_the_same(step: &Step) {
    let scene = scene(step, Settings::default());
    let mut browser = scene.browser();

    let (status, one) = browser.get("/quote?sku=tea&quantity=4").unwrap();
    let expected = json!({
        "sku": "tea", "quantity": 4, "cents": 460,
        "orders": [{ "supplier": "a", "units": 4, "cents": 460 }],
        "missing": [],
    });
    assert_eq!((status, json(&one)), (200, expected));

    let (status, split) = browser.get("/quote?sku=tea&quantity=50").unwrap();
    let expected = json!({
        "sku": "tea", "quantity": 50, "cents": 4780,
        "orders": [
            { "supplier": "a", "units": 20, "cents": 1860 },
            { "supplier": "b", "units": 30, "cents": 2920 },
        ],
        "missing": [],
    });
    assert_eq!((status, json(&split)), (200, expected));

    let (status, report) = browser.get("/report?sku=tea").unwrap();
    let expected = json!({ "sku": "tea", "quotes": 2, "units": 54, "cents": 5240 });
    assert_eq!((status, json(&report)), (200, expected));

    let (status, error) = browser.get("/quote?sku=tea&quantity=10000").unwrap();
    let expected = json!({ "error": "there are not 10000 of `tea` to be had" });
    assert_eq!((status, json(&error)), (409, expected));

    for (path, expected) in [
        ("/quote?sku=tea", 400),
        ("/quote?sku=tea&quantity=0", 400),
        ("/quote?sku=tea&quantity=many", 400),
        ("/quote?sku=a/b&quantity=1", 400),
        ("/report?sku=", 400),
        ("/nothing", 404),
    ] {
        assert_eq!(browser.get(path).unwrap().0, expected, "{path}");
    }
    scene.is_idle();
}

fn the_same_question_is_not_asked_twice(step: &Step) {
    let scene = scene(step, Settings::default());
    let mut browser = scene.browser();
    let first = browser.get("/quote?sku=tea&quantity=4").unwrap();
    let asked: Vec<usize> = scene.stubs.iter().map(|stub| stub.asked()).collect();
    assert_eq!(asked, [2, 2, 2], "price and stock of each");
    let second = browser.get("/quote?sku=tea&quantity=4").unwrap();
    assert_eq!(first, second);
    assert!(scene.stubs.iter().all(|stub| stub.asked() == 2));
}

fn a_supplier_that_fails_is_left_out(step: &Step) {
    let scene = scene(step, Settings::default());
    let mut browser = scene.browser();
    scene.stubs[0].set(Mode::Status(503));
    scene.stubs[1].set(Mode::Nonsense);
    let (status, body) = browser.get("/quote?sku=tea&quantity=4").unwrap();
    let quote = json(&body);
    assert_eq!(
        (status, &quote["orders"][0]["supplier"]),
        (200, &json!("c"))
    );
    assert_eq!(
        quote["missing"][0],
        json!({ "supplier": "a", "why": "http status: 503" })
    );
    assert_eq!(quote["missing"][1]["supplier"], "b");

    // Nobody knows whether there are as many.
    let (status, _) = browser.get("/quote?sku=tea&quantity=21").unwrap();
    assert_eq!(status, 503);

    // Not what is given again when they are back.
    scene.stubs[0].set(Mode::After(Duration::ZERO));
    scene.stubs[1].set(Mode::After(Duration::ZERO));
    let (_, body) = browser.get("/quote?sku=tea&quantity=4").unwrap();
    assert_eq!(json(&body)["missing"], json!([]));
}

fn a_supplier_that_hangs_is_left_out_after_its_time(step: &Step) {
    let settings = Settings {
        supplier_timeout_ms: 5_000,
        ..Settings::default()
    };
    let scene = scene(step, settings);
    scene.stubs[1].set(Mode::Hang);
    let (status, body) = scene.browser().get("/quote?sku=tea&quantity=4").unwrap();
    let quote = json(&body);
    assert_eq!(
        (status, &quote["missing"][0]["supplier"]),
        (200, &json!("b"))
    );
    // It is not only given up: its connection is closed, and so its thread is free.
    eventually(|| scene.stubs[1].in_flight() == 0);
    scene.is_idle();
}

/// From the first step on.
fn a_supplier_that_hangs_takes_no_more_than_its_share(step: &Step) {
    let settings = Settings {
        threads: 4,
        supplier_limit: 2,
        supplier_queue: 0,
        ..Settings::default()
    };
    let scene = scene(step, settings);
    let mut health = scene.browser();
    let mut browsers: Vec<_> = (0..4).map(|_| scene.browser()).collect();
    let path = |number| format!("/quote?sku=tea-{number}&quantity=4");
    scene.stubs[0].set(Mode::Hang);
    if step.number < 1 {
        for (number, browser) in browsers.iter_mut().enumerate() {
            browser.send(&path(number)).unwrap();
        }
        eventually(|| scene.stubs[0].in_flight() == 4);
        health.send("/health").unwrap();
        assert!(!health.is_answered_within(A_WHILE).unwrap());
    } else {
        let mut others = browsers.split_off(2);
        for (number, browser) in browsers.iter_mut().enumerate() {
            browser.send(&path(number)).unwrap();
            eventually(|| scene.stubs[0].in_flight() == number + 1);
            // Asked after it, or beside it, and then their lanes are empty again.
            let asked = if step.number < 2 { 0 } else { 2 * (number + 1) };
            eventually(|| scene.stubs[1..].iter().all(|stub| stub.asked() == asked));
            eventually(|| ["b", "c"].iter().all(|name| scene.busy()[*name] == 0));
        }
        // There is no room in its lane: the others go without it, at once.
        for (number, browser) in others.iter_mut().enumerate() {
            let (status, body) = browser.get(&path(2 + number)).unwrap();
            let missing = json(&body)["missing"].clone();
            assert_eq!((status, &missing[0]["supplier"]), (200, &json!("a")));
            assert_eq!(missing.as_array().map(Vec::len), Some(1), "{missing}");
        }
        assert_eq!(health.get("/health").unwrap().0, 200);
        assert_eq!(scene.stubs[0].most_in_flight(), 2);
    }
    scene.stubs[0].set(Mode::After(Duration::ZERO));
    for browser in &mut browsers {
        let (status, body) = browser.answer().unwrap();
        assert_eq!((status, &json(&body)["missing"]), (200, &json!([])));
    }
}

/// From the second step on.
fn all_suppliers_are_asked_at_once(step: &Step) {
    let scene = scene(step, Settings::default());
    for stub in &scene.stubs {
        stub.set(Mode::Hang);
    }
    let mut browser = scene.browser();
    browser.send("/quote?sku=tea&quantity=4").unwrap();
    if step.number < 2 {
        eventually(|| scene.stubs[0].in_flight() == 1);
        assert!(scene.stubs[1..].iter().all(|stub| stub.asked() == 0));
    } else {
        eventually(|| scene.stubs.iter().all(|stub| stub.in_flight() == 1));
    }
    for stub in &scene.stubs {
        stub.set(Mode::After(Duration::ZERO));
    }
    let (status, body) = browser.answer().unwrap();
    assert_eq!((status, &json(&body)["missing"]), (200, &json!([])));
}

/// From the third step on.
fn a_writer_that_waits_holds_up_no_reader(step: &Step) {
    let scene = scene(step, Settings::default());
    let (mut writer, mut reader) = (scene.browser(), scene.browser());
    reader.get("/quote?sku=tea&quantity=4").unwrap();

    // As another process would.
    let theirs = rusqlite::Connection::open(&scene.database).unwrap();
    theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.send("/quote?sku=rice&quantity=4").unwrap();
    if step.number < 3 {
        // Until it has the connection, a report may still get by.
        eventually(|| {
            reader.send("/report?sku=tea").unwrap();
            let answered = reader.is_answered_within(A_WHILE).unwrap();
            if answered {
                reader.answer().unwrap();
            }
            !answered
        });
        theirs.execute_batch("ROLLBACK").unwrap();
        assert_eq!(reader.answer().unwrap().0, 200);
    } else {
        eventually(|| scene.busy()["store-writer"] == 1);
        assert_eq!(reader.get("/report?sku=tea").unwrap().0, 200);
        assert_eq!(reader.get("/quote?sku=tea&quantity=4").unwrap().0, 200);
        assert_eq!(scene.busy()["store-writer"], 1);
        theirs.execute_batch("ROLLBACK").unwrap();
    }
    assert_eq!(writer.answer().unwrap().0, 200);
}

/// From the fourth step on.
fn a_client_that_hangs_up_leaves_nothing_behind(step: &Step) {
    let scene = scene(step, Settings::default());
    for stub in &scene.stubs {
        stub.set(Mode::Hang);
    }
    let mut browser = scene.browser();
    browser.send("/quote?sku=tea&quantity=4").unwrap();
    eventually(|| scene.stubs[0].in_flight() == 1);
    drop(browser);
    if step.number < 4 {
        thread::sleep(A_WHILE);
        assert_eq!(scene.stubs[0].in_flight(), 1);
    } else {
        eventually(|| scene.stubs.iter().all(|stub| stub.in_flight() == 0));
        scene.is_idle();
    }

    // A query as well, though it waits for a lock.
    for stub in &scene.stubs {
        stub.set(Mode::After(Duration::ZERO));
    }
    if step.number >= 4 {
        let theirs = rusqlite::Connection::open(&scene.database).unwrap();
        theirs.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut browser = scene.browser();
        browser.send("/quote?sku=rice&quantity=4").unwrap();
        eventually(|| scene.busy()["store-writer"] == 1);
        drop(browser);
        scene.is_idle();
    }
}

/// From the fifth step on.
fn computing_holds_up_nobody(step: &Step) {
    let settings = Settings {
        units: 5_000,
        ..Settings::default()
    };
    let scene = scene(step, settings);
    let mut browser = scene.browser();
    if step.number < 5 {
        // Nobody would know of it.
        assert!(!scene.busy().contains_key("pricing"));
        browser.send("/quote?sku=tea&quantity=500").unwrap();
    } else {
        // Somebody else is told of the computation while that goes on. One may be over before they ask.
        let mut articles = 0;
        eventually(|| {
            articles += 1;
            let path = format!("/quote?sku=tea-{articles}&quantity=5000");
            browser.send(&path).unwrap();
            loop {
                let told = scene.busy()["pricing"] == 1;
                if browser.is_answered_within(AT_ONCE).unwrap() {
                    assert_eq!(browser.answer().unwrap().0, 200);
                    return false;
                }
                if told {
                    return true;
                }
            }
        });
    }
    assert_eq!(browser.answer().unwrap().0, 200);
}

/// From the fourth step on.
fn it_ends_although_a_supplier_hangs(step: &Step) {
    let mut scene = scene(step, Settings::default());
    scene.stubs[0].set(Mode::Hang);
    let mut browser = scene.browser();
    browser.send("/quote?sku=tea&quantity=4").unwrap();
    eventually(|| scene.stubs[0].in_flight() == 1);
    if step.number >= 4 {
        // The others have answered, and so there is something to be answered with.
        eventually(|| scene.stubs[1..].iter().all(|stub| stub.asked() == 2));
        eventually(|| ["b", "c"].iter().all(|name| scene.busy()[*name] == 0));
    }
    let program = scene.program.take().expect("it runs");
    let ending = thread::spawn(move || program.stop());
    if step.number < 4 {
        thread::sleep(A_WHILE);
        assert!(!ending.is_finished());
        scene.stubs[0].set(Mode::After(Duration::ZERO));
    }
    ending.join().unwrap();
    if step.number >= 4 {
        // What was promised to the client is kept: an answer, without that supplier.
        let (status, body) = browser.answer().unwrap();
        assert_eq!(
            (status, &json(&body)["missing"][0]["supplier"]),
            (200, &json!("a"))
        );
        eventually(|| scene.stubs[0].in_flight() == 0);
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("every answer is JSON")
}
