//! Time: a call is over when its time is up, whatever it is doing then (fault O).

use std::{
    fmt::Debug,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use ureq::{Error, SendBody, Timeout, config::ConfigBuilder, typestate::AgentScope};

use super::{
    agent, config, kind,
    peers::{Authority, Conn, Peer},
    scene::{BEFORE, Counted, PATHS, Scene, Stuck},
};
use crate::support::{Flavour, Place, Source, assert_books, eventually, settles, watched};

const TIMEOUT: Duration = Duration::from_millis(300);
const SOON: Option<Duration> = Some(TIMEOUT);

/// How late a call may be over, in the best of [`TRIES`]. ureq's own agent takes three times [`TIMEOUT`]
/// at some peers.
const LATE: Duration = Duration::from_millis(500);

/// How often a call is made that is late, on a machine that is busy with other things.
const TRIES: usize = 3;

/// As much as TLS takes at a time.
const PIECE: usize = 64 << 10;

/// What a peer does that is sent a large body.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// Reads a little, now and then.
    Slow,
    /// Reads nothing.
    Never,
    /// Answers before the body is there, and reads nothing of it (H25).
    AnswersAtOnce,
}

const READERS: [Reader; 3] = [Reader::Slow, Reader::Never, Reader::AnswersAtOnce];

impl Reader {
    fn peer(self) -> Peer {
        Peer::with_a_small_window(move |conn: &mut Conn| {
            conn.request()?;
            match self {
                // The window opens each time, and some of the body goes.
                Self::Slow => {
                    while !conn.is_let_pass() {
                        conn.take(30_000)?;
                        thread::sleep(TIMEOUT * 4 / 5);
                    }
                }
                Self::Never => {}
                Self::AnswersAtOnce => {
                    conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")?;
                }
            }
            conn.reach();
            conn.pass();
            conn.watch()
        })
    }
}

/// Makes a call, which looks at its outcome and says how long it took, until it is over in time.
#[track_caller]
fn in_time(what: impl Debug, time: Duration, mut call: impl FnMut() -> Duration) {
    let mut took = Vec::new();
    while took.last().is_none_or(|&last| last >= time) {
        assert!(took.len() < TRIES, "{what:?}: {took:?}");
        took.push(call());
    }
}

/// Sends 64 MiB, and counts what is taken of them.
fn send_much(agent: &ureq::Agent, url: &str, taken: &Arc<AtomicUsize>) -> Result<(), Error> {
    let body = SendBody::from_owned_reader(Counted(taken.clone()));
    let request = agent.post(url).header("content-length", 64 << 20);
    request.send(body).map(drop)
}

/// H24, H25.
#[test]
fn a_large_body_is_not_sent_for_longer_than_the_timeout_says() {
    watched(|| {
        for reader in READERS {
            // An answer has its time to come.
            let (timeout, soon) = match reader {
                Reader::AnswersAtOnce => (Duration::from_secs(10), Duration::from_secs(5)),
                Reader::Slow | Reader::Never => (TIMEOUT, TIMEOUT + LATE),
            };
            in_time(reader, soon, || {
                let peer = reader.peer();
                let agent = agent(config().timeout_global(Some(timeout)).build());
                let begun = Instant::now();
                let error = send_much(&agent, &peer.url("/"), &Arc::default()).unwrap_err();
                let took = begun.elapsed();
                match error {
                    Error::StatusCode(413) => assert!(matches!(reader, Reader::AnswersAtOnce)),
                    Error::Timeout(Timeout::Global) if !matches!(reader, Reader::AnswersAtOnce) => {
                        assert!(took >= TIMEOUT);
                    }
                    other => panic!("{reader:?}: {other:?}"),
                }
                peer.open();
                took
            });
        }
    });
}

everywhere! {
    /// H24, H25.
    async fn a_large_body_is_not_sent_for_longer_than_the_jobs_deadline_says(place: Place) {
        let lane = place.lane(4);
        for reader in READERS {
            let mut late = Vec::new();
            loop {
                let (peer, taken) = (reader.peer(), Arc::<AtomicUsize>::default());
                let (agent, url) = (agent(config().timeout_global(None).build()), peer.url("/"));
                let (begun, theirs) = (Instant::now(), taken.clone());
                let task = lane.timeout(TIMEOUT).offload(move || send_much(&agent, &url, &theirs));
                let mut answered = false;
                match task.await {
                    Err(error) => assert!(error.is_timeout(), "{error:?}"),
                    Ok(told) => match told.unwrap_err() {
                        // It may have seen the answer.
                        Error::StatusCode(413) => {
                            assert!(matches!(reader, Reader::AnswersAtOnce));
                            answered = true;
                        }
                        // Or its thread the deadline, before who keeps it on the runtime.
                        Error::Timeout(Timeout::Global) => assert!(begun.elapsed() >= TIMEOUT),
                        other => panic!("{reader:?}: {other:?}"),
                    },
                }
                eventually("the thread is free", || {
                    let stats = lane.stats();
                    stats.running + stats.draining == 0
                })
                .await;
                let took = begun.elapsed();
                if taken.load(Ordering::SeqCst) == 0 && !answered {
                    // It had no thread in time, or no connection.
                    continue;
                }
                peer.open();
                // It may not even have been accepted yet.
                eventually("the connection is gone", || {
                    peer.connections() == 1 && peer.record(0).end.is_some()
                })
                .await;
                if took < TIMEOUT + LATE {
                    break;
                }
                late.push(took);
                assert!(late.len() < TRIES, "{reader:?}: {late:?}");
            }
        }
        assert_books(&lane.stats());
    }
}

/// ureq's own timeouts, outside of any job.
#[test]
fn a_timeout_of_ureqs_holds_in_every_phase() {
    watched(|| {
        let authority = Authority::new();
        let paths = PATHS.map(|path| {
            [false, true].map(|tls| {
                let pooled = false;
                Stuck::At { path, tls, pooled }
            })
        });
        let scenes: Vec<Stuck> = BEFORE.into_iter().chain(paths.concat()).collect();
        thread::scope(|scope| {
            for stuck in scenes {
                let authority = &authority;
                scope.spawn(move || {
                    // All of them at once, on two cores.
                    in_time(stuck, TIMEOUT + LATE * 2, || {
                        let scene = Scene::new(stuck, authority, Some(TIMEOUT));
                        let begun = Instant::now();
                        let error = scene.stuck_call()().unwrap_err();
                        let took = begun.elapsed();
                        assert_eq!(kind(&error), "timeout", "{stuck:?}: {error:?}");
                        assert!(took >= TIMEOUT, "{stuck:?}: {took:?}");
                        took
                    });
                });
            }
        });
    });
}

/// ureq says which of its timeouts it was.
#[test]
fn a_timeout_is_called_by_its_name() {
    type Config = ConfigBuilder<AgentScope>;
    type Set = fn(Config) -> Config;
    let cases: [(Set, &str, Timeout); 7] = [
        (|c| c.timeout_connect(SOON), "", Timeout::Connect),
        (
            |c| c.timeout_recv_response(SOON),
            "/silent",
            Timeout::RecvResponse,
        ),
        (
            |c| c.timeout_recv_body(SOON),
            "/half-body",
            Timeout::RecvBody,
        ),
        (
            |c| c.timeout_send_body(SOON),
            "/reads-nothing",
            Timeout::SendBody,
        ),
        (|c| c.timeout_per_call(SOON), "/elsewhere", Timeout::PerCall),
        (
            |c| c.timeout_per_read(SOON),
            "/half-chunk",
            Timeout::PerRead,
        ),
        (
            |c| c.timeout_per_write(SOON),
            "/reads-nothing",
            Timeout::PerWrite,
        ),
    ];
    watched(move || {
        let authority = Authority::new();
        for (set, path, name) in cases {
            let stuck = match path {
                "" => Stuck::Connecting,
                path => Stuck::At {
                    path,
                    tls: false,
                    pooled: false,
                },
            };
            in_time(name, TIMEOUT + LATE, || {
                let scene = Scene::configured(stuck, &authority, set);
                let begun = Instant::now();
                match scene.stuck_call()().unwrap_err() {
                    Error::Timeout(told) => assert_eq!(told, name),
                    other => panic!("{name:?}: {other:?}"),
                }
                let took = begun.elapsed();
                assert!(took >= TIMEOUT, "{name:?}: {took:?}");
                took
            });
        }
    });
}

/// The same behind TLS, which keeps to itself that a piece of a body could not be sent: it may be the
/// last, and what follows has more time or no end.
#[test]
fn a_timeout_of_a_write_holds_behind_tls_whichever_piece_it_is() {
    type Set = fn(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>;
    let cases: [(Set, Timeout); 2] = [
        (|c| c.timeout_send_body(SOON), Timeout::SendBody),
        (|c| c.timeout_per_write(SOON), Timeout::PerWrite),
    ];
    watched(move || {
        let authority = Authority::new();
        let reads_nothing = authority.wrap(Arc::new(|conn: &mut Conn| {
            conn.request()?;
            conn.pass();
            conn.watch()
        }));
        for (set, name) in cases {
            let call = |length: usize| {
                let script = reads_nothing.clone();
                let peer = Peer::with_a_small_window(move |conn| script(conn)).https();
                let config = config()
                    .timeout_global(Some(Duration::from_secs(5)))
                    // What comes after the last piece has more time, and soon an end.
                    .timeout_recv_response(Some(TIMEOUT * 3))
                    .output_buffer_size(PIECE)
                    .tls_config(authority.trusted());
                let agent = agent(set(config).build());
                let taken = Arc::default();
                let body = Counted(Arc::clone(&taken)).take(length as u64);
                let begun = Instant::now();
                let request = agent.post(peer.url("/")).header("content-length", length);
                let told = request.send(SendBody::from_owned_reader(body));
                let took = begun.elapsed();
                peer.open();
                settles("the peer has what there is", || peer.ended() == 1);
                let arrived = peer.record(0).received;
                (
                    told.unwrap_err(),
                    took,
                    taken.load(Ordering::SeqCst),
                    arrived,
                )
            };
            // One of many cannot be sent, which is told with the next. A call with none after it has
            // one less, or a little more or less than that.
            let fits = || call(64 << 20).2.saturating_sub(2 * PIECE).max(PIECE);
            let (mut length, mut late) = (fits(), Vec::new());
            loop {
                let (error, took, _, arrived) = call(length);
                if arrived >= length {
                    // This time there was room for it, or the first call had too little time to fill that.
                    length = fits().max(length + PIECE);
                    continue;
                }
                match error {
                    Error::Timeout(told) => assert_eq!(told, name, "{length}"),
                    other => panic!("{name:?}, {length}: {other:?}"),
                }
                assert!(took >= TIMEOUT, "{name:?}, {length}: {took:?}");
                if took < TIMEOUT + LATE {
                    break;
                }
                late.push(took);
                assert!(late.len() < TRIES, "{name:?}, {length}: {late:?}");
            }
        }
    });
}

/// A job's deadline is kept by its runtime; a thread does not rely on that.
#[test]
fn a_deadline_holds_where_nobody_drives_the_runtime() {
    watched(|| {
        let authority = Authority::new();
        for source in [Source::Tokio, Source::Threads] {
            for path in [
                "/silent",
                "/drip",
                "/endless",
                "/swallows",
                "/reads-nothing",
            ] {
                let place = Place {
                    source,
                    flavour: Flavour::CurrentThread,
                };
                let stuck = Stuck::At {
                    path,
                    tls: false,
                    pooled: false,
                };
                loop {
                    let scene = Scene::new(stuck, &authority, None);
                    let runtime = place.flavour.runtime();
                    let lane = place.lane(1);
                    let (call, (told, outcome)) = (scene.stuck_call(), mpsc::channel());
                    let begun = Instant::now();
                    let _entered = runtime.enter();
                    let task = lane
                        .timeout(TIMEOUT)
                        .offload(move || told.send(call()).unwrap());
                    let told = outcome.recv_timeout(Duration::from_secs(5));
                    if matches!(told, Err(RecvTimeoutError::Disconnected)) {
                        // Its time was up before it had a thread.
                        continue;
                    }
                    let error = told.unwrap().unwrap_err();
                    assert!(begun.elapsed() >= TIMEOUT);
                    assert!(
                        ["timeout", "other"].contains(&kind(&error)),
                        "{path}: {error:?}"
                    );
                    drop(task);
                    break;
                }
            }
        }
    });
}
