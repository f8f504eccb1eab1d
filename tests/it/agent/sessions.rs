//! What TLS needs is made once, whoever asks first: the certificates that are trusted, and the sessions.

use std::{
    fmt, io,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{
    HandshakeKind,
    crypto::{CryptoProvider, KeyProvider, ring},
    pki_types::PrivateKeyDer,
    sign::SigningKey,
};
use ureq::{Agent, Error};

use super::{
    agent, config, get, kind,
    peers::{Authority, Conn, Peer, site},
};
use crate::support::{Place, eventually, is_as_new, settles};

/// A call with a configuration of its own, though with nothing in it that concerns TLS: as those of
/// `Client` are.
fn get_on_its_own_terms(agent: &Agent, url: &str) -> Result<String, Error> {
    let request = agent.get(url).config().max_redirects(0).build();
    request.call()?.body_mut().read_to_string()
}

/// How a call is made.
type Call = fn(&Agent, &str) -> Result<String, Error>;

const CALLS: [Call; 2] = [get, get_on_its_own_terms];

/// An agent whose TLS has a key to load.
fn agent_with_a_key(authority: &Authority, key_provider: &'static Made) -> Agent {
    let provider = Arc::new(CryptoProvider {
        key_provider,
        ..ring::default_provider()
    });
    let tls = authority.trusted_with_a_key(provider);
    agent(config().tls_config(tls).build())
}

/// One answer for each connection.
pub(crate) fn one_answer(conn: &mut Conn) -> io::Result<()> {
    conn.request()?;
    conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?;
    conn.finish()
}

/// How the handshakes of a peer's connections went that it is done with.
pub(crate) fn handshakes(peer: &Peer, count: usize) -> Vec<Option<HandshakeKind>> {
    settles("it is done with them", || peer.ended() == count);
    (0..count).map(|id| peer.record(id).handshake).collect()
}

in_and_out_of_a_job! {
    fn a_session_is_resumed_whoever_made_it() {
        let authority = Authority::new();
        for first in CALLS {
            for second in CALLS {
                let peer = Peer::with_tls(&authority, one_answer);
                let agent = agent(config().tls_config(authority.trusted()).build());
                assert_eq!(first(&agent, &peer.url("/")).unwrap(), "ok");
                assert_eq!(second(&agent, &peer.url("/")).unwrap(), "ok");
                let full_and_resumed = [HandshakeKind::Full, HandshakeKind::Resumed];
                assert_eq!(handshakes(&peer, 2), full_and_resumed.map(Some));
            }
        }
    }

    fn a_request_that_trusts_others_trusts_nobody_else() {
        let (agents, requests) = (Authority::new(), Authority::new());
        let peers = [&agents, &requests].map(|authority| Peer::with_tls(authority, site));
        let agent = agent(config().tls_config(agents.trusted()).build());
        let on_its_own_terms = |peer: &Peer| {
            let request = agent.get(peer.url("/ok")).config();
            let request = request.tls_config(requests.trusted()).build();
            request.call().map(drop).map_err(|error| kind(&error))
        };
        // Before the agent's own was needed, and after.
        for _ in 0..2 {
            assert_eq!(on_its_own_terms(&peers[1]), Ok(()));
            assert!(on_its_own_terms(&peers[0]).is_err(), "nor those whom the agent trusts");
            assert!(get(&agent, &peers[0].url("/ok")).is_ok());
            assert!(get(&agent, &peers[1].url("/ok")).is_err());
        }
    }

    fn calls_that_are_made_at_once_have_it_made_once() {
        const CALLERS: usize = 8;
        let authority = Authority::new();
        for call in CALLS {
            let peer = Peer::with_tls(&authority, site);
            let made = Made::new();
            let agent = agent_with_a_key(&authority, made);
            let begin = Barrier::new(CALLERS);
            thread::scope(|scope| {
                let callers: Vec<_> = (0..CALLERS)
                    .map(|_| {
                        scope.spawn(|| {
                            begin.wait();
                            call(&agent, &peer.url("/ok")).unwrap()
                        })
                    })
                    .collect();
                settles("somebody needs it, and all are there", || {
                    made.count() > 0 && peer.connections() == CALLERS
                });
                made.go_on();
                callers.into_iter().for_each(|caller| drop(caller.join().unwrap()));
            });
            assert_eq!(made.count(), 1);
        }
    }
}

everywhere! {
    /// K19. To make it cannot be interrupted, as it is the user's code; to wait until it is made can.
    async fn whoever_waits_until_it_is_made_can_leave(place: Place) {
        let authority = Authority::new();
        let peer = Peer::with_tls(&authority, site);
        let made = Made::new();
        let agent = agent_with_a_key(&authority, made);
        let (lane, url) = (place.lane(2), peer.url("/ok"));
        let (theirs, at) = (agent.clone(), url.clone());
        let first = lane.offload(move || get(&theirs, &at));
        eventually("somebody makes it", || made.count() == 1).await;

        let (theirs, at) = (agent.clone(), url.clone());
        let cancelled = lane.offload(move || get(&theirs, &at));
        eventually("the next is there", || peer.connections() == 2).await;
        drop(cancelled);
        eventually("its slot is free", || {
            let stats = lane.stats();
            (stats.running, stats.draining) == (1, 0)
        })
        .await;

        let late = lane.offload(move || {
            let request = agent.get(&url).config();
            let request = request.timeout_connect(Some(Duration::from_millis(100))).build();
            request.call().map(drop)
        });
        let error = late.await.unwrap().unwrap_err();
        assert_eq!(kind(&error), "timeout", "{error:?}");
        made.go_on();
        assert_eq!(first.await.unwrap().unwrap(), "0");
        assert_eq!(made.count(), 1);
        is_as_new(&lane).await;
    }
}

/// Counts how often a configuration is made, which is when it is given its key; and holds whoever
/// makes the first until it is told to go on.
struct Made {
    count: AtomicUsize,
    held: Barrier,
}

impl Made {
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            count: AtomicUsize::new(0),
            held: Barrier::new(2),
        }))
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn go_on(&self) {
        self.held.wait();
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Made({})", self.count())
    }
}

impl KeyProvider for Made {
    fn load_private_key(
        &self,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        if self.count.fetch_add(1, Ordering::SeqCst) == 0 {
            self.held.wait();
        }
        ring::default_provider().key_provider.load_private_key(key)
    }
}
