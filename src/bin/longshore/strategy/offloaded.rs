//! Offloaded: ureq through Longshore, that is its async client on a lane of Tokio's blocking threads.
//!
//! Which thread a call gets, and when, is noted on that thread: a middleware of the agent runs in the
//! job of the exchange, and the job's label says which call it is. That is where the request is made
//! and its answer awaited. The rest of a body that does not fit into the buffers may be read by
//! another thread of the lane.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use longshore::ureq::Client;
use longshore::{Job, Lane};
use ureq::middleware::{Middleware, MiddlewareNext};

use super::{Clients, LARGEST_BODY, Records, Work, blocking, judge, too_large};
use crate::failure::Phase;
use crate::wire::{Answer, Failure};

/// A client that does what the blocking one does, on a lane of so many threads.
///
/// The timeout is the agent's, which starts with the request as it does for every other strategy.
/// The lane's would count the time in its queue as well.
pub(super) fn client(
    proxy: Option<&str>,
    timeout: Duration,
    connections: usize,
    records: &Arc<Records>,
) -> Result<Client, String> {
    let start = longshore::ureq::config().middleware(Notes(Arc::clone(records)));
    let config = blocking::config(start, proxy, timeout, connections)?;
    let lane = Lane::builder("compare").limit(connections.max(1)).build();
    Ok(Client::new(lane, longshore::ureq::agent(config)).max_redirects(0))
}

/// Notes on which thread a call is made.
struct Notes(Arc<Records>);

impl Middleware for Notes {
    fn handle(
        &self,
        request: ureq::http::Request<ureq::SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let label = |job: Job| job.label().and_then(|label| label.parse().ok());
        if let Some(index) = Job::current().and_then(label) {
            self.0.of(index).take();
        }
        next.handle(request)
    }
}

/// Makes all calls, no more at once than the lane has threads: one that waits for a thread would
/// count as begun.
pub(super) async fn run(work: &Arc<Work>) {
    stream::iter(0..work.calls.len())
        .for_each_concurrent(work.limit, |index| async move {
            work.begin(index);
            let answer = exchange(work, index).await;
            work.end(index, answer);
        })
        .await;
}

async fn exchange(work: &Work, index: usize) -> Result<Answer, Failure> {
    let call = &work.calls[index];
    let Clients::Offloaded(clients) = &work.clients else {
        unreachable!("the offloaded strategy is given clients of Longshore's")
    };
    let client = super::of_proxy(clients, call);
    let mut request = client.get(&call.url).label(index.to_string());
    if let Some(value) = &call.authorization {
        request = request.header("authorization", value);
    }
    let response = request
        .send()
        .await
        .map_err(|error| Failure::longshore(&error, Phase::Head))?;
    let status = response.status().as_u16();

    let mut body = response.stream();
    let mut bytes = 0;
    let mut kept = Vec::new();
    while let Some(chunk) = body
        .try_next()
        .await
        .map_err(|error| Failure::longshore(&error, Phase::Body(status)))?
    {
        bytes += chunk.len() as u64;
        if bytes > LARGEST_BODY {
            return Err(too_large(status));
        }
        if call.expected.is_some() {
            kept.extend_from_slice(&chunk);
        }
    }
    judge(call, status, bytes, &kept)
}
