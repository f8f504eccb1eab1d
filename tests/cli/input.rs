//! Rows L1 and L2: bad arguments end with code 2, one line that says why, and at once.

use std::time::Duration;

use crate::run::{Scratch, run};

/// The command refuses these arguments, with a line that contains `reason`.
#[track_caller]
fn refused(arguments: &[&str], reason: &str) {
    let done = run(arguments).expect_code(2);
    assert_eq!(done.stdout, "", "{done:#?}");
    let line = done.stderr.strip_suffix('\n').unwrap_or_default();
    assert!(
        !line.is_empty() && !line.contains('\n') && line.len() < 400,
        "{done:#?}"
    );
    assert!(
        line.starts_with("longshore: ") && line.contains(reason),
        "{reason:?} in {done:#?}"
    );
    assert!(!line.contains("secret"), "{done:#?}");
}

/// No number of calls, nor of anything else that is counted.
const NO_COUNTS: [&str; 10] = [
    "0",
    "1000000000",
    "-1",
    "1e3",
    "",
    "٣",
    "+5",
    " 5",
    "5.0",
    "99999999999999999999",
];

#[test]
fn numbers_out_of_range_are_named_with_their_range() {
    for (option, range) in [
        ("--calls", "from 1 to 10000"),
        ("--limit", "from 1 to 512"),
        ("--repeat", "from 1 to 1000"),
        ("--speed", "from 1 to 1000"),
        ("--max-requests", "from 1 to 1000000"),
    ] {
        for value in NO_COUNTS {
            if option == "--speed" && value == "5.0" {
                continue;
            }
            let argument = format!("{option}={value}");
            refused(&["compare", &argument], range);
            refused(&["compare", option, value], range);
        }
    }
    refused(
        &["compare", "--limit", "100000"],
        "--limit '100000': must be a whole number",
    );
    for (command, option, wrong, range) in [
        ("compare", "--seed", "-1", "from 0 to 18446744073709551615"),
        ("serve", "--seed", "-1", "from 0 to 18446744073709551615"),
        ("serve", "--port", "65536", "from 0 to 65535"),
        ("serve", "--port", "-1", "from 0 to 65535"),
        ("serve", "--connections", "0", "from 1 to 100000"),
        ("serve", "--connections", "-1", "from 1 to 100000"),
        ("serve", "--body-size", "1073741825", "from 0 to 1073741824"),
        ("serve", "--body-size", "-1", "from 0 to 1073741824"),
        ("serve", "--fail", "-1", "status:CODE:RATE"),
        ("serve", "--fail", "hang:-0.5", "status:CODE:RATE"),
    ] {
        let reason = format!("{option} '{wrong}': ");
        for reason in [&*reason, range] {
            refused(&[command, &format!("{option}={wrong}")], reason);
            refused(&[command, option, wrong], reason);
        }
    }
}

#[test]
fn an_option_whose_value_was_forgotten_is_named() {
    for value in ["--json", "-q"] {
        refused(
            &["compare", "--timeout", value],
            &format!("--timeout '{value}': must be a duration"),
        );
        refused(
            &["compare", "--calls", value],
            &format!("--calls '{value}': must be a whole number"),
        );
    }
    refused(&["compare", "--timeout"], "'--timeout <TIME>'");
}

/// No time that a call may take.
const NO_TIMES: [&str; 10] = [
    "",
    "0",
    "0s",
    "5",
    "-1s",
    "1h",
    "1e3s",
    "٣s",
    "11m",
    "99999999999999999999s",
];

#[test]
fn durations_need_a_unit_and_a_range() {
    for value in NO_TIMES {
        let reason = "from 1ms to 10m, with its unit";
        refused(&["compare", &format!("--timeout={value}")], reason);
        refused(&["compare", "--timeout", value], reason);
    }
    refused(
        &["compare", "--total", "-1s"],
        "from 1ms to 10000s, with its unit",
    );
    for option in ["--latency", "--jitter"] {
        for value in ["", "5", "-1ms", "11m", "1h"] {
            let reason = "from 0ms to 10m, with its unit";
            refused(&["serve", &format!("{option}={value}")], reason);
            refused(&["serve", option, value], reason);
        }
    }
    for argument in ["--total=1.2345s", "--timeout=1.9ms"] {
        refused(&["compare", argument], "must be whole milliseconds");
    }
    refused(
        &["compare", "--total", "60s"],
        "20 calls of 1ms to 1s each make 0.02s to 20s",
    );
    refused(
        &["compare", "--total", "18s", "--calls", "17"],
        "0.017s to 17s",
    );
    refused(&["compare", "--total", "5ms"], "0.02s to 20s");
}

#[test]
fn what_does_not_go_together_is_refused() {
    refused(
        &["compare", "--seed", "1", "--url", "http://127.0.0.1:1/"],
        "cannot be used with",
    );
    refused(
        &["compare", "--strategies", "serial,serial"],
        "serial is named twice",
    );
    refused(&["compare", "--strategies", "serial,swift"], "native");
    refused(&["compare", "--strategies", ""], "native");
    refused(&["compare", "--runtime", "none"], "current");
    refused(&["serve", "--fail", "status:500"], "status:CODE:RATE");
    refused(
        &["serve", "--fail", "hang:0.7", "--fail", "reset:0.7"],
        "more than 1",
    );
    refused(&["sail"], "unrecognized");
    refused(&["compare", "--bogus"], "unexpected argument");
    refused(&["compare", "http://me:secret@h/"], "http://me:***@h/");
}

/// What cannot be called, and what is said of it.
const NO_URLS: [(&str, &str); 20] = [
    (
        "http://127.0.0.1:99999/",
        "port must be a whole number from 1 to 65535",
    ),
    (
        "http://127.0.0.1:0/",
        "port must be a whole number from 1 to 65535",
    ),
    (
        "http://127.0.0.1:8o/",
        "port must be a whole number from 1 to 65535",
    ),
    (
        "http://127.0.0.1:/",
        "port must be a whole number from 1 to 65535",
    ),
    ("ftp://127.0.0.1/", "http:// or https://"),
    ("127.0.0.1", "http:// or https://"),
    ("http://", "no host"),
    ("http:///x", "no host"),
    ("http://127.0.0.1/a b", "spaces"),
    ("http://127.0.0.1/\r\nx-evil: 1", "line breaks"),
    ("http://[::1", "IPv6"),
    ("", "must be a URL"),
    ("http://me:secret@127.0.0.1:99999/", "me:***@"),
    ("ftp://me:secret@127.0.0.1/", "me:***@"),
    ("http://me:secret@[::1", "me:***@"),
    ("http://me:secret", "http://me:***"),
    ("http:me:sec//ret-secret@h/", "http:me:***@h/"),
    ("me:sec//ret-secret@host", "me:***@host"),
    ("http://h:99999/#access_token=secret", "http://h:99999/#***"),
    ("http://h:99999/a?b=me@secret", "http://***"),
];

#[test]
fn urls_are_read_strictly_and_passwords_are_masked() {
    let long = format!("http://127.0.0.1/{}", "x".repeat(65_536));
    let too_long = (&*long, "at most 8192 bytes");
    for (url, reason) in NO_URLS.into_iter().chain([too_long]) {
        refused(&["compare", "--url", url], reason);
        refused(
            &[
                "compare",
                "--yes",
                "--url",
                "http://127.0.0.1:1/",
                "--url",
                url,
            ],
            reason,
        );
    }
}

#[test]
fn files_of_urls_are_read_strictly() {
    let bad = Scratch::new(
        "bad-urls",
        b"# ours\nhttp://127.0.0.1:1/\n\nftp://me:secret@h/\n",
    );
    refused(
        &["compare", "--urls", bad.path()],
        "line 4: 'ftp://me:***@h/': must begin with http://",
    );
    refused(
        &[
            "compare",
            "--urls",
            Scratch::new("no-urls", b"# none\n\n").path(),
        ],
        "no URL in it",
    );
    refused(
        &[
            "compare",
            "--urls",
            Scratch::new("not-text", b"http://\xff/").path(),
        ],
        "not text",
    );
    refused(&["compare", "--urls", "/no/such/file"], "No such file");
}

#[test]
fn bad_arguments_are_refused_at_once() {
    let counts = NO_COUNTS.map(|value| format!("--calls={value}"));
    let limits = NO_COUNTS.map(|value| format!("--limit={value}"));
    let times = NO_TIMES.map(|value| format!("--timeout={value}"));
    let urls = NO_URLS.map(|(url, _)| format!("--url={url}"));
    let long = format!("--url=http://127.0.0.1/{}", "x".repeat(65_536));
    // A tenth of a second is ten times what it takes, and on a machine that has other things to do the best of
    // ten is not much more than what it takes to start at all.
    let starts = (0..10).map(|_| run(&["--version"]).expect_code(0).took);
    let start = starts.min().expect("there are ten");
    let at_once = Duration::from_millis(100).max(5 * start);
    for argument in [&counts[..], &limits, &times, &urls, &[long]].concat() {
        let mut took = (0..10).map(|_| run(&["compare", &argument]).expect_code(2).took);
        assert!(took.any(|took| took <= at_once), "{argument:.99}");
    }
}

#[test]
fn the_help_states_ranges_examples_and_exit_codes() {
    for (arguments, words) in [
        (
            &["--help"][..],
            &["compare", "serve", "Examples:", "Exit codes:"][..],
        ),
        (
            &["compare", "--help"],
            &["1 to 10000", "1 to 512", "Examples:", "130", "--any-size"],
        ),
        (
            &["serve", "--help"],
            &["/truncate", "0 to 65535", "Examples:", "Exit codes:"],
        ),
    ] {
        let done = run(arguments).expect_code(0);
        for word in words {
            assert!(done.stdout.contains(word), "{word:?} in {}", done.stdout);
        }
        assert!(!done.stdout.contains("__strategy"));
    }
    assert!(
        run(&["--version"])
            .expect_code(0)
            .stdout
            .starts_with("longshore ")
    );
}

#[test]
fn a_url_where_a_file_belongs_shows_no_password() {
    for option in ["--urls", "--html"] {
        let reason = format!("{option} 'http://me:***@h/");
        refused(&["compare", option, "http://me:secret@h/"], &reason);
        refused(&["compare", option, "no\nsuch\u{1b}[31m/dir"], "no\\nsuch");
    }
}
