//! Row L7: the server alone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::run::{Serving, run};

fn connect(server: &Serving) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket takes it");
    stream
}

/// What the server says to `request` until it closes the connection.
fn said(server: &Serving, request: &str) -> String {
    let mut stream = connect(server);
    stream
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &Serving, path: &str) -> String {
    said(
        server,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
}

#[test]
fn paths_ask_for_what_they_want() {
    let server = Serving::start(&["--latency", "0ms"]);
    assert!(get(&server, "/").contains("/delay/MS"));
    assert!(get(&server, "/status/503").starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(get(&server, "/bytes/5").ends_with("\r\n\r\n....."));
    assert!(get(&server, "/anything").contains("content-length: 64\r\n"));
    assert!(get(&server, "/truncate?bytes=10").ends_with("\r\n\r\n....."));
    assert_eq!(get(&server, "/reset"), "");
    let began = Instant::now();
    assert!(get(&server, "/delay/120").starts_with("HTTP/1.1 200"));
    assert!(began.elapsed() >= Duration::from_millis(120));
    assert!(get(&server, "/status/99").starts_with("HTTP/1.1 400"));
}

#[test]
fn a_connection_is_kept_and_requests_may_come_ahead() {
    let server = Serving::start(&["--latency", "10ms"]);
    let two = "GET /bytes/3 HTTP/1.1\r\nhost: x\r\n\r\n\
               POST /bytes/4 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
    let answer = said(&server, two);
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(answer.ends_with("\r\n\r\n...."), "{answer}");
}

#[test]
fn rude_requests_are_answered_and_closed() {
    let server = Serving::start(&[]);
    assert!(said(&server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(20_000));
    let answer = said(&server, &long);
    // The rest of a head that is not read may reset the connection before the answer is.
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(said(&server, chunked).starts_with("HTTP/1.1 501"));
}

#[test]
fn connections_are_bounded_and_come_back() {
    let server = Serving::start(&["--connections", "2", "--latency", "0ms"]);
    let mut held = [connect(&server), connect(&server)];
    // Both are being served, as their answers show.
    for stream in &mut held {
        stream
            .write_all(b"GET /bytes/0 HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("the server reads");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("the server answers");
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let mut over = connect(&server);
    let mut answer = String::new();
    let _ = over.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(held);
    // Freed when the server has seen the ends, which is soon.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !get(&server, "/").starts_with("HTTP/1.1 200") {
        assert!(
            Instant::now() < deadline,
            "the connections do not come back"
        );
    }
}

#[test]
fn it_listens_on_one_address_of_this_machine_alone() {
    let server = Serving::start(&[]);
    let port = server
        .address
        .strip_prefix("127.0.0.1:")
        .expect("an address of this machine");
    // All of 127.0.0.0/8 is this machine, on Linux; only what listens on 0.0.0.0 has it all.
    assert!(TcpStream::connect(format!("127.0.0.2:{port}")).is_err());

    let taken = run(&["serve", "--port", port]).expect_code(1);
    assert_eq!(taken.stderr.lines().count(), 1, "{taken:#?}");
    assert!(
        taken.stderr.contains(&format!("port {port} is in use")),
        "{taken:#?}"
    );
}

#[test]
fn the_rate_of_failures_is_kept_and_the_same_for_a_seed() {
    let statuses = || -> String {
        let server = Serving::start(&[
            "--latency",
            "0ms",
            "--fail",
            "status:500:0.5",
            "--seed",
            "3",
        ]);
        (0..40)
            .map(|_| {
                if get(&server, "/x").starts_with("HTTP/1.1 500") {
                    '5'
                } else {
                    '2'
                }
            })
            .collect()
    };
    let first = statuses();
    assert!((8..=32).contains(&first.matches('5').count()), "{first}");
    assert_eq!(first, statuses());
}
