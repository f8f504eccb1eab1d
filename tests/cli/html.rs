//! `--html`: what is in the page, as far as that can be known without a browser.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{Serving, run};

/// A directory for the pages of a test, empty at first. Each run of these tests has its own, which is gone
/// with this unless the test fails.
pub(crate) struct Directory(PathBuf);

pub(crate) fn directory(name: &str) -> Directory {
    let name = format!("{name}-{}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the directory is there for tests");
    Directory(path)
}

impl Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of what is in a directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("it is there");
    entries
        .map(|entry| entry.expect("it is there").file_name())
        .map(|name| name.into_string().expect("our names are text"))
        .collect()
}

/// Checks that every element that is opened is closed, in the right order, and returns all of them
/// as they were opened.
pub(crate) fn elements(page: &str) -> Vec<&str> {
    let mut open = Vec::new();
    let mut all = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it is HTML");
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let name = tag.split(' ').next().expect("a tag has a name");
        if name != "meta" {
            open.push(name);
        }
        all.push(tag);
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

/// The part of the page that is about a strategy.
pub(crate) fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let start = page
        .find(&format!("id=\"{name}\""))
        .unwrap_or_else(|| panic!("no section for {name}"));
    let section = &page[start..];
    &section[..section.find("</section>").expect("it ends")]
}

/// The value of an attribute, of the first tag in `text` that has it.
fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}=\"");
    let value = text
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .1;
    value.split('"').next().expect("a value ends")
}

fn percent(text: &str) -> f64 {
    let number = text.strip_suffix('%').expect("it is in percent");
    number.parse().expect("a number")
}

#[track_caller]
fn close(drawn: f64, wanted: f64, within: f64) {
    assert!((drawn - wanted).abs() <= within, "{drawn} for {wanted}");
}

#[test]
fn the_page_needs_nothing_else_and_says_what_the_table_and_the_json_say() {
    let directory = directory("html-shape");
    let file = directory.join("page.html");
    let arguments = ["compare", "--speed", "20", "--json", "--html", text(&file)];
    let done = run(&arguments).expect_code(0);
    assert_eq!(done.stderr, "");
    let report = done.json();
    let page = read(&file);
    assert_eq!(names(&directory), ["page.html"]);

    for tag in elements(&page) {
        let name = tag.split(' ').next().expect("a tag has a name");
        let forbidden = [
            "script", "link", "img", "iframe", "object", "embed", "base", "form",
        ];
        assert!(!forbidden.contains(&name), "{tag}");
        assert!(!tag.contains(" src=") && !tag.contains(" on"), "{tag}");
        if tag.contains("href=") {
            assert!(attribute(tag, "href").starts_with('#'), "{tag}");
        }
    }
    let sheet = page.split("<style>").nth(1).expect("it has a style");
    let sheet = sheet.split("</style>").next().expect("it ends");
    assert!(!sheet.contains("url(") && !sheet.contains("@import"));
    assert!(
        page.contains("default-src &#39;none&#39;"),
        "nothing can be loaded"
    );

    let conclusion = report["conclusion"].as_str().expect("text");
    assert!(
        page.contains(&conclusion.replace('\'', "&#39;")),
        "{conclusion}"
    );
    for row in report["strategies"].as_array().expect("a list") {
        agrees(section(&page, row["name"].as_str().expect("text")), row);
        let time = format!("{:.3} s", row["wall_s"].as_f64().expect("a number"));
        let cell = format!("<td data-label=\"time\">{time}</td>");
        assert!(page.contains(&cell), "{cell}");
    }
}

/// What is drawn of a strategy is what the JSON says of it.
fn agrees(section: &str, row: &Value) {
    let end_s: f64 = attribute(section, "data-end-s").parse().expect("a number");
    close(end_s, row["wall_s"].as_f64().expect("a number"), 1e-9);

    let calls = row["calls"].as_array().expect("a list");
    let groups: Vec<&str> = section.split("<g ").skip(1).collect();
    assert_eq!(groups.len(), calls.len());
    for call in calls {
        let number = call["call"].to_string();
        let group = groups.iter().find(|g| attribute(g, "data-call") == number);
        let group = group.unwrap_or_else(|| panic!("call {number} is not drawn"));
        let queued = call["queued_s"].as_f64().expect("a number");
        let began = match &call["thread_s"] {
            Value::Null => call["start_s"].as_f64(),
            since => since.as_f64(),
        };
        let (began, end) = (began.expect("a number"), call["end_s"].as_f64());
        let share = |seconds: f64| seconds / end_s * 100.0;

        let rects: Vec<&str> = group.split("<rect").skip(1).collect();
        let running = rects.last().expect("it is drawn");
        let x = percent(attribute(running, "x"));
        let width = percent(attribute(running, "width"));
        close(x, share(began), 0.002);
        // What took a moment only is drawn wider than it is.
        close(width, share(end.expect("a number") - began).max(0.2), 0.003);
        if rects.len() > 1 {
            close(percent(attribute(rects[0], "x")), share(queued), 0.002);
            close(
                percent(attribute(rects[0], "width")),
                share(began - queued).max(0.2),
                0.003,
            );
        } else {
            close(began, queued, 1e-9);
        }
        let class = attribute(running, "class");
        assert_eq!(class == "async", call["thread"].is_null());
        let label = format!("<li data-call=\"{number}\"><b>{number}</b><span>");
        let thread = call["thread"].as_str().unwrap_or("no thread");
        assert!(
            section.contains(&format!("{label}{thread}</span>")),
            "{thread}"
        );
    }

    let beats = row["heartbeat"][0]["late_ms"].as_array().expect("a list");
    assert_eq!(attribute(section, "data-beats"), beats.len().to_string());
    let worst: f64 = attribute(section, "data-worst-ms")
        .parse()
        .expect("a number");
    close(
        worst,
        row["heartbeat_late_max_ms"].as_f64().expect("a number"),
        0.001,
    );
}

#[test]
fn who_runs_a_call_is_told_as_it_was_seen() {
    // A machine with other things to do may start threads late: not every time.
    assert!((0..5).any(|_| is_told_as_it_was_seen()));
}

/// Whether there were as many threads as there should be, and as many that waited for one.
fn is_told_as_it_was_seen() -> bool {
    let report = run(&["compare", "--json", "--speed", "10"])
        .expect_code(0)
        .json();
    let mut as_many = true;
    for row in report["strategies"].as_array().expect("a list") {
        let calls = row["calls"].as_array().expect("a list");
        let mut threads: Vec<&str> = calls
            .iter()
            .filter_map(|call| call["thread"].as_str())
            .collect();
        for call in calls {
            let [queued, start, end] = ["queued_s", "start_s", "end_s"]
                .map(|field| call[field].as_f64().expect("a number"));
            let taken = call["thread_s"].as_f64().unwrap_or(start);
            assert!(queued <= start && start <= taken && taken <= end, "{call}");
        }
        threads.sort_unstable();
        threads.dedup();
        let cores = report["machine"]["cores"].as_u64().expect("a number") as usize;
        match row["name"].as_str().expect("text") {
            "serial" | "naive" => assert_eq!(threads, ["main"]),
            "native" => assert!(threads.is_empty(), "{threads:?}"),
            "rayon" => {
                assert!(threads.len() <= cores, "{threads:?}");
                assert!(threads.iter().all(|name| name.starts_with("rayon-")));
                // Those that had no thread at first waited for one.
                let waited = |call: &Value| {
                    let since = call["thread_s"].as_f64().expect("a number");
                    since - call["queued_s"].as_f64().expect("a number") > 0.02
                };
                let waiting = calls.iter().filter(|call| waited(call)).count();
                as_many &= waiting + cores >= calls.len();
            }
            // All at once, each on a thread of its own.
            _ => {
                assert!(threads.iter().all(|name| name.starts_with("tokio-")));
                as_many &= threads.len() > 10;
            }
        }
    }
    as_many
}

#[test]
fn a_limit_makes_calls_take_turns_on_the_threads_of_the_lane() {
    let arguments = [
        "compare",
        "--json",
        "--speed",
        "10",
        "--limit",
        "3",
        "--strategies",
    ];
    let report = run(&[&arguments[..], &["offloaded"]].concat())
        .expect_code(0)
        .json();
    let calls = report["strategies"][0]["calls"].as_array().expect("a list");
    let mut by_thread = std::collections::BTreeMap::<&str, Vec<(f64, f64)>>::new();
    for call in calls {
        let taken = call["thread_s"].as_f64().expect("a number");
        let number = call["call"].as_u64().expect("a number") as usize;
        let latency = report["plan"][number - 1]["latency_ms"].as_f64();
        // Not before that is it answered, at a tenth of the plan's times.
        let answered = taken + latency.expect("a number") / 10_000.0;
        let thread = call["thread"].as_str().expect("each had a thread");
        by_thread.entry(thread).or_default().push((taken, answered));
    }
    assert!(by_thread.len() < calls.len(), "{by_thread:?}");
    for times in by_thread.values_mut() {
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(
            times.windows(2).all(|two| two[0].1 <= two[1].0),
            "{times:?}"
        );
    }
}

#[test]
fn nothing_of_a_url_or_an_answer_is_markup() {
    let directory = directory("html-hostile");
    let file = directory.join("page.html");
    let server = Serving::start(&["--latency", "1ms", "--fail", "status:500:0.5"]);
    let urls = [
        "/</title><script>alert(1)</script>?'\"><img/src=x/onerror=alert(1)>",
        "/x&lt;script&gt;alert(2)&lt;/script&gt;&amp;&#60;b&#62;",
        "/]]>--><svg/onload=alert(3)>{{7*7}}",
    ]
    .map(|path| {
        server
            .url(path)
            .replace("http://", "http://m%3Cb%3E:secret@")
    });
    let mut arguments = vec!["compare", "--quiet", "--html", text(&file), "--calls", "12"];
    arguments.extend(urls.iter().flat_map(|url| ["--url", url]));
    let done = run(&arguments).expect_code(1);
    assert!(!done.stderr.contains("secret"), "{done:#?}");
    let page = read(&file);
    for tag in elements(&page) {
        let name = tag.split([' ', '/']).next().expect("a tag has a name");
        assert!(!["script", "img", "b>"].contains(&name), "{tag}");
        assert!(!tag.contains("onload") && !tag.contains("onerror"), "{tag}");
    }
    assert!(!page.contains("secret"));
    assert!(
        page.contains("/x&amp;lt;script&amp;gt;alert(2)"),
        "the text is there"
    );
    assert!(page.contains("\u{2717} status 500"), "and the failures are");
}

#[test]
fn thousands_of_calls_are_drawn_and_the_file_stays_small() {
    let directory = directory("html-many");
    let file = directory.join("page.html");
    let calls = [
        "--calls", "3000", "--total", "3s", "--limit", "64", "--speed", "1000",
    ];
    let which = [
        "--strategies",
        "spawn_blocking,native",
        "--repeat",
        "2",
        "--html",
        text(&file),
    ];
    run(&[&["compare", "--quiet"], &calls[..], &which].concat()).expect_code(0);
    let page = read(&file);
    elements(&page);
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    for (name, class) in [("spawn_blocking", "run"), ("native", "async")] {
        let section = section(&page, name);
        assert!(section.contains(" of 2"), "which round is drawn");
        let path = section
            .split(&format!("<path class=\"{class}\" d=\""))
            .nth(1)
            .expect("it is drawn");
        let path = path.split('"').next().expect("it ends");
        assert_eq!(path.matches('M').count(), 3000);
    }
}
