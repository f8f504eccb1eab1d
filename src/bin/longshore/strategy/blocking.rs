//! One call with ureq, on whatever thread it is made. Four of the six strategies share this.

use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use super::{Clients, LARGEST_BODY, USER_AGENT, Work, judge, too_large};
use crate::failure::Phase;
use crate::wire::{Answer, Failure};

/// An agent of ureq's own.
pub(super) fn agent(
    proxy: Option<&str>,
    timeout: Duration,
    connections: usize,
) -> Result<ureq::Agent, String> {
    config(ureq::Agent::config_builder(), proxy, timeout, connections)
        .map(|config| config.new_agent())
}

/// What makes an agent do as the native client does: no redirects, a status is an answer, the
/// proxy it is told and no other, the certificates of the system, nothing compressed asked for.
pub(super) fn config(
    start: ConfigBuilder<AgentScope>,
    proxy: Option<&str>,
    timeout: Duration,
    connections: usize,
) -> Result<Config, String> {
    let proxy = match proxy {
        Some(url) => Some(ureq::Proxy::new(url).map_err(|error| error.to_string())?),
        None => None,
    };
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Ok(start
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .timeout_global(Some(timeout))
        .tls_config(tls)
        .user_agent(USER_AGENT)
        .accept_encoding("")
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .build())
}

impl Work {
    /// Makes call `index` and blocks until it has ended. A panic goes through to the caller, who
    /// then says so with [`end`](Self::end).
    pub(super) fn block_on_call(&self, index: usize) {
        self.begin_here(index);
        let answer = self.exchange(index);
        self.end(index, answer);
    }

    /// The same where nobody else would catch a panic: ureq panics if it gets no thread to resolve
    /// a name on.
    pub(super) fn block_on_call_caught(&self, index: usize) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.block_on_call(index))) {
            let text = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied());
            self.end(
                index,
                Err(Failure::new("panicked", text.unwrap_or("with no message"))),
            );
        }
    }

    fn exchange(&self, index: usize) -> Result<Answer, Failure> {
        let call = &self.calls[index];
        let Clients::Blocking(agents) = &self.clients else {
            unreachable!("blocking strategies are given blocking clients")
        };
        let agent = super::of_proxy(agents, call);
        let mut request = agent.get(&call.url);
        if let Some(value) = &call.authorization {
            request = request.header("authorization", value);
        }
        let response = request
            .call()
            .map_err(|error| Failure::ureq(&error, Phase::Head))?;
        let status = response.status().as_u16();

        let mut reader = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        let mut chunk = [0; 16 * 1024];
        let mut bytes = 0;
        let mut kept = Vec::new();
        loop {
            let read = reader
                .read(&mut chunk)
                .map_err(|error| Failure::ureq_body(error, status))?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            if bytes > LARGEST_BODY {
                return Err(too_large(status));
            }
            if call.expected.is_some() {
                kept.extend_from_slice(&chunk[..read]);
            }
        }
        judge(call, status, bytes, &kept)
    }
}
