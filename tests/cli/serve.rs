//! Row L7: the server alone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
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

/// As the help says.
#[test]
fn a_client_that_has_closed_its_side_is_taken_for_gone() {
    let server = Serving::start(&[]);
    let mut stream = connect(&server);
    let request = b"GET /delay/600000 HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).expect("the server reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(stream.read(&mut [0]).expect("it is closed"), 0);
}

#[test]
fn the_options_shape_the_answers_that_ask_for_nothing() {
    let server = Serving::start(&["--latency", "150ms", "--body-size", "5000"]);
    assert!(server.next_line().starts_with("answers take 150ms;"));
    let began = Instant::now();
    let answer = get(&server, "/anything");
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert!(answer.contains("content-length: 5000\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body.len(), 5_000);
    let server = Serving::start(&["--latency", "0ms", "--body-size", "0"]);
    assert!(get(&server, "/anything").contains("content-length: 0\r\n"));
}

#[test]
fn jitter_is_added_to_the_latency() {
    let server = Serving::start(&["--latency=50ms", "--jitter=300ms", "--seed=3"]);
    assert!(
        server
            .next_line()
            .starts_with("answers take 50ms to 350ms;")
    );
    let took: Vec<Duration> = (0..16)
        .map(|_| {
            let began = Instant::now();
            assert!(get(&server, "/anything").starts_with("HTTP/1.1 200"));
            began.elapsed()
        })
        .collect();
    let (least, most) = (took.iter().min(), took.iter().max());
    assert!(least >= Some(&Duration::from_millis(50)), "{took:?}");
    // What this seed draws; and it is not the same for all, unless the machine is slow to no end.
    assert!(most >= Some(&Duration::from_millis(250)), "{took:?}");
    assert!(least < most.map(|most| *most / 2).as_ref(), "{took:?}");
}

#[test]
fn what_is_to_fail_fails_on_the_wire() {
    let start = |rule| Serving::start(&["--latency", "0ms", "--body-size", "1000", "--fail", rule]);
    let whole = |answer: &str, status: &str, promised: usize, sent: usize| {
        assert!(answer.starts_with(status), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.contains(&format!("content-length: {promised}\r\n")),
            "{head}"
        );
        assert_eq!(body.len(), sent);
    };
    for (rule, status, promised, sent) in [
        ("status:503:1", "HTTP/1.1 503 ", 1000, 1000),
        ("truncate:1", "HTTP/1.1 200 ", 1000, 500),
        ("size:1", "HTTP/1.1 200 ", 500, 500),
        ("reset:0", "HTTP/1.1 200 ", 1000, 1000),
    ] {
        let server = start(rule);
        whole(&get(&server, "/anything"), status, promised, sent);
        // What asks for something else gets it.
        whole(&get(&server, "/status/418"), "HTTP/1.1 418 ", 1000, 1000);
    }

    let ask = |server: &Serving| {
        let mut stream = connect(server);
        stream
            .write_all(b"GET /anything HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("the server reads");
        stream
    };
    let reset = ask(&start("reset:1")).read(&mut [0]);
    let kind = reset.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset));

    let server = start("hang:1");
    let mut hung = ask(&server);
    hung.set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a socket takes it");
    let kind = hung.read(&mut [0]).map_err(|error| error.kind());
    // One of the two, by system.
    assert!(
        matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{kind:?}"
    );
    assert!(get(&server, "/status/200").starts_with("HTTP/1.1 200"));
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
    let answer = said(&server, chunked);
    assert!(
        answer.starts_with("HTTP/1.1 501") && answer.contains("Content-Length"),
        "{answer}"
    );
    let large = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\n";
    let answer = said(&server, large);
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.ends_with("1 MiB at most\n"),
        "{answer}"
    );
}

#[test]
fn who_waits_for_leave_to_send_a_body_is_given_it() {
    let server = Serving::start(&["--latency", "0ms"]);
    let mut stream = connect(&server);
    let head =
        "PUT /bytes/2 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut leave = [0; 25];
    stream.read_exact(&mut leave).expect("the server says so");
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").expect("the server reads");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("the server answers");
    assert_eq!(&first, b"HTTP/1.1 200");
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
    answers_again(&server);
}

/// How many files the process `id` has open.
#[cfg(target_os = "linux")]
fn open_files(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

#[test]
fn hundreds_of_idle_connections_hold_no_more_than_their_bound() {
    // One file each here, and as many again for the tests that run beside this one.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = files.current.unwrap_or(u64::MAX) / 2;
    let count = usize::try_from(most.min(500)).expect("it is small");
    let bound = count / 2;
    let server = Serving::start(&["--latency=0ms", &format!("--connections={bound}")]);
    #[cfg(target_os = "linux")]
    let before = open_files(server.id());

    let mut held: Vec<TcpStream> = (0..count).map(|_| connect(&server)).collect();
    for stream in &held {
        // They end with a reset: the system would remember each for a minute, and the next tests
        // would run short of ports.
        let at_once = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(stream, at_once).expect("a socket takes it");
    }
    // They are taken in their order. Those over the bound are told so, and let go.
    for over in &mut held.split_off(bound) {
        let mut answer = String::new();
        let _ = over.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    #[cfg(target_os = "linux")]
    assert_eq!(open_files(server.id()), before + bound);

    // Those within it have their answers, as if they were alone.
    for stream in &mut held {
        stream
            .write_all(b"GET /bytes/0 HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("the server reads");
    }
    for stream in &mut held {
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("the server answers");
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    assert!(get(&server, "/").starts_with("HTTP/1.1 503 "));
    drop(held);
    answers_again(&server);
}

/// Places are free when the server has seen the ends of those who had them, which is soon.
fn answers_again(server: &Serving) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !get(server, "/").starts_with("HTTP/1.1 200") {
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
