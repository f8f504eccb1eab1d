//! TLS by the system's library, through the same connections.

use ureq::{Agent, SendBody, tls::TlsProvider};

use super::{
    agent, config, get, kind,
    peers::{Authority, Peer, site},
};
use crate::support::{Place, eventually, is_as_new};

fn trusting(authority: &Authority) -> Agent {
    let tls = authority.trusted_by(TlsProvider::NativeTls);
    agent(config().tls_config(tls).build())
}

in_and_out_of_a_job! {
    fn a_call_by_native_tls_is_answered_and_its_connection_used_again() {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, site);
        let agent = trusting(&authority);
        for _ in 0..3 {
            get(&agent, &peer.url("/ok")).unwrap();
        }
        assert_eq!(peer.connections(), 1);
    }

    fn native_tls_trusts_nobody_it_was_not_told_to() {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let peer = Peer::with_tls(&theirs, site);
        let error = get(&trusting(&ours), &peer.url("/ok")).unwrap_err();
        assert!(format!("{error:?}").contains("ertificate"), "{}: {error:?}", kind(&error));
        assert!(peer.heads().is_empty());
    }

    /// H6. As of rustls: see `handshakes.rs`.
    fn a_native_tls_connection_that_is_cut_is_not_the_end_of_a_body() {
        let authority = Authority::new();
        for (resets, closes) in [(false, false), (true, false), (false, true)] {
            let peer = Peer::with_tls(&authority, move |conn| {
                conn.request()?;
                conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234")?;
                match (resets, closes) {
                    (true, _) => conn.reset(),
                    (_, true) => conn.finish(),
                    _ => Ok(()),
                }
            });
            let told = get(&trusting(&authority), &peer.url("/"));
            assert_eq!(told.is_ok(), closes, "{told:?}");
        }
    }
}

everywhere! {
    /// C3. In the handshake, while a body is sent, waiting for the head, in the body, and while one
    /// comes at full speed.
    async fn a_cancel_ends_a_call_by_native_tls(place: Place) {
        let authority = Authority::new();
        let agent = trusting(&authority);
        let mute = Peer::new(|conn| conn.watch()).https();
        let speaks = Peer::with_tls(&authority, site);
        let lane = place.lane(4);
        for url in [
            mute.url("/"),
            speaks.url("/reads-nothing"),
            speaks.url("/swallows"),
            speaks.url("/silent"),
            speaks.url("/half-body"),
            speaks.url("/until-close"),
            speaks.url("/endless"),
        ] {
            let stuck = || mute.connections() + speaks.reached();
            let before = stuck();
            let theirs = agent.clone();
            let (told, outcome) = std::sync::mpsc::channel();
            let call = move || {
                if url.ends_with("/reads-nothing") || url.ends_with("/swallows") {
                    let endless = SendBody::from_owned_reader(std::io::repeat(0));
                    theirs.post(&url).send(endless).map(drop)
                } else {
                    get(&theirs, &url).map(drop)
                }
            };
            let task = lane.offload(move || drop(told.send(call())));
            eventually("the call is stuck", || stuck() > before).await;
            drop(task);
            eventually("its thread is free", || {
                let stats = lane.stats();
                stats.running + stats.draining == 0
            }).await;
            let error = outcome.recv().unwrap().expect_err("cut short, it is not whole");
            assert!(format!("{error:?}").contains("Cancelled"), "{error:?}");
        }
        get(&agent, &speaks.url("/ok")).unwrap();
        is_as_new(&lane).await;
    }
}
