//! The six ways to make the same calls, each in a file of its own.

mod blocking;
mod naive;
mod native;
mod offloaded;
mod rayon;
mod record;
mod serial;
mod spawn_blocking;

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use self::record::Records;
use crate::args::{Compare, Runtime};
use crate::value::plural;
use crate::wire::{Answer, Call, Ended, Event, Failure, Order, Taken};

/// An answer's body is read up to this size.
const LARGEST_BODY: u64 = 256 * 1024 * 1024;

pub(crate) const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"), " (compare)");

/// A way to make the calls.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Strategy {
    Serial,
    Naive,
    Offloaded,
    SpawnBlocking,
    Rayon,
    Native,
}

impl Strategy {
    pub(crate) const ALL: [Self; 6] = [
        Self::Serial,
        Self::Naive,
        Self::Offloaded,
        Self::SpawnBlocking,
        Self::Rayon,
        Self::Native,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Naive => "naive",
            Self::Offloaded => "offloaded",
            Self::SpawnBlocking => "spawn_blocking",
            Self::Rayon => "rayon",
            Self::Native => "native",
        }
    }

    /// How many calls it makes at once, if there are as many, where no more than `limit` are to be.
    pub(crate) fn at_once(self, runtime: Runtime, limit: u32) -> u32 {
        let cores = || available_parallelism().map_or(1, usize::from);
        let cores = || u32::try_from(cores()).unwrap_or(u32::MAX);
        match (self, runtime) {
            (Self::Serial, _) | (Self::Naive, Runtime::Current) => 1,
            // The very mistake: nobody counts what it has in flight but the threads that it blocks.
            (Self::Naive, Runtime::Multi) => cores(),
            (Self::Rayon, _) => cores().min(limit),
            (Self::Offloaded | Self::SpawnBlocking | Self::Native, _) => limit,
        }
    }

    /// How many calls a comparison makes at once at most, of so many: as many as the strategy that makes most.
    pub(crate) fn most_at_once(args: &Compare, limit: u32, calls: usize) -> u32 {
        let each = args.strategies.iter();
        let most = each.map(|strategy| strategy.at_once(args.runtime, limit));
        most.max()
            .unwrap_or(limit)
            .min(u32::try_from(calls).unwrap_or(u32::MAX))
    }

    /// Makes all calls, and returns when the last one has ended.
    pub(crate) async fn run(self, work: &Arc<Work>) {
        match self {
            Self::Serial => serial::run(work),
            Self::Naive => naive::run(work).await,
            Self::Offloaded => offloaded::run(work).await,
            Self::SpawnBlocking => spawn_blocking::run(work).await,
            Self::Rayon => rayon::run(work).await,
            Self::Native => native::run(work).await,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The calls, the clients to make them with, and the account of how they end.
pub(crate) struct Work {
    pub(crate) calls: Vec<Call>,
    pub(crate) limit: usize,
    pub(crate) runtime: Runtime,
    timeout: Duration,
    clients: Clients,
    began: Instant,
    records: Arc<Records>,
    events: mpsc::Sender<Event>,
}

/// The client of a strategy, one for each proxy in use. They are built before the clock starts.
pub(crate) enum Clients {
    Blocking(PerProxy<ureq::Agent>),
    Offloaded(PerProxy<longshore::ureq::Client>),
    Native(PerProxy<reqwest::Client>),
}

type PerProxy<C> = Vec<(Option<String>, C)>;

impl Clients {
    /// Builds the client that the strategy of `order` needs. If that has a thread of its own for each
    /// call, it notes which in `records`.
    ///
    /// # Errors
    ///
    /// Says why one cannot be built.
    pub(crate) fn build(order: &Order, records: &Arc<Records>) -> Result<Self, String> {
        let mut proxies: Vec<Option<String>> = Vec::new();
        for call in &order.calls {
            if !proxies.contains(&call.proxy) {
                proxies.push(call.proxy.clone());
            }
        }
        let timeout = Duration::from_millis(order.timeout_ms);
        let connections = order.calls.len().min(order.limit as usize);
        let tls = order
            .calls
            .iter()
            .any(|call| call.url.starts_with("https:"));
        match order.strategy {
            Strategy::Serial | Strategy::Naive | Strategy::SpawnBlocking | Strategy::Rayon => {
                let build = |proxy: Option<&str>| blocking::agent(proxy, timeout, connections);
                each(proxies, build).map(Self::Blocking)
            }
            Strategy::Offloaded => {
                let build =
                    |proxy: Option<&str>| offloaded::client(proxy, timeout, connections, records);
                each(proxies, build).map(Self::Offloaded)
            }
            Strategy::Native => {
                let build = |proxy: Option<&str>| native::client(proxy, timeout, connections, tls);
                each(proxies, build).map(Self::Native)
            }
        }
    }
}

/// A client for each proxy.
fn each<C>(
    proxies: Vec<Option<String>>,
    build: impl Fn(Option<&str>) -> Result<C, String>,
) -> Result<PerProxy<C>, String> {
    let with_client = |proxy: Option<String>| {
        let client = build(proxy.as_deref())?;
        Ok((proxy, client))
    };
    proxies.into_iter().map(with_client).collect()
}

/// The one to make this call with.
fn of_proxy<'a, C>(clients: &'a PerProxy<C>, call: &Call) -> &'a C {
    clients
        .iter()
        .find_map(|(proxy, client)| (*proxy == call.proxy).then_some(client))
        .expect("there is a client for each proxy")
}

impl Work {
    pub(crate) fn new(
        order: Order,
        clients: Clients,
        records: Arc<Records>,
        began: Instant,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            calls: order.calls,
            limit: order.limit as usize,
            timeout: Duration::from_millis(order.timeout_ms),
            runtime: order.runtime,
            clients,
            began,
            records,
            events,
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Call `index` is handed to what will make it.
    fn queue(&self, index: usize) {
        self.records.of(index).queue();
    }

    /// The request of call `index` is about to be made, on whichever thread.
    fn begin(&self, index: usize) {
        self.records.of(index).begin();
        let _ = self.events.send(Event::Begun(index));
    }

    /// The request of call `index` is about to be made on this thread, which then belongs to it.
    fn begin_here(&self, index: usize) {
        self.begin(index);
        self.records.of(index).take();
    }

    /// Call `index` has ended so. The observer outlives the calls, so that sending cannot fail.
    fn end(&self, index: usize, answer: Result<Answer, Failure>) {
        let end = Instant::now();
        let took = |start| end.saturating_duration_since(start);
        let took = self.records.of(index).start().map_or(Duration::ZERO, took);
        let answer = answer.and_then(|answer| in_time(answer, took, self.timeout));
        let since = |at: Instant| at.saturating_duration_since(self.began).as_secs_f64();
        let record = self.records.of(index);
        let _ = self.events.send(Event::Ended(Ended {
            index,
            queued_s: since(record.queued().unwrap_or(end)),
            start_s: since(record.start().unwrap_or(end)),
            thread: record.taken().map(|(at, name)| Taken {
                name: name.to_owned(),
                since_s: since(at),
            }),
            end_s: since(end),
            answer,
        }));
    }
}

/// Holds how long an answer took against the time it had. Not every client is as strict about that: ureq
/// has the system keep it, which may let some milliseconds more pass.
fn in_time(answer: Answer, took: Duration, timeout: Duration) -> Result<Answer, Failure> {
    if took <= timeout {
        return Ok(answer);
    }
    Err(Failure {
        status: Some(answer.status),
        ..Failure::new(
            "timeout",
            format!("the answer took {} ms", took.as_micros() as f64 / 1_000.0),
        )
    })
}

/// Holds what was read against what a good answer is.
fn judge(call: &Call, status: u16, bytes: u64, body: &[u8]) -> Result<Answer, Failure> {
    if status >= 400 {
        return Err(Failure::status(status));
    }
    match &call.expected {
        Some(expected) if expected.as_bytes() != body => Err(Failure {
            status: Some(status),
            ..Failure::new(
                "wrong answer",
                format!("not what was planned, of {}", plural(bytes, "byte")),
            )
        }),
        _ => Ok(Answer { status, bytes }),
    }
}

/// The failure of a body over [`LARGEST_BODY`].
fn too_large(status: u16) -> Failure {
    let detail = format!("the body has more than {} MiB", LARGEST_BODY >> 20);
    Failure {
        status: Some(status),
        ..Failure::new("too large", detail)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Strategy, in_time};
    use crate::args::Runtime;
    use crate::wire::Answer;

    #[test]
    fn an_answer_that_comes_after_its_time_is_none() {
        let answer = || Answer {
            status: 200,
            bytes: 5,
        };
        let time = Duration::from_millis(46);
        assert!(in_time(answer(), time, time).is_ok());
        let late = in_time(answer(), time + Duration::from_micros(4_700), time);
        let late = late.expect_err("its time was up");
        assert_eq!((&*late.kind, late.status), ("timeout", Some(200)));
        assert_eq!(late.detail, "the answer took 50.7 ms");
    }

    #[test]
    fn none_but_naive_makes_more_calls_at_once_than_it_may_and_that_on_many_threads_alone() {
        for strategy in Strategy::ALL {
            for runtime in [Runtime::Current, Runtime::Multi] {
                let one = strategy.at_once(runtime, 1);
                let uncounted = matches!((strategy, runtime), (Strategy::Naive, Runtime::Multi));
                assert!(one == 1 || uncounted, "{strategy}, {runtime:?}: {one}");
            }
        }
    }
}
