//! TLS, with what it needs made once.
//!
//! ureq makes a configuration of the TLS library for an agent once, the certificates that it trusts and
//! the sessions that can be resumed above all. But the only calls that may leave it there are those that
//! are made with the agent's own configuration as it is, and [`Client`](crate::ureq::Client) makes none
//! of these: it would have one made for each connection, and no session resumed. And of calls that come
//! all at once each makes its own. So the first that needs it has it made here, by a call that has the
//! agent's configuration and leads nowhere, and others wait for that. What is the user's in it runs there, under
//! no lock: so those who wait can leave when their job does.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use ureq::{
    Agent, Error,
    config::Config,
    http::Uri,
    tls::{TlsConfig, TlsProvider},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport},
    },
};

use super::{error, left, until};
use crate::{
    job::Job,
    sync::{self, Arc, Mutex, Thread, ThreadId},
    ureq::{
        park::wait_for,
        stop::{Stop, Until},
    },
};

/// A connector of ureq's for TLS that finds its configuration made.
pub(super) struct Prepared<C> {
    connector: Arc<C>,
    provider: TlsProvider,
    /// That of the agent; a request may have its own.
    config: TlsConfig,
    hash: u64,
    making: Mutex<Making>,
}

/// How far it is.
#[derive(Default)]
struct Making {
    is_made: bool,
    /// Who makes it: whoever comes meanwhile would only make it as well.
    maker: Option<ThreadId>,
    waiting: Vec<Thread>,
}

impl<C: Connector<Nowhere>> Prepared<C> {
    pub(super) fn new(connector: C, provider: TlsProvider, config: &TlsConfig) -> Self {
        Self {
            connector: Arc::new(connector),
            provider,
            config: config.clone(),
            hash: hash(config),
            making: Mutex::default(),
        }
    }

    /// Has the configuration made, by this thread or by another that is at it. What goes wrong with it the
    /// connection that needs it will tell.
    fn prepare(&self, until: Until) -> Result<(), Stop> {
        if self.is_ours_to_make(until)? {
            let mut turn = Turn {
                making: &self.making,
                has_made: false,
            };
            turn.has_made = self.make();
        }
        Ok(())
    }

    /// Waits until it is made, or until somebody has to make it who may as well be this thread.
    fn is_ours_to_make(&self, until: Until) -> Result<bool, Stop> {
        let us = sync::current().id();
        let look = || {
            let mut making = self.making.lock();
            // A call that is made while it is made, of the user's, does without.
            if making.is_made || making.maker == Some(us) {
                return Some(false);
            }
            if making.maker.is_none() {
                making.maker = Some(us);
                return Some(true);
            }
            if making.waiting.iter().all(|thread| thread.id() != us) {
                making.waiting.push(sync::current());
            }
            None
        };
        match look() {
            Some(is_ours) => Ok(is_ours),
            None => wait_for(Job::current().as_ref(), until, look),
        }
    }

    /// Whether it could be made.
    fn make(&self) -> bool {
        let reached = Arc::new(AtomicBool::new(false));
        let config = Agent::config_builder()
            .tls_config(self.config.clone())
            .proxy(None)
            .build();
        let leads_nowhere = LeadsNowhere {
            connector: self.connector.clone(),
            reached: reached.clone(),
        };
        let agent = Agent::with_parts(config, leads_nowhere, NoNames);
        let outcome = agent.get("https://nowhere.invalid/").call();
        debug_assert!(outcome.is_err(), "there is nobody who could answer");
        reached.load(Ordering::Relaxed)
    }
}

/// Its making by one thread. However that ends, others go on: where it could not be made, the next tries.
struct Turn<'a> {
    making: &'a Mutex<Making>,
    has_made: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut making = self.making.lock();
            making.is_made = self.has_made;
            making.maker = None;
            std::mem::take(&mut making.waiting)
        };
        waiting.iter().for_each(Thread::unpark);
    }
}

impl<In, C> Connector<In> for Prepared<C>
where
    In: Transport,
    C: Connector<In> + Connector<Nowhere>,
{
    type Out = <C as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let wanted = details.config.tls_config();
        let is_bare = chained
            .as_ref()
            .is_some_and(|connection| !connection.is_tls());
        // Where the request has its own, it may be that the agent's cannot even be made.
        let is_agents = || wanted.provider() == self.provider && hash(wanted) == self.hash;
        if details.needs_tls() && is_bare && is_agents() {
            let end = until(left(details.timeout));
            self.prepare(end)
                .map_err(|stop| error(stop, details.timeout))?;
        }
        Connector::<In>::connect(&*self.connector, details, chained)
    }
}

impl<C> fmt::Debug for Prepared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

/// What ureq tells configurations apart by.
fn hash(config: &TlsConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    config.hash(&mut hasher);
    hasher.finish()
}

// ===== The call that leads nowhere =====

struct LeadsNowhere<C> {
    connector: Arc<C>,
    reached: Arc<AtomicBool>,
}

impl<C: Connector<Nowhere>> Connector for LeadsNowhere<C> {
    type Out = C::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let nowhere = Nowhere {
            // Of a size that holds something, as ureq insists.
            buffers: LazyBuffers::new(1, 1),
            reached: self.reached.clone(),
        };
        self.connector.connect(details, Some(nowhere))
    }
}

impl<C> fmt::Debug for LeadsNowhere<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeadsNowhere")
    }
}

/// Fails whatever is tried on it.
#[derive(Debug)]
pub(super) struct Nowhere {
    buffers: LazyBuffers,
    /// A handshake was begun, so what it needs is there.
    reached: Arc<AtomicBool>,
}

impl Nowhere {
    fn fail<T>(&self) -> Result<T, Error> {
        self.reached.store(true, Ordering::Relaxed);
        Err(io::Error::from(io::ErrorKind::NotConnected).into())
    }
}

impl Transport for Nowhere {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        self.fail()
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        self.fail()
    }

    fn is_open(&mut self) -> bool {
        false
    }
}

#[derive(Debug)]
struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
