//! `--html`: where the page goes, and that it is there as a whole or not at all.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::html::{directory, elements, names, read, section, text};
use crate::run::{Running, Serving, command, run, shell};
use crate::signals::{in_the_middle, promptly};

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_called() {
    let directory = directory("html-refused");
    let plain = directory.join("plain");
    std::fs::write(&plain, "old").expect("it can be written");
    let missing = directory.join("none/page.html");
    let below = plain.join("page.html");
    let long = directory.join("x".repeat(300));
    for (path, reason) in [
        (
            "-",
            "must be a file: standard output has the table, or the JSON",
        ),
        (text(&directory), "is a directory"),
        (text(&missing), "No such file"),
        (text(&below), "Not a directory"),
        (text(&long), "too long"),
        ("/dev/null", "is not a regular file"),
        ("/", "is a directory"),
    ] {
        let done = run(&["compare", "--html", path]).expect_code(2);
        assert!(done.took < Duration::from_secs(5), "{done:#?}");
        assert_eq!(done.stdout, "");
        assert!(
            done.stderr.starts_with("longshore: --html '") && done.stderr.contains(reason),
            "{path}: {done:#?}"
        );
        assert_eq!(done.stderr.lines().count(), 1, "{done:#?}");
    }
    run(&["compare", "--html", ""]).expect_code(2);
    // What is refused later has not touched it either.
    let remote = [
        "compare",
        "--url",
        "http://192.0.2.1/",
        "--html",
        text(&plain),
    ];
    run(&remote).expect_code(2);
    assert_eq!(read(&plain), "old");
    assert_eq!(names(&directory), ["plain"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_that_does_not_fit_leaves_the_old_one_alone() {
    let directory = directory("html-full");
    let file = directory.join("page.html");
    std::fs::write(&file, "old").expect("it can be written");
    // A file may have 512 bytes, or 1024: neither is enough.
    let arguments = [
        "compare",
        "--speed",
        "200",
        "--quiet",
        "--html",
        text(&file),
    ];
    let done = Running::start(shell("trap '' XFSZ; ulimit -f 1; exec", &arguments)).end();
    let done = done.expect_code(1);
    assert!(done.stderr.contains("could not write"), "{done:#?}");
    assert!(
        done.stdout.contains("20/20"),
        "the table is printed: {done:#?}"
    );
    assert_eq!(read(&file), "old");
    assert_eq!(names(&directory), ["page.html"]);
}

#[cfg(unix)]
#[test]
fn a_page_replaces_the_file_and_not_the_link_to_it() {
    let directory = directory("html-link");
    let (file, link) = (directory.join("page.html"), directory.join("link"));
    std::fs::write(&file, "old").expect("it can be written");
    std::os::unix::fs::symlink("page.html", &link).expect("a link");
    let arguments = [
        "compare",
        "--speed",
        "200",
        "--strategies",
        "native",
        "--html",
    ];
    let done = run(&[&arguments[..], &[text(&link)]].concat()).expect_code(0);
    assert!(done.stderr.contains("the page is in "), "{done:#?}");
    assert!(read(&file).ends_with("</html>\n"));
    assert!(link.symlink_metadata().expect("it is there").is_symlink());
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_stays_one() {
    let directory = directory("html-dangling");
    let link = directory.join("link");
    std::os::unix::fs::symlink("none/page.html", &link).expect("a link");
    let done = run(&["compare", "--html", text(&link)]).expect_code(2);
    assert!(done.stderr.contains("is a link to nowhere"), "{done:#?}");
    assert!(link.symlink_metadata().expect("it is there").is_symlink());
    assert_eq!(names(&directory), ["link"]);
}

#[cfg(unix)]
#[test]
fn a_page_is_for_those_who_might_read_the_one_before() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = directory("html-private");
    let file = directory.join("page.html");
    std::fs::write(&file, "old").expect("it can be written");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&file, private).expect("it is ours");
    let arguments = [
        "compare",
        "--speed",
        "200",
        "--strategies",
        "native",
        "--html",
        text(&file),
    ];
    run(&arguments).expect_code(0);
    assert!(read(&file).ends_with("</html>\n"));
    let mode = file.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn a_page_that_is_passed_on_holds_no_key() {
    let server = Serving::start(&["--latency", "5ms"]);
    let directory = directory("html-key");
    let file = directory.join("page.html");
    let url = server.url("/a?key=canary");
    let arguments = [
        "compare",
        "--strategies",
        "native,serial",
        "--calls",
        "3",
        "--url",
        &url,
        "--html",
        text(&file),
    ];
    let done = run(&arguments).expect_code(0);
    let page = read(&file);
    assert!(page.contains("/a?key=***") && !page.contains("canary"));
    assert!(
        !done.stdout.contains("canary") && !done.stderr.contains("canary"),
        "{done:#?}"
    );
}

#[test]
fn a_signal_leaves_a_whole_page_that_says_it_is_partial() {
    promptly(|| {
        let directory = directory("html-partial");
        let file = directory.join("page.html");
        let (done, took) = in_the_middle(&["--html", text(&file)], Signal::INT);
        done.expect_code(130);
        if names(&directory) != ["page.html"] {
            return Duration::MAX;
        }
        let page = read(&file);
        elements(&page);
        assert!(page.contains("(partial)") && page.contains("<strong>Partial.</strong>"));
        assert!(page.contains("not run: offloaded, spawn_blocking, rayon, native"));
        assert!(section(&page, "serial").contains("data-beats"));
        let naive = section(&page, "naive");
        assert!(naive.contains("<span>did not end</span>"), "{naive}");
        assert!(
            naive.contains("nothing is known of the heartbeat"),
            "{naive}"
        );
        took
    });
}

#[test]
fn a_signal_before_anything_ran_is_a_page_too() {
    let server = Serving::start(&[]);
    let url = server.url("/hang");
    promptly(|| {
        let directory = directory("html-nothing");
        let file = directory.join("page.html");
        let arguments = ["compare", "--strategies=native", "--url", &url, "--html"];
        let arguments = [&arguments[..], &[text(&file)]].concat();
        let mut running = Running::start(command(&arguments));
        running.wait_for("this sends");
        let sent = Instant::now();
        running.signal(Signal::TERM);
        let done = running.end();
        let took = sent.elapsed();
        done.expect_code(143);
        if names(&directory) != ["page.html"] {
            return Duration::MAX;
        }
        let page = read(&file);
        elements(&page);
        assert!(page.contains("<strong>Partial.</strong>"));
        took
    });
}
