//! Row L10: too few open files, too few processes, one core.

use std::process::Command;

use crate::peer::keeping_connections;
use crate::run::{Done, Running, Scratch, Serving, command, run, shell};

fn there_is(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn too_few_open_files_are_named_before_anything_is_called() {
    let done = Running::start(shell("ulimit -n 32; exec", &["compare", "--json"]))
        .end()
        .expect_code(1);
    assert!(
        done.stderr.contains("the limit of open files is 32"),
        "{done:#?}"
    );
    assert!(done.stderr.contains("--limit"), "{done:#?}");
    assert_eq!(done.stdout, "");
    // What it advises helps.
    let fewer = ["compare", "--limit", "4", "--speed", "200", "--quiet"];
    Running::start(shell("ulimit -n 32; exec", &fewer))
        .end()
        .expect_code(0);
}

#[test]
fn an_offloaded_call_has_its_files_or_is_refused_before() {
    let arguments = [
        "compare",
        "--json",
        "--speed=100",
        "--strategies=native,offloaded",
    ];
    let with = |setup: &str, more: &[&str]| {
        let arguments = [&arguments[..], more].concat();
        Running::start(shell(setup, &arguments)).end()
    };
    // One file for each of twenty calls, and those that there are beside.
    let done = with("ulimit -n 44; exec", &[]).expect_code(1);
    assert!(
        done.stdout.is_empty() && done.stderr.contains("the limit of open files is 44"),
        "{done:#?}"
    );
    // Both of what it advises help.
    with("ulimit -n 84; exec", &[]).expect_code(0);
    with("ulimit -n 44; exec", &["--limit=6"]).expect_code(0);
    // For others one is enough.
    let arguments = [
        "compare",
        "--quiet",
        "--speed=100",
        "--strategies=native,spawn_blocking",
    ];
    let others = shell("ulimit -n 44; exec", &arguments);
    Running::start(others).end().expect_code(0);
}

#[test]
fn what_needs_few_connections_is_not_refused_for_want_of_many() {
    let arguments = ["compare", "--quiet", "--speed=1000", "--calls=512"];
    let with = |strategies: &str| {
        let arguments = [&arguments[..], &["--strategies", strategies]].concat();
        Running::start(shell("ulimit -n 256; exec", &arguments)).end()
    };
    with("serial").expect_code(0);
    with("serial,naive").expect_code(0);
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() <= 200) {
        with("rayon").expect_code(0);
    }
    for many in ["offloaded", "spawn_blocking", "native", "serial,native"] {
        let done = with(many).expect_code(1);
        assert!(
            done.stderr.contains("the limit of open files is 256"),
            "{many}: {done:#?}"
        );
    }
}

#[test]
fn connections_that_rest_have_their_files_or_are_refused_before() {
    let urls = keeping_connections(60);
    let twice: String = [&urls[..], &urls]
        .concat()
        .iter()
        .map(|url| format!("{url}\n"))
        .collect();
    let file = Scratch::new("many-servers", twice.as_bytes());
    let with = |files: u32, strategies: &str| {
        let arguments = [
            "compare",
            "--json",
            "--limit=8",
            "--urls",
            file.path(),
            "--strategies",
            strategies,
        ];
        let setup = format!("ulimit -n {files}; exec");
        Running::start(shell(&setup, &arguments)).end()
    };
    // Those of ureq keep eight at rest, native one for each call to each.
    for (files, strategies) in [(56, "serial,offloaded,spawn_blocking"), (144, "native")] {
        let done = with(files, strategies).expect_code(0);
        let report = done.json();
        for row in report["strategies"].as_array().expect("a list") {
            assert_eq!((&row["ok"], &row["failed"]), (&120.into(), &0.into()));
        }
    }
    for (files, strategy) in [(40, "offloaded"), (84, "native")] {
        let done = with(files, strategy).expect_code(1);
        let named = format!("the limit of open files is {files} (ulimit -n), and {strategy} may");
        assert!(done.stderr.contains(&named), "{done:#?}");
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn no_more_is_in_flight_than_is_told_before() {
    let server = Serving::start(&["--latency", "20ms"]);
    let url = server.url("/");
    for (strategies, runtime, most) in [
        ("serial,offloaded,spawn_blocking,rayon,native", "multi", 1),
        (
            "serial,naive,offloaded,spawn_blocking,rayon,native",
            "current",
            1,
        ),
        (
            "naive,rayon",
            "multi",
            std::thread::available_parallelism().map_or(1, usize::from),
        ),
    ] {
        let arguments = [
            "compare",
            "--json",
            "--calls=8",
            "--limit=1",
            "--url",
            &url,
            "--runtime",
            runtime,
            "--strategies",
            strategies,
        ];
        let done = run(&arguments).expect_code(0);
        let most = most.min(8);
        let told = format!("at most {most} at once:");
        assert!(done.stderr.contains(&told), "{done:#?}");
        let report = done.json();
        for row in report["strategies"].as_array().expect("a list") {
            // A lane keeps the limit, whatever there is of threads.
            let limit = if row["name"] == "naive" { most } else { 1 };
            let peak = row["peak_in_flight"].as_u64().expect("a number");
            assert!(peak <= limit as u64, "{row:#}");
        }
        let table = [&["compare"], &arguments[2..]].concat();
        let told = format!("at most {most} in flight;");
        let done = run(&table).expect_code(0);
        assert!(done.stdout.contains(&told), "{done:#?}");
    }
}

#[test]
fn hardly_any_open_files_are_an_error_and_no_hang() {
    for limit in [8, 12, 16, 20, 24] {
        let arguments = ["compare", "--limit", "1", "--calls", "2", "--speed", "100"];
        let done = Running::start(shell(&format!("ulimit -n {limit}; exec"), &arguments)).end();
        let done = done.expect_code(1);
        assert!(done.stderr.contains("open files"), "{limit}: {done:#?}");
    }
}

/// Root is not bound by the limit of processes, so it becomes someone else first, who must be able
/// to run the command: a copy of it.
#[test]
fn too_few_processes_are_an_error_and_no_hang() {
    let root = rustix::process::geteuid().is_root();
    if root && !there_is("setpriv") {
        println!("skipped: setpriv is not there");
        return;
    }
    let directory = std::env::temp_dir().join(format!("longshore-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    let copy = directory.join("longshore");
    std::fs::copy(crate::run::LONGSHORE, &copy).expect("a copy");

    // Somebody whom nobody else is, so that the count starts at none; another one for each run of
    // these tests.
    let user = 64_000 + std::process::id() % 1_000;

    let mut failed = 0;
    for limit in [1, 2, 3, 4, 5, 6, 8, 10, 14, 20] {
        let setup = format!(
            "ulimit -u {limit} 2>/dev/null || ulimit -p {limit}; exec \"$0\" compare --speed 100"
        );
        let mut command = if root {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={user}"))
                .args(["--clear-groups", "sh", "-c", &setup]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", &setup]);
            command
        };
        command.arg(&copy);
        let done = Running::start(command).end();
        assert!(matches!(done.code(), Some(0 | 1)), "{limit}: {done:#?}");
        // Nothing of ours panics for want of a thread. Tokio does, where there is no other one yet,
        // and the strategy that calls it without a lane says so.
        for line in done.stderr.lines().filter(|line| line.contains("panicked")) {
            let raw = line.starts_with("spawn_blocking: failed: it panicked: OS can't spawn");
            assert!(raw, "{limit}: {done:#?}");
        }
        if done.code() == Some(1) {
            failed += 1;
            each_failure_has_its_cause(&done);
        }
    }
    let _ = std::fs::remove_dir_all(&directory);
    assert!(failed >= 3, "the limit has had no effect");
}

/// What went wrong is said where it is said that something did: in the one line on standard error, or
/// in a line for each strategy of which calls failed.
#[track_caller]
fn each_failure_has_its_cause(done: &Done) {
    const CAUSE: &str = "Resource temporarily unavailable";
    let said = |line: &&str| line.contains(": could not run: ") || line.contains(" (the first: ");
    let (mut failures, mut rows) = (0, 0);
    for line in done.stdout.lines() {
        if said(&line) {
            failures += 1;
            assert!(line.contains(CAUSE) && !line.contains("src/"), "{done:#?}");
        }
        let counts = line
            .rsplit(' ')
            .next()
            .and_then(|ok| ok.strip_suffix("/20"));
        rows += usize::from(counts.is_some_and(|ok| ok != "20"));
    }
    assert_eq!(failures, rows, "{done:#?}");
    if rows == 0 {
        let last = done.stderr.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("longshore: ") && last.contains(CAUSE),
            "{done:#?}"
        );
    }
}

#[test]
fn one_core_is_enough() {
    if there_is("taskset") {
        let arguments = ["compare", "--speed", "50", "--json"];
        let report = Running::start(shell("exec taskset -c 0", &arguments))
            .end()
            .expect_code(0)
            .json();
        assert_eq!(report["machine"]["cores"], 1);
    } else {
        println!("skipped: taskset is not there");
    }
    run(&["compare", "--speed", "100", "--runtime", "multi", "--quiet"]).expect_code(0);
}

#[test]
fn a_machine_without_certificates_can_run_it() {
    let mut command = command(&["compare", "--speed", "200", "--quiet"]);
    command
        .env("SSL_CERT_FILE", "/no/such/file")
        .env("SSL_CERT_DIR", "/no/such/directory");
    Running::start(command).end().expect_code(0);
}
