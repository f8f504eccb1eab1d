//! Where a call stands when it is cancelled: one scene for each phase.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ureq::{Agent, Error, Proxy, SendBody, config::ConfigBuilder, typestate::AgentScope};

use super::{
    agent, config, get,
    peers::{
        Authority, Backlog, Manners, NOWHERE, Peer, SocksManners, connect_proxy, site, socks_proxy,
    },
};

/// Longer than it takes from a full buffer to the next read, where somebody reads.
pub(super) const STILL: Duration = Duration::from_millis(20);

/// In which phase a call is stuck, or busy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stuck {
    /// Nobody accepts.
    Connecting,
    /// The peer is silent in the TLS handshake.
    Handshake,
    /// An HTTP proxy is silent, on the way to a host that speaks TLS or does not.
    Proxy { tls: bool },
    /// A SOCKS proxy is silent, from the beginning or after the greeting.
    Socks { scheme: &'static str, later: bool },
    /// What [`site`] has on this path.
    At {
        path: &'static str,
        tls: bool,
        /// On a connection that has served another call before.
        pooled: bool,
    },
}

/// The paths on which a peer goes wrong while a request is under way.
pub(crate) const PATHS: [&str; 15] = [
    "/silent",
    "/half-head",
    "/head-only",
    "/half-body",
    "/half-chunk",
    "/until-close",
    "/elsewhere",
    "/drip",
    "/endless",
    "/reads-nothing",
    "/reads-nothing?known-length",
    "/reads-nothing?interim",
    "/swallows",
    "/expects-nothing",
    "/expects-half",
];

/// Those where there is no connection yet that could be used.
pub(crate) const BEFORE: [Stuck; 12] = {
    const fn socks(scheme: &'static str, later: bool) -> Stuck {
        Stuck::Socks { scheme, later }
    }
    [
        Stuck::Connecting,
        Stuck::Handshake,
        Stuck::Proxy { tls: false },
        Stuck::Proxy { tls: true },
        socks("socks4", false),
        socks("socks4", true),
        socks("socks4a", false),
        socks("socks4a", true),
        socks("socks5", false),
        socks("socks5", true),
        socks("socks5h", false),
        socks("socks5h", true),
    ]
};

/// The peers of one call, and the agent that makes it.
pub(crate) struct Scene {
    pub(crate) agent: Agent,
    pub(crate) url: String,
    next: String,
    /// Whom the agent connects to.
    front: Front,
    /// Whoever is behind a proxy.
    _behind: Option<Peer>,
    /// How much of its request the call has had from its reader.
    taken: Arc<AtomicUsize>,
}

enum Front {
    Peer(Peer),
    Backlog(Option<Backlog>),
}

impl Scene {
    /// `timeout` is for the call as a whole; there is no other.
    pub(crate) fn new(stuck: Stuck, authority: &Authority, timeout: Option<Duration>) -> Self {
        Self::configured(stuck, authority, |config| config.timeout_global(timeout))
    }

    /// With no timeouts but those that `set` sets.
    pub(crate) fn configured(
        stuck: Stuck,
        authority: &Authority,
        set: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
    ) -> Self {
        let behind = |tls| {
            if tls {
                Peer::with_tls(authority, site)
            } else {
                Peer::new(site)
            }
        };
        let config = config()
            .timeout_global(None)
            .timeout_await_100(None)
            .tls_config(authority.trusted());
        let config = set(config);
        let (front, behind, config, path) = match stuck {
            Stuck::Connecting => (Front::Backlog(Some(Backlog::new())), None, config, "/ok"),
            Stuck::Handshake => {
                let silent = Arc::new(|conn: &mut super::peers::Conn| {
                    conn.take(1)?;
                    conn.reach();
                    conn.watch()
                });
                let peer = Peer::first(silent, authority.wrap(Arc::new(site))).https();
                (Front::Peer(peer), None, config, "/ok")
            }
            Stuck::Proxy { tls } => {
                let proxy = Peer::first(
                    Arc::new(connect_proxy(Manners::Silent)),
                    Arc::new(connect_proxy(Manners::Open)),
                );
                let via = Proxy::new(&proxy.url("")).expect("a good URL");
                let config = config.proxy(Some(via));
                (Front::Peer(proxy), Some(behind(tls)), config, "/ok")
            }
            Stuck::Socks { scheme, later } => {
                let silent = if later {
                    SocksManners::SilentLater
                } else {
                    SocksManners::Silent
                };
                let proxy = Peer::first(
                    Arc::new(socks_proxy(silent)),
                    Arc::new(socks_proxy(SocksManners::Open)),
                );
                let via = format!("{scheme}://127.0.0.1:{}", proxy.port());
                let config = config.proxy(Some(Proxy::new(&via).expect("a good URL")));
                (Front::Peer(proxy), Some(behind(true)), config, "/ok")
            }
            Stuck::At { path, tls, .. } => (Front::Peer(behind(tls)), None, config, path),
        };
        let target = |path: &str| match (&front, &behind) {
            // Only some proxies look names up.
            (_, Some(behind)) => match stuck {
                Stuck::Socks {
                    scheme: "socks4a" | "socks5h",
                    ..
                } => behind.url_at(NOWHERE, path),
                _ => behind.url(path),
            },
            (Front::Peer(peer), None) => peer.url(path),
            (Front::Backlog(backlog), None) => backlog.as_ref().expect("it is full").url(path),
        };
        Self {
            agent: agent(config.build()),
            url: target(path),
            next: target("/ok"),
            front,
            _behind: behind,
            taken: Arc::default(),
        }
    }

    /// A call that ends well, with the number of its connection to the last of the peers.
    pub(crate) fn good_call(&self) -> impl FnOnce() -> Result<String, Error> + Send + 'static {
        let (agent, url) = (self.agent.clone(), self.next.clone());
        move || get(&agent, &url)
    }

    /// The call that gets stuck.
    pub(crate) fn stuck_call(&self) -> impl FnOnce() -> Result<Vec<u8>, Error> + Send + 'static {
        let (agent, url, taken) = (self.agent.clone(), self.url.clone(), self.taken.clone());
        move || {
            let bytes = Counted(taken);
            let mut answer = if url.ends_with("/reads-nothing") || url.ends_with("?interim") {
                agent
                    .post(&url)
                    .send(SendBody::from_owned_reader(bytes.take(64 << 20)))?
            } else if url.ends_with("?known-length") {
                let request = agent.post(&url).header("content-length", 64 << 20);
                request.send(SendBody::from_owned_reader(bytes))?
            } else if url.ends_with("/swallows") || url.ends_with("/refuses") {
                agent.post(&url).send(SendBody::from_owned_reader(bytes))?
            } else if url.contains("/expects-") {
                agent
                    .post(&url)
                    .header("expect", "100-continue")
                    .send("body")?
            } else {
                agent.get(&url).call()?
            };
            answer
                .body_mut()
                .with_config()
                .limit(u64::MAX)
                .read_to_vec()
        }
    }

    /// Says whether the call has come to where it is stuck.
    pub(crate) fn watcher(&self) -> impl FnMut() -> bool + '_ {
        let blocks = self.url.contains("/reads-nothing");
        let mut seen = (0, Instant::now());
        move || match &self.front {
            Front::Backlog(backlog) => backlog.as_ref().is_some_and(|full| full.knocking() > 0),
            Front::Peer(peer) if blocks => {
                let taken = self.taken.load(Ordering::SeqCst);
                if taken != seen.0 {
                    seen = (taken, Instant::now());
                }
                peer.reached() > 0 && taken > 0 && seen.1.elapsed() > STILL
            }
            // Nobody reads it, and so much does not fit in between.
            Front::Peer(_) if self.url.ends_with("/refuses") => {
                self.taken.load(Ordering::SeqCst) > 16 << 20
            }
            Front::Peer(peer) => peer.reached() > 0,
        }
    }

    /// Whether the first connection, that of the stuck call, is gone.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.front {
            Front::Backlog(backlog) => backlog.as_ref().is_some_and(|full| full.knocking() == 0),
            Front::Peer(peer) => peer.record(0).end.is_some(),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        match &self.front {
            Front::Backlog(_) => 0,
            Front::Peer(peer) => peer.connections(),
        }
    }

    /// Has those read who did not, so that they see what became of the connection.
    pub(crate) fn open(&self) {
        if let Front::Peer(peer) = &self.front {
            peer.open();
        }
    }

    /// Whatever was wrong is over.
    pub(crate) fn relieve(&mut self) {
        if let Front::Backlog(backlog) = &mut self.front {
            let peer = backlog.take().expect("it is full").relieve();
            self.front = Front::Peer(peer);
        }
    }
}

/// Zeros without end.
pub(super) struct Counted(pub(super) Arc<AtomicUsize>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What was in it will do as well as anything: to fill it takes long in a debug build.
        self.0.fetch_add(buffer.len(), Ordering::SeqCst);
        Ok(buffer.len())
    }
}
