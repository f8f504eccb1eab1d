//! Many requests at once, each with its own outcome: the aggregator.
//!
//! A [`Fetcher`] takes URLs or requests from an iterator or a stream and gives a stream of what
//! became of each. It knows nothing of sockets: underneath is any `tower::Service` that takes an
//! [`http::Request`] and gives an [`http::Response`]. With
//! [`Client::service`](crate::ureq::Client::service) that is blocking ureq in a lane, with reqwest or
//! hyper a native client, and between the two and the fetcher goes whatever layer there is: rate
//! limits, load shedding, tracing.
//!
//! | file | what |
//! |---|---|
//! | `fetcher` | [`Fetcher`] and its options |
//! | `item`, `url` | what can be fetched, and what is shown of it |
//! | `stream`, `hosts`, `alarm`, `ordered` | [`Fetches`]: taking items in, driving them, giving results out |
//! | `fetched`, `error`, `kind` | what becomes of an item |
//! | `call`, `deadline`, `moment`, `body` | one item: its attempts, its time, its body |
//! | `turnstile` | one item at a time, where there is a line for room |
//! | `retry`, `known`, `budget`, `retry_after` | whether there is another attempt, and when |
//! | `parse` | making something of a body, off the runtime where it is large |
//! | `progress`, `events` | how far it is |
//!
//! # Who drives it
//!
//! Whoever polls the stream. There are no tasks behind it: what is in flight is in the stream, is
//! polled when it is woken, and stands still while nobody polls. Dropping the stream drops what is
//! in flight, and with our own client that means that the calls are over, threads and sockets
//! included.

mod alarm;
mod body;
mod budget;
mod call;
mod deadline;
mod error;
mod events;
mod fetched;
mod fetcher;
mod hosts;
mod item;
mod kind;
mod known;
mod moment;
mod ordered;
mod parse;
mod progress;
mod retry;
mod retry_after;
mod stream;
mod turnstile;
mod url;

pub use self::{
    error::Error,
    events::{Event, Events},
    fetched::Fetched,
    fetcher::Fetcher,
    item::{BadUrl, IntoRequest},
    kind::{ErrorKind, TimeLimit},
    ordered::Ordered,
    progress::{Counts, Progress},
    retry::Retry,
    stream::Fetches,
};

/// What a service, a body or a parser fails with.
type Source = Box<dyn std::error::Error + Send + Sync>;
