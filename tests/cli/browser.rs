//! The page of `--html` in a real browser: what is drawn is held against the JSON of the same run.
//!
//! Without Chromium these tests are skipped, and say so on standard error whether anybody wants to
//! see the output of tests that pass or not.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::html::{directory, text};
use crate::run::{Running, Serving, run};

/// Reports to the page around it where things are, and what cannot be read.
const MEASURE: &str = include_str!("measure.js");

/// Widths of a laptop and of a phone.
const WIDTHS: [u32; 2] = [1280, 390];

fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let there = |name: &&str| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let found = names.into_iter().find(there);
    if found.is_none() {
        // Not by `eprintln`, which the test harness keeps to itself.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: no Chromium here, so that nobody has looked at the page of --html"
        );
    }
    found
}

/// The document as the browser has it when all is loaded and drawn.
fn dump(browser: &str, page: &Path, dark: bool) -> String {
    let profile = page.with_extension(if dark { "dark" } else { "light" });
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--hide-scrollbars",
    ]);
    command.args(["--allow-file-access-from-files", "--window-size=1400,1000"]);
    // Its sandbox does not work for root, nor in most containers; these pages are our own.
    command.args(["--no-sandbox", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    let scheme = if dark { 0 } else { 1 };
    command.arg(format!("--blink-settings=preferredColorScheme={scheme}"));
    command.args(["--virtual-time-budget=5000", "--dump-dom"]);
    command.arg(format!("file://{}", page.display()));
    let done = Running::start(command).end();
    assert_eq!(done.code(), Some(0), "{done:#?}");
    done.stdout
}

/// What the browser measures of `page`, at each of the widths.
fn measured(browser: &str, page: &Path, dark: bool) -> Vec<Value> {
    let source = std::fs::read_to_string(page).expect("it was written");
    // The page allows no script, so this is a copy that does.
    let policy = source
        .split("<meta http-equiv")
        .nth(1)
        .and_then(|rest| rest.split('>').next())
        .expect("it has a policy");
    let source = source.replace(&format!("<meta http-equiv{policy}>"), "");
    let source = source.replace("</body>", &format!("<script>{MEASURE}</script></body>"));
    let copy = page.with_file_name("measured.html");
    std::fs::write(&copy, source).expect("it can be written");

    // A window of a browser is not as narrow as a phone, but a frame can be.
    let frames: String = WIDTHS
        .iter()
        .map(|width| format!("<iframe src='measured.html' width='{width}' height='900'></iframe>"))
        .collect();
    let listen = "onmessage = (message) => {
        const line = document.createElement('pre');
        line.textContent = message.data;
        document.body.append(line);
    };";
    let around = page.with_file_name("around.html");
    let html = format!("<!DOCTYPE html><script>{listen}</script><body>{frames}</body>");
    std::fs::write(&around, html).expect("it can be written");

    let document = dump(browser, &around, dark);
    let mut results: Vec<Value> = document
        .split("<pre>")
        .skip(1)
        .map(|rest| rest.split("</pre>").next().expect("it is closed"))
        .map(|json| {
            json.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        })
        .map(|json| serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}")))
        .collect();
    results.sort_by_key(|result| std::cmp::Reverse(result["width"].as_u64()));
    let widths = results.iter().map(|result| result["width"].as_u64());
    assert!(
        widths.eq(WIDTHS.map(|width| Some(u64::from(width)))),
        "{document}"
    );
    results
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn what_the_browser_draws_is_what_the_json_says() {
    let Some(browser) = browser() else { return };
    let directory = directory("browser");
    let page = directory.join("page.html");
    let arguments = ["compare", "--json", "--speed", "10", "--html", text(&page)];
    let report = run(&arguments).expect_code(0).json();
    let rows = report["strategies"].as_array().expect("a list");

    for (result, dark) in measured(browser, &page, false)
        .into_iter()
        .map(|result| (result, false))
        .chain(
            measured(browser, &page, true)
                .into_iter()
                .map(|result| (result, true)),
        )
    {
        let place = format!("{} pixels, dark: {dark}", result["width"]);
        assert_eq!(
            result["wider"], 0,
            "nothing is wider than the window: {place}"
        );
        assert_eq!(
            result["cut"],
            Value::Array(vec![]),
            "no text is cut off: {place}"
        );
        assert_eq!(
            result["faint"],
            Value::Array(vec![]),
            "all can be read: {place}"
        );
        assert_eq!(result["dark"], dark);
        let drawn = result["strategies"].as_array().expect("a list");
        assert_eq!(drawn.len(), rows.len());
        for (drawn, row) in drawn.iter().zip(rows) {
            assert_eq!(drawn["name"], row["name"]);
            holds(drawn, row, &place);
        }
    }
}

/// A strategy is drawn as it was measured, to the pixel.
fn holds(drawn: &Value, row: &Value, place: &str) {
    let end_s = number(&row["wall_s"]);
    let plot = number(&drawn["plot"]);
    assert!(
        plot > 120.0,
        "there is room to see something: {plot}, {place}"
    );
    let pixel = |seconds: f64| seconds / end_s * plot;
    let close = |drawn: f64, seconds: f64, what: &str| {
        assert!(
            (drawn - pixel(seconds)).abs() <= 1.0,
            "{what}: {drawn} for {}, {place}, {row:#}",
            pixel(seconds)
        );
    };

    let calls = row["calls"].as_array().expect("a list");
    assert_eq!(drawn["calls"].as_array().map(Vec::len), Some(calls.len()));
    for call in calls {
        let number_of = call["call"].as_u64().expect("a number") as usize;
        let seen = &drawn["calls"][number_of - 1];
        assert_eq!(seen["call"], call["call"]);
        let began = match &call["thread_s"] {
            Value::Null => number(&call["start_s"]),
            since => number(since),
        };
        close(number(&seen["from"]), began, "begins");
        close(number(&seen["to"]), number(&call["end_s"]), "ends");
        let waited = began - number(&call["queued_s"]);
        if pixel(waited) > 1.0 {
            close(number(&seen["waits"]), number(&call["queued_s"]), "waits");
        }
        // The label stands beside its bar, and names the thread.
        assert!(number(&seen["off"]).abs() <= 1.5, "{seen}, {place}");
        let thread = call["thread"].as_str().unwrap_or("no thread");
        assert_eq!(seen["thread"], thread);
    }
    // The curve ends where the last beat was due, and is as high as the worst.
    let beats = &row["heartbeat"][0];
    let count = beats["late_ms"].as_array().map_or(0, Vec::len) as f64;
    let last = (count * number(&beats["every_ms"]) / 1e3).min(end_s);
    assert!(
        (number(&drawn["beats"]) - pixel(last)).abs() <= 2.0,
        "{drawn}, {place}"
    );
    let worst = number(&row["heartbeat_late_max_ms"]).max(1.0).log10();
    let wanted = worst / number(&drawn["decades"]);
    assert!(
        (number(&drawn["high"]) - wanted).abs() <= 0.04,
        "{drawn}, {place}"
    );
}

#[test]
fn a_hostile_url_is_text_in_the_browser_too() {
    let Some(browser) = browser() else { return };
    let directory = directory("browser-hostile");
    let page = directory.join("page.html");
    let server = Serving::start(&["--latency", "20ms"]);
    let url = server.url("/</title><script>document.title='no'</script>&lt;b&gt;?'\"><img/src=x>");
    let arguments = [
        "compare",
        "--quiet",
        "--calls",
        "3",
        "--url",
        &url,
        "--html",
        text(&page),
    ];
    run(&arguments).expect_code(0);
    let document = dump(browser, &page, false);
    assert!(
        document.contains("<title>3 calls, made in 6 ways"),
        "{document}"
    );
    assert!(
        document.contains("&amp;lt;b&amp;gt;"),
        "the URL is shown as it is"
    );
    for element in ["<script", "<img", "<b&gt;"] {
        assert!(!document.contains(element), "{element}");
    }
    for result in measured(browser, &page, true) {
        assert_eq!(result["wider"], 0, "a long URL is wrapped");
    }
}
