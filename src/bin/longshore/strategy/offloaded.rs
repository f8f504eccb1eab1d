//! Offloaded: ureq through Longshore, that is its async client on a lane of Tokio's blocking threads.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use longshore::Lane;
use longshore::ureq::Client;

use super::{Clients, LARGEST_BODY, Work, blocking, judge, too_large};
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
) -> Result<Client, String> {
    let config = blocking::config(longshore::ureq::config(), proxy, timeout, connections)?;
    let lane = Lane::builder("compare").limit(connections.max(1)).build();
    Ok(Client::new(lane, longshore::ureq::agent(config)).max_redirects(0))
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
    let mut request = client.get(&call.url);
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
