//! Row L3: a server that fails. No strategy may look better because its calls failed.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use serde_json::Value;

use crate::peer::{End, Peer, saying};
use crate::run::{Running, STRATEGIES, Serving, command, run};

const FOUR: [&str; 7] = [
    "compare",
    "--json",
    "--calls",
    "4",
    "--timeout",
    "300ms",
    "--url",
];

/// As many, with time enough for a busy machine.
const IN_TIME: [&str; 4] = ["compare", "--json", "--calls=4", "--url"];

/// Every strategy reports its four calls as failed in this way, though each had time enough.
#[track_caller]
fn all_fail(url: &str, kind: &str) {
    all_of_them_fail(command(&[&IN_TIME[..], &[url]].concat()), kind);
}

/// Every strategy reports its four calls as too slow.
#[track_caller]
fn all_time_out(url: &str) {
    all_of_them_fail(command(&[&FOUR[..], &[url]].concat()), "timeout");
}

/// The same for a command that makes four calls.
#[track_caller]
fn all_of_them_fail(command: Command, kind: &str) {
    let report = Running::start(command).end().expect_code(1).json();
    let rows = report["strategies"].as_array().expect("a list");
    assert_eq!(rows.len(), 6);
    for row in rows {
        assert_eq!(row["failures"], serde_json::json!({ kind: 4 }), "{row:#}");
        assert_eq!((&row["ok"], &row["failed"]), (&0.into(), &4.into()));
        assert_eq!(row["speedup"], Value::Null);
        for call in row["calls"].as_array().expect("a list") {
            let error = call["error"].as_str().expect("text");
            assert!(error.starts_with(kind), "{error}");
        }
    }
    let conclusion = report["conclusion"].as_str().expect("text");
    assert!(
        conclusion.starts_with("24 of 24 calls failed"),
        "{conclusion}"
    );
}

#[test]
fn a_server_that_is_down_is_refused_everywhere() {
    // A socket that has the port and does not listen: nobody else gets it meanwhile.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("there is one");
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = getsockname(&socket).expect("it is bound");
    let address = SocketAddrV4::try_from(address).expect("it is of this kind");
    all_fail(&format!("http://{address}/"), "refused");
    drop(socket);
}

#[test]
fn failures_have_the_same_name_for_every_strategy() {
    let server = Serving::start(&["--latency", "0ms"]);
    all_fail(&server.url("/status/500"), "status 500");
    all_fail(&server.url("/reset"), "reset");
    all_fail(&server.url("/truncate"), "truncated");
    all_time_out(&server.url("/hang"));
    all_time_out(&server.url("/delay/5000"));
}

#[test]
fn what_is_no_http_has_the_same_name_for_every_strategy() {
    let many: String = (0..150).map(|at| format!("x-{at}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "1".repeat(600 * 1024));
    for rest in [
        "200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok",
        "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokno",
        "200 OK\r\ncontent-length: two\r\n\r\nok",
        "200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "200 OK\r\nx-folded: a\r\n b: c\r\ncontent-length: 2\r\n\r\nok",
        "099 OK\r\ncontent-length: 2\r\n\r\nok",
        &format!("200 OK\r\n{many}content-length: 2\r\n\r\nok"),
        &format!("200 OK\r\n{large}content-length: 2\r\n\r\nok"),
    ] {
        let address = saying(&format!("HTTP/1.1 {rest}"), End::Closed);
        let url = format!("http://{address}/");
        all_of_them_fail(command(&[&IN_TIME[..], &[&url]].concat()), "protocol");
    }
}

#[test]
fn a_body_that_breaks_off_has_the_same_name_for_every_strategy() {
    for head in [
        "content-length: 9\r\n\r\nok",
        "transfer-encoding: chunked\r\n\r\n9\r\nok",
    ] {
        for end in [End::Closed, End::Reset] {
            let address = saying(&format!("HTTP/1.1 200 OK\r\n{head}"), end);
            let url = format!("http://{address}/");
            all_of_them_fail(command(&[&IN_TIME[..], &[&url]].concat()), "truncated");
        }
    }
}

#[test]
fn a_proxy_that_refuses_has_the_same_name_for_every_strategy() {
    for status in ["407 Proxy Authentication Required", "502 Bad Gateway"] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let proxy = saying(&answer, End::Closed);
        let url = Peer::start().foreign_url().replace("http:", "https:");
        let mut command = command(&[&IN_TIME[..], &[&url, "--yes"]].concat());
        command.env("https_proxy", proxy.to_string());
        all_of_them_fail(command, "proxy");
    }
}

#[test]
fn every_strategy_sends_the_same_request() {
    let peer = Peer::start();
    peer.answer(6);
    let url = peer.url().replace("http://", "http://me:secret@");
    run(&["compare", "--calls=1", "--url", &url]).expect_code(0);
    let heads = peer.heads();
    let lines = |head: &String| {
        let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
        // The order of headers says nothing.
        lines.sort();
        lines
    };
    assert_eq!(heads.len(), 6);
    for (head, strategy) in heads.iter().zip(STRATEGIES) {
        assert_eq!(lines(head), lines(&heads[0]), "{strategy}");
    }
}

#[test]
fn what_was_measured_is_told_although_a_process_cannot_be_started() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = directory.join(format!("longshore-gone-{}", std::process::id()));
    let _ = std::fs::remove_file(&program);
    std::fs::hard_link(crate::run::LONGSHORE, &program).expect("another name for it");
    let peer = Peer::start();
    let mut command = Command::new(&program);
    crate::run::clean(&mut command);
    command.args([
        "compare",
        "--json",
        "--calls=2",
        "--strategies=serial,naive,native",
    ]);
    command.args(["--url", &peer.url()]);
    let running = Running::start(command);
    // Serial's process is there, and no other one can be started.
    peer.until_asked(1);
    std::fs::remove_file(&program).expect("it is there");
    peer.answer(2);
    let report = running.end().expect_code(1).json();
    let rows = report["strategies"].as_array().expect("a list");
    let [serial, naive] = &rows[..] else {
        panic!("{report:#}");
    };
    assert_eq!((&serial["ok"], &serial["failed"]), (&2.into(), &0.into()));
    assert_eq!(serial["died"], Value::Null);
    assert_eq!(naive["failures"], serde_json::json!({ "not made": 2 }));
    let died = naive["died"].as_str().expect("text");
    assert!(died.starts_with("no process could be started: "), "{died}");
}

#[test]
fn one_failed_call_costs_a_strategy_its_speedup() {
    let server = Serving::start(&["--latency", "20ms", "--fail", "status:503:0.5"]);
    let url = server.url("/orders");
    let arguments = ["compare", "--calls", "20", "--url", &url];
    let report = run(&[&arguments[..], &["--json"]].concat())
        .expect_code(1)
        .json();
    for row in report["strategies"].as_array().expect("a list") {
        assert!(
            row["failed"].as_u64() > Some(0) && row["ok"].as_u64() > Some(0),
            "{row:#}"
        );
        assert_eq!(row["speedup"], Value::Null, "{row:#}");
    }
    let text = run(&arguments).expect_code(1).stdout;
    assert!(!text.contains(" x "), "{text}");
    for name in STRATEGIES {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}: ")));
        assert!(
            line.is_some_and(|line| line.contains("status 503")),
            "{text}"
        );
    }
}

#[test]
fn answers_that_change_in_the_middle_are_told() {
    let server = Serving::start(&["--latency", "0ms", "--fail", "size:0.5"]);
    let url = server.url("/orders");
    let arguments = [
        "compare",
        "--json",
        "--strategies",
        "serial,native",
        "--url",
        &url,
    ];
    let report = run(&arguments).expect_code(1).json();
    assert_eq!(
        report["differing_answers"].as_array().map(Vec::len),
        Some(1)
    );
    let failed: u64 = report["strategies"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            row["failures"]["different answer"]
                .as_u64()
                .unwrap_or_default()
        })
        .sum();
    assert!(failed > 0, "{report:#}");
    let lenient = run(&[&arguments[..], &["--any-size"]].concat())
        .expect_code(0)
        .json();
    assert_eq!(
        lenient["differing_answers"].as_array().map(Vec::len),
        Some(1)
    );
}
