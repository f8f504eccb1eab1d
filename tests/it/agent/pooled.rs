//! A connection that goes back and forth between calls: a cancel reaches the call, never the
//! connection's next user (C4, C12), and what it cuts short is never taken for whole.

use std::{
    io::Read,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use longshore::{CancelToken, error::Cancelled};

use super::{
    agent, config, get,
    peers::{Authority, Conn, Peer, site},
    plain_agent,
};
use crate::support::{Gate, Place, eventually, is_as_new};

everywhere! {
    /// C12. Whoever cancels a call comes too late, and the next call has the connection by then.
    async fn a_cancel_of_a_call_that_is_over_hurts_nobody(place: Place) {
        let lane = place.lane(2);
        let (peer, agent) = (Peer::new(site), plain_agent());
        for _ in 0..100 {
            let token = CancelToken::new();
            let url = peer.url("/ok");
            let (over, next_begins) = (Gate::new(), Gate::new());
            // The first job is still there when its call is over.
            let first = {
                let (agent, url, door, stay) =
                    (agent.clone(), url.clone(), over.door(), next_begins.door());
                lane.cancelled_by(&token).offload(move || {
                    let told = get(&agent, &url);
                    door.pass();
                    stay.pass();
                    told
                })
            };
            over.arrived(1).await;
            let second = {
                let (agent, door) = (agent.clone(), next_begins.door());
                lane.offload(move || {
                    door.open();
                    get(&agent, &url)
                })
            };
            token.cancel();
            over.open();
            assert_eq!(second.await.unwrap().unwrap(), "0");
            let _ = first.await;
        }
        is_as_new(&lane).await;
        assert_eq!(peer.connections(), 1);
    }

    /// With the configuration that is meant for lanes.
    async fn as_many_connections_are_kept_as_calls_are_made_at_once(place: Place) {
        const CALLS: usize = 24;
        let lane = place.lane(CALLS);
        let agent = agent(longshore::ureq::config().proxy(None).build());
        // Answers when all of them have asked.
        let arrived = Arc::new(Barrier::new(CALLS));
        let peer = Peer::new(move |conn| {
            while conn.request()?.is_some() {
                arrived.wait();
                conn.reply("all here")?;
            }
            Ok(())
        });
        for _ in 0..3 {
            let tasks: Vec<_> = (0..CALLS)
                .map(|_| {
                    let (agent, url) = (agent.clone(), peer.url("/"));
                    lane.offload(move || get(&agent, &url))
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap().unwrap(), "all here");
            }
        }
        assert_eq!(peer.connections(), CALLS);
    }

    /// A body may be read elsewhere than where its head was: that job is the one that counts.
    async fn a_body_belongs_to_the_job_that_reads_it(place: Place) {
        let lane = place.lane(1);
        let (peer, agent, token) = (Peer::new(site), plain_agent(), CancelToken::new());
        let url = peer.url("/half-body");
        let head = lane.cancelled_by(&token).offload(move || agent.get(url).call());
        let body = head.await.unwrap().unwrap().into_body();
        token.cancel();
        let (gate, (told, reads)) = (Gate::new(), mpsc::channel());
        let door = gate.door();
        let task = lane.offload(move || {
            let mut body = body.into_reader();
            let mut start = [0; 5];
            told.send(body.read_exact(&mut start)).unwrap();
            door.pass();
            told.send(body.read_exact(&mut start)).unwrap();
        });
        gate.arrived(1).await;
        reads.recv().unwrap().expect("the cancel was for another job");
        gate.open();
        eventually("it waits for more", || lane.stats().running == 1).await;
        drop(task);
        is_as_new(&lane).await;
        reads.recv().unwrap().unwrap_err();
        eventually("the peer sees it closed", || peer.record(0).end.is_some()).await;
    }

    /// C4. Cancels at any moment, beside calls that share the connections.
    async fn cancels_never_reach_another_call(place: Place) {
        for tls in [false, true] {
            storm(place, tls).await;
        }
    }

    /// The close of a connection is the end of such a body: ours must not be taken for the peer's.
    async fn a_body_that_is_cut_short_by_a_cancel_does_not_end(place: Place) {
        let lane = place.lane(1);
        let authority = Authority::new();
        let endless = |conn: &mut Conn| {
            conn.request()?;
            conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234")?;
            conn.watch()
        };
        for peer in [Peer::new(endless), Peer::with_tls(&authority, endless)] {
            let agent = agent(config().tls_config(authority.trusted()).build());
            let (url, gate, (told, reads)) = (peer.url("/"), Gate::new(), mpsc::channel());
            let door = gate.door();
            let task = lane.offload(move || {
                let mut answer = agent.get(url).call().unwrap();
                let mut body = answer.body_mut().as_reader();
                let mut start = [0; 5];
                body.read_exact(&mut start).unwrap();
                assert_eq!(&start, b"01234");
                door.pass();
                // Whoever tries again hears the same.
                for _ in 0..3 {
                    told.send(body.read(&mut start)).unwrap();
                }
            });
            gate.arrived(1).await;
            drop(task);
            gate.open();
            for _ in 0..3 {
                let read = reads.recv().unwrap();
                let error = read.expect_err("not the end, nor anything else");
                let cause = error.get_ref().expect("it wraps what ureq says");
                let ours = match cause.downcast_ref::<ureq::Error>() {
                    Some(ureq::Error::Other(cause)) => cause.is::<Cancelled>(),
                    _ => false,
                };
                assert!(ours, "{error:?}");
            }
            eventually("the peer sees it closed", || peer.record(0).end.is_some()).await;
        }
        is_as_new(&lane).await;
    }
}

/// Six hundred calls over a few connections, a third of them cancelled at some moment.
async fn storm(place: Place, tls: bool) {
    const CALLS: usize = 600;
    const THREADS: usize = 8;
    let lane = place.lane(THREADS);
    let authority = Authority::new();
    // Says what it was asked for, sometimes after a while.
    let echo = |conn: &mut Conn| {
        while let Some(request) = conn.request()? {
            if request.target().ends_with('7') {
                conn.linger();
            }
            conn.reply(request.target())?;
        }
        Ok(())
    };
    let peer = if tls {
        Peer::with_tls(&authority, echo)
    } else {
        Peer::new(echo)
    };
    // It keeps all that are whole, not only three for a host: what is opened beyond was cut.
    let settings = config()
        .tls_config(authority.trusted())
        .max_idle_connections_per_host(THREADS);
    let agent = agent(settings.build());
    let cut = Arc::new(AtomicUsize::new(0));
    stream::iter(0..CALLS)
        .map(|call| {
            let (path, agent, cut) = (format!("/{call}"), agent.clone(), cut.clone());
            let url = peer.url(&path);
            let task = lane.offload(move || get(&agent, &url));
            async move {
                if call % 3 > 0 {
                    let body = task.await.unwrap().expect("nobody cancels this one");
                    assert_eq!(body, path, "somebody else's answer");
                    return;
                }
                // From at once to well after it is over, so that each moment has its turn.
                let moment = Duration::from_micros((call as u64 * 37) % 2_000);
                match tokio::time::timeout(moment, task).await {
                    Ok(told) => assert_eq!(told.unwrap().unwrap(), path),
                    Err(_) => drop(cut.fetch_add(1, Ordering::SeqCst)),
                }
            }
        })
        .buffer_unordered(16)
        .collect::<()>()
        .await;
    is_as_new(&lane).await;
    let cut = cut.load(Ordering::SeqCst);
    assert!(cut > 0, "none was cut short: it tests nothing");
    assert!(
        peer.connections() <= THREADS + cut,
        "{} for {cut}",
        peer.connections()
    );
}
