//! Native: reqwest, a client that is async all the way down.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::{Clients, LARGEST_BODY, USER_AGENT, Work, judge, too_large};
use crate::failure::{Phase, innermost};
use crate::wire::{Answer, Failure};

/// A reqwest client that does what the blocking one does.
pub(super) fn client(
    proxy: Option<&str>,
    timeout: Duration,
    connections: usize,
    tls: bool,
) -> Result<reqwest::Client, String> {
    // Without this it would ask the environment.
    let mut builder = reqwest::Client::builder().no_proxy();
    if let Some(url) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(url).map_err(|error| innermost(&error))?);
    }
    if !tls {
        // The blocking client reads the certificates of the system when it meets the first https,
        // this one when it is built, and fails if there are none. It shall do no more than it must.
        builder = builder.tls_certs_only([]);
    }
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(timeout)
        .user_agent(USER_AGENT)
        .pool_max_idle_per_host(connections)
        .build()
        .map_err(|error| innermost(&error))
}

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
    let Clients::Native(clients) = &work.clients else {
        unreachable!("the native strategy is given native clients")
    };
    let client = super::of_proxy(clients, call);
    let mut request = client.get(&call.url);
    if let Some(value) = &call.authorization {
        request = request.header("authorization", value);
    }
    let mut response = request
        .send()
        .await
        .map_err(|error| Failure::reqwest(&error, Phase::Head))?;
    let status = response.status().as_u16();

    let mut bytes = 0;
    let mut kept = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Failure::reqwest(&error, Phase::Body(status)))?
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
