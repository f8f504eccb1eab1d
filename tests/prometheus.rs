//! The example that serves its numbers to Prometheus, scraped as Prometheus does it.

#![cfg(feature = "metrics")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long "in the end" may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, which does not end by itself.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start() -> Self {
        let mut child = Command::new(built())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it says where it is");
        let address = (line.trim().strip_prefix("http://"))
            .and_then(|url| url.strip_suffix("/metrics"))
            .unwrap_or_else(|| panic!("no address: {line:?}"))
            .to_owned();
        Self { child, address }
    }

    fn scrape(&self) -> Scrape {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = &self.address;
        write!(
            socket,
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        Scrape::read(text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the program is. It may be older than this test, or not be there, if only this test was
/// asked for.
fn built() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let profile = deps.ancestors().nth(2).expect("target/profile/deps/test");
    let target = profile.parent().expect("target/profile");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--features",
            "full",
            "--example",
            "prometheus",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    target.join("debug/examples/prometheus")
}

/// The text format, version 0.0.4.
#[derive(Debug, Default)]
struct Scrape {
    kinds: BTreeMap<String, String>,
    helps: BTreeMap<String, String>,
    values: BTreeMap<String, f64>,
}

impl Scrape {
    fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                scrape.kinds.insert(name.to_owned(), kind.to_owned());
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a name and a text");
                scrape.helps.insert(name.to_owned(), help.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                let value = value
                    .parse()
                    .unwrap_or_else(|_| panic!("no number: {line}"));
                let before = scrape.values.insert(series.to_owned(), value);
                assert!(before.is_none(), "twice: {series}");
            }
        }
        scrape
    }

    fn of(&self, series: &str) -> f64 {
        self.values.get(series).copied().unwrap_or_default()
    }

    fn over(&self) -> f64 {
        let over = |series: &&String| series.starts_with("longshore_jobs_total{lane=\"shop\"");
        (self.values.keys().filter(over))
            .map(|series| self.of(series))
            .sum()
    }
}

#[test]
fn a_running_program_can_be_scraped() {
    let program = Program::start();
    let end = Instant::now() + PATIENCE;
    let first = loop {
        let scrape = program.scrape();
        if scrape.of("longshore_jobs_total{lane=\"shop\",outcome=\"timed_out\"}") >= 1.0 {
            break scrape;
        }
        assert!(Instant::now() < end, "{scrape:?}");
        std::thread::sleep(Duration::from_millis(10));
    };
    for (name, kind) in [
        ("longshore_jobs_submitted_total", "counter"),
        ("longshore_jobs_refused_total", "counter"),
        ("longshore_jobs_total", "counter"),
        ("longshore_waiting", "gauge"),
        ("longshore_running", "gauge"),
        ("longshore_draining", "gauge"),
        ("longshore_limit", "gauge"),
        ("longshore_queue", "gauge"),
        ("longshore_peak_running", "gauge"),
        ("longshore_queue_seconds", "histogram"),
        ("longshore_run_seconds", "histogram"),
    ] {
        assert_eq!(
            first.kinds.get(name).map(String::as_str),
            Some(kind),
            "{name}"
        );
        assert!(first.helps.contains_key(name), "{name}: {:?}", first.helps);
    }
    // Each is told as it changes, by whatever thread: one may be seen between two that belong together.
    for gauge in ["waiting", "running", "draining"] {
        let series = format!("longshore_{gauge}{{lane=\"shop\"}}");
        let mut value = first.of(&series);
        while !(0.0..=12.0).contains(&value) {
            assert!(Instant::now() < end, "{gauge}: {value}");
            value = program.scrape().of(&series);
        }
    }
    assert_eq!(first.of("longshore_limit{lane=\"shop\"}"), 4.0);
    assert_eq!(first.of("longshore_queue{lane=\"shop\"}"), 8.0);
    // That of the other lane is not bounded.
    assert!(
        !first
            .values
            .contains_key("longshore_queue{lane=\"metrics\"}")
    );
    let peak = first.of("longshore_peak_running{lane=\"shop\"}");
    assert!((1.0..=4.0).contains(&peak), "{peak}");
    let infinite = "longshore_run_seconds_bucket{lane=\"shop\",le=\"+Inf\"}";
    assert!(first.of(infinite) > 0.0);
    assert!(first.of("longshore_jobs_submitted_total{lane=\"shop\"}") > 0.0);

    // It goes on: what it counts only grows.
    let later = loop {
        let scrape = program.scrape();
        if scrape.over() > first.over() {
            break scrape;
        }
        assert!(Instant::now() < end, "{scrape:?}");
        std::thread::sleep(Duration::from_millis(10));
    };
    for (series, value) in &first.values {
        let (name, _) = series.split_once('{').unwrap_or((series, ""));
        if first.kinds.get(name).is_some_and(|kind| kind == "counter") {
            assert!(later.of(series) >= *value, "{series}");
        }
    }
}
