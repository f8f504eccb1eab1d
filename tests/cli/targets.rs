//! Rows L6 and L8: the reader's own endpoints, consent, proxies.

use std::io::Read as _;
use std::net::TcpListener;

use crate::peer::Peer;
use crate::run::{Running, Scratch, Serving, command, run};

#[test]
fn other_machines_are_not_called_without_consent() {
    // 192.0.2.1 is an address for documentation: if it were called, this would take the timeout.
    for url in [
        "http://192.0.2.1/",
        "http://example.com/",
        "http://bücher.example/é",
    ] {
        let done = run(&["compare", "--url", url]).expect_code(2);
        assert!(
            done.stderr.contains("this sends 120 GET requests"),
            "{done:#?}"
        );
        assert!(
            done.stderr.contains("nothing was sent; add --yes"),
            "{done:#?}"
        );
        assert_eq!(done.stdout, "");
    }
    // Quiet or not, this is said.
    let done = run(&["compare", "--quiet", "--json", "--url", "http://192.0.2.1/"]).expect_code(2);
    assert!(done.stderr.contains("nothing was sent"), "{done:#?}");
}

#[test]
fn requests_to_other_machines_are_capped() {
    let url = ["--yes", "--url", "http://192.0.2.1/"];
    let done = run(&[&["compare", "--calls", "41"], &url[..]].concat()).expect_code(2);
    assert!(done.stderr.contains("246 requests") && done.stderr.contains("--max-requests 200"));
    let done = run(&[&["compare", "--repeat", "3"], &url[..]].concat()).expect_code(2);
    assert!(
        done.stderr.contains("360 requests to other machines"),
        "{done:#?}"
    );
    // What the front page advises is not over it.
    let advice = ["--repeat", "3", "--max-requests", "360"];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("it is part of the project");
    assert!(readme.contains(&advice.join(" ")));
    let advised = ["compare", "--url", "http://192.0.2.1/", "--limit", "20"];
    let done = run(&[&advised[..], &advice].concat()).expect_code(2);
    assert!(
        done.stderr.contains("nothing was sent; add --yes"),
        "{done:#?}"
    );
}

#[test]
fn urls_are_called_in_turn_and_shown_without_passwords() {
    let server = Serving::start(&["--latency", "5ms"]);
    let with_password = server
        .url("/b?x=canary&canary&y=#part")
        .replace("http://", "http://me:secret@");
    let (first, third) = (server.url("/a"), server.url("/é"));
    let urls = ["--url", &first, "--url", &with_password, "--url", &third];
    let done = run(&[&["compare", "--json", "--calls", "7"], &urls[..]].concat()).expect_code(0);
    assert!(
        done.stderr.contains("this sends 42 GET requests"),
        "{done:#?}"
    );
    assert!(
        !done.stderr.contains("secret") && !done.stdout.contains("secret"),
        "{done:#?}"
    );
    // Nor with what may be a key.
    assert!(
        !done.stderr.contains("canary") && !done.stdout.contains("canary"),
        "{done:#?}"
    );
    let report = done.json();
    assert_eq!(
        (&report["target"], &report["limit"]),
        (&"urls".into(), &8.into())
    );
    assert_eq!(report["plan"].as_array().map(Vec::len), Some(7));
    let shown = report["plan"][1]["url"].as_str().expect("text");
    assert!(
        shown.starts_with("http://me:***@127.0.0.1:") && shown.ends_with("/b?x=***&***&y="),
        "{shown}"
    );
    assert_eq!(report["plan"][2]["url"], server.url("/%C3%A9"));
    assert_eq!(report["plan"][3]["url"], first);
    for row in report["strategies"].as_array().expect("a list") {
        assert_eq!(row["ok"], 7, "{row:#}");
        assert_eq!(row["calls"][0]["bytes"], 64);
    }
}

#[test]
fn files_of_urls_are_called_in_their_order_after_those_of_the_command_line() {
    let server = Serving::start(&["--latency", "0ms"]);
    let [zero, one, two, three] =
        ["/zero", "/one?x=#", "/two#part", "/three"].map(|path| server.url(path));
    // As editors of other systems leave it, and without an end to its last line.
    let text =
        format!("\u{feff}# mine\r\n\r\n{one}\r\n   \n  # not this: {zero}\n\t{two}  \n\n{three}");
    let scratch = Scratch::new("good-urls", text.as_bytes());
    for (file, input) in [(scratch.path(), ""), ("-", &text)] {
        let arguments = [
            "compare",
            "--json",
            "--strategies=serial,native",
            "--urls",
            file,
            "--url",
            &zero,
            "--calls=5",
        ];
        let done = Running::with_input(command(&arguments), input)
            .end()
            .expect_code(0);
        let report = done.json();
        let plan = report["plan"].as_array().expect("a list");
        let called: Vec<_> = plan.iter().map(|call| call["url"].as_str()).collect();
        let expected = [&zero, &one, &two, &three, &zero].map(|url| url.split('#').next());
        assert_eq!(called, expected, "{file}");
        for row in report["strategies"].as_array().expect("a list") {
            assert_eq!((&row["ok"], &row["failed"]), (&5.into(), &0.into()));
        }
    }
    // Each once, if there are more than twenty.
    let many: String = (0..25).map(|at| format!("{zero}/{at}\n")).collect();
    let arguments = ["compare", "--json", "--strategies=native", "--urls=-"];
    let done = Running::with_input(command(&arguments), &many).end();
    assert_eq!(done.expect_code(0).json()["calls"], 25);
}

#[test]
fn no_proxy_means_none_whatever_the_environment_names() {
    for (option, direct) in [("--no-proxy", true), ("--any-size", false)] {
        let (target, proxy) = (Peer::start(), Peer::start());
        target.answer(3);
        // Enough for one that is asked for a connection first.
        proxy.answer(6);
        let url = target.foreign_url();
        let arguments = [
            "compare",
            "--yes",
            "--calls=1",
            "--timeout=20s",
            "--strategies=serial,offloaded,native",
            option,
            "--url",
            &url,
        ];
        let mut command = command(&arguments);
        for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env(name, proxy.as_proxy());
        }
        let done = Running::start(command).end();
        let shown = done.stderr.contains("through the proxy ");
        assert_eq!(shown, !direct, "{done:#?}");
        if direct {
            done.expect_code(0);
            assert_eq!((target.asked(), proxy.asked()), (3, 0));
        } else {
            assert_eq!((target.asked(), proxy.asked()), (0, 3), "{done:#?}");
        }
    }
}

/// As with curl.
#[test]
fn an_empty_list_in_lower_case_does_not_hide_the_other() {
    let (target, proxy) = (Peer::start(), Peer::start());
    target.answer(1);
    let url = target.foreign_url();
    let host = url.trim_start_matches("http://").split(':').next();
    let strategies = ["--strategies=native", "--calls=1", "--timeout=20s"];
    let mut command = command(&[&["compare", "--yes", "--url", &url], &strategies[..]].concat());
    command.env("http_proxy", proxy.as_proxy());
    command
        .env("no_proxy", "")
        .env("NO_PROXY", host.expect("it has one"));
    Running::start(command).end().expect_code(0);
    assert_eq!((target.asked(), proxy.asked()), (1, 0));
}

#[test]
fn proxies_of_the_environment_are_not_for_this_machine() {
    // Nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let server = Serving::start(&["--latency", "0ms"]);
    let url = server.url("/");
    for arguments in [
        &["compare", "--speed", "200"][..],
        &["compare", "--url", &url],
    ] {
        let mut command = command(arguments);
        for name in [
            "http_proxy",
            "HTTP_PROXY",
            "ALL_PROXY",
            "all_proxy",
            "HTTPS_PROXY",
        ] {
            command.env(name, &proxy);
        }
        let done = Running::start(command).end().expect_code(0);
        assert!(!done.stderr.contains("proxy"), "{done:#?}");
    }
}

#[test]
fn what_is_no_proxy_hurts_no_target_that_is_reached_without() {
    let peer = Peer::start();
    peer.answer(3);
    for (name, value, url) in [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", peer.url()),
        ("https_proxy", "https://127.0.0.1:1", peer.url()),
        ("https_proxy", "https://127.0.0.1:1", peer.foreign_url()),
    ] {
        let arguments = [
            "compare",
            "--yes",
            "--calls=1",
            "--strategies=native",
            "--url",
            &url,
        ];
        let mut command = command(&arguments);
        command.env(name, value);
        Running::start(command).end().expect_code(0);
    }
    let mut command = command(&["compare", "--yes", "--url", &peer.foreign_url()]);
    command.env("ALL_PROXY", "socks5://127.0.0.1:1080");
    let done = Running::start(command).end().expect_code(2);
    assert!(done.stderr.contains("ALL_PROXY=socks5://"), "{done:#?}");
    assert_eq!(peer.asked(), 3);
}

#[test]
fn a_proxy_that_has_to_be_encoded_is_the_same_for_both_clients() {
    let (target, proxy) = (Peer::start(), Peer::start());
    // ureq's are asked for a connection first, and then for the page.
    proxy.answer(20);
    let url = target.foreign_url();
    let mut command = command(&["compare", "--yes", "--calls=1", "--url", &url]);
    command.env(
        "http_proxy",
        format!("http://me:se{{c}}ret@{}", proxy.as_proxy()),
    );
    let done = Running::start(command).end();
    let heads = proxy.heads();
    assert!(heads.len() >= 6, "{done:#?}");
    // `me:se{c}ret`
    let header = "proxy-authorization: basic bwu6c2v7y31yzxq=";
    for head in heads {
        let head = head.to_lowercase();
        assert!(head.contains(header), "{head} in {done:#?}");
    }
}

#[test]
fn proxies_of_the_environment_are_shown_and_used_for_other_machines() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("me:secret@{}", listener.local_addr().expect("it is bound"));
    let (tell, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut start = [0; 8];
            let _ = stream.read(&mut start);
            let _ = tell.send(String::from_utf8_lossy(&start).into_owned());
        }
    });
    let start = |arguments: &[&str]| {
        let fixed = [
            "compare",
            "--calls",
            "1",
            "--strategies",
            "serial,native",
            "--url",
        ];
        let mut command = command(&[&fixed[..], &["http://example.invalid/"], arguments].concat());
        command.env("http_proxy", &proxy);
        Running::start(command).end()
    };
    let shown = start(&[]).expect_code(2);
    assert!(
        shown
            .stderr
            .contains("through the proxy http://me:***@127.0.0.1:"),
        "{shown:#?}"
    );
    assert!(!shown.stderr.contains("secret"), "{shown:#?}");
    assert!(heard.try_recv().is_err(), "it has not sent anything");
    start(&["--yes"]).expect_code(1);
    let mut methods: Vec<String> = heard
        .try_iter()
        .map(|start| start[..3].to_owned())
        .collect();
    methods.sort();
    methods.dedup();
    assert!(
        !methods.is_empty()
            && methods
                .iter()
                .all(|method| method == "CON" || method == "GET")
    );

    let mut socks = command(&["compare", "--yes", "--url", "http://example.invalid/"]);
    socks.env("ALL_PROXY", "socks5://me:secret@127.0.0.1:1");
    let done = Running::start(socks).end().expect_code(2);
    assert!(
        done.stderr.contains("ALL_PROXY") && !done.stderr.contains("secret"),
        "{done:#?}"
    );
}
