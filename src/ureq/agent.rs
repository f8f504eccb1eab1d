//! Agents that obey the job.

use super::{buffers::MARGIN, cut};

/// An agent of ureq's, all of whose calls are cancelled with the job that makes them.
///
/// Code that holds a [`ureq::Agent`](ureq::Agent) does not change. Made inside a job of a lane, a
/// call knows that job: when it is cancelled, by a timeout, a dropped task or a token, the call
/// ends in whichever phase it is, and the thread is free within a millisecond or so (within 10 ms where
/// the process has no descriptor left to wake it by). The job's deadline holds in every phase, the
/// sending of a large body included. Outside of a job the agent does as any other.
///
/// ```text
///               resolve ─► connect ─► TLS ─► send ─► head ─► body      one thread of the lane
///                  ▲          ▲        ▲       ▲       ▲       ▲
///  drop(task) ─────┴──────────┴────────┴───────┴───────┴───────┘       ends any of them
/// ```
///
/// `config` is ureq's own [`Config`](ureq::config::Config), what [`config`](config()) builds or any other. To
/// name a type of ureq's, or to call its functions, takes ureq among one's own dependencies: `ureq = "3"`.
///
/// What is different from [`ureq::Agent::new_with_config`]:
///
/// - Names are looked up by four threads of the process at the most, lookups of one name at a time
///   shared; 1,024 more names may wait for these, and one beyond that is an error. Answers, 256 of
///   them, are used again for 5 s; failures are not. A call that is given up leaves at once; the
///   lookup, which nobody can interrupt, goes on without it. ureq starts a thread for each call that
///   has a timeout, also for an address that needs no lookup and for a connection from the pool.
/// - A connection starts with 16 KiB for input, has that grow while a large head or a fast body fills
///   it (to 128 KiB, or what `config` says if that is more), and holds no buffer at all while it
///   waits for its peer for more than 50 ms. ureq has two of 128 KiB, for good. (Over TLS there are two
///   more of the sizes in `config`, which are ureq's own: see [`config`].)
/// - A connection that breaks is never taken for the end of a body. ureq does so where a body has
///   neither a length nor chunks. (As with ureq, such a body ends early when the agent is shut down
///   with `Agent::shutdown`.)
/// - A connection on which an answer gave its body both a length and chunks, one of which is a lie, is not
///   used again.
/// - A port above 65535 in a URL or a `Location` is a [`ureq::Error::BadUri`], where ureq would
///   connect to port 80. (With ureq's feature `cookies` switched on, ureq 3.5 panics on it, and on a
///   host that is no valid one, as `256.1.1.1` or `xn--a`, before anything of ours is asked.
///   [`Client`](super::Client) refuses such URLs first, but for the punycode.)
/// - A peer that answers 4xx or 5xx in the middle of a large body is heard as soon as there is more of it
///   to be sent, whether it reads on, stops reading or closes (where the connection is not encrypted). No
///   more is sent, and the connection is not used again. ureq sends on, waits for its timeout, or says
///   that the connection was reset. Any other answer is heard at the end of the body.
/// - What a peer says before it answers, with a status of 1xx, ends with
///   [`ureq::Error::LargeResponseHeader`] after 1 MiB; ureq skips it as long as the call may last. Where
///   leave to send a body is waited for (`Expect: 100-continue`), it is neither taken for that leave
///   nor for the answer, as ureq takes what has header fields; and a peer that closes the connection
///   in the middle of it is an error at once.
/// - What TLS needs is made once for the agent, the certificates that it trusts and the sessions that can
///   be resumed, also where a request has a configuration of its own (which those of
///   [`Client`](super::Client) have) with the TLS of the agent in it. ureq makes it for each connection of
///   such a request.
/// - The time in which a connection is to be made is for the whole of it, a proxy on the way included; of
///   a proxy that answers CONNECT byte by byte ureq waits that long for each.
/// - An answer that nobody asked for is not given to the next call, behind TLS neither: with an
///   `input_buffer_size` of 16 KiB or less an answer that fills it to the last byte costs its connection, as
///   more of it could be left in TLS. (A head that is larger than that buffer is there an error, as is one
///   that is larger than the configuration allows.)
/// - SOCKS needs no feature of ureq's, and version 4 is asked for an IPv4 address of a host that has others
///   as well.
///
/// # Cancel safety
///
/// *The waiter* is the job's task, and returns at once. *The thread* leaves ureq with
/// [`ureq::Error::Other`] around a [`Cancelled`](crate::error::Cancelled), or, where the job's
/// deadline has passed, with [`ureq::Error::Timeout`]. The connection is closed and does not go
/// back to the agent's pool; one that had gone back before is not touched. The peer may have
/// carried the request out. What ureq calls on the thread and we do not see cannot be interrupted:
/// a middleware, a [`Read`](std::io::Read) that is sent as a body, a cookie jar that somebody holds
/// locked, a provider of cryptography that a `TlsConfig` names. There the task returns and the thread
/// drains.
///
/// # Examples
///
/// ```
/// use std::{net::TcpListener, time::Duration};
///
/// use longshore::Lane;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TcpListener::bind("127.0.0.1:0")?; // accepts, and never answers
/// let url = format!("http://{}/", server.local_addr()?);
/// let agent = longshore::ureq::agent(longshore::ureq::config().build());
///
/// let lane = Lane::builder("billing").limit(20).timeout(Duration::from_millis(100)).build();
/// let answer = lane.offload(move || agent.get(&url).call()?.into_body().read_to_string());
///
/// assert!(answer.await.unwrap_err().is_timeout());
/// // The call is over, not merely given up: its thread is free.
/// lane.shutdown(Duration::from_secs(1)).await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn agent(config: ureq::config::Config) -> ureq::Agent {
    cut::agent(config)
}

/// A configuration to start from for agents that are used through a lane.
///
/// ureq's defaults, but for
///
/// - buffers of 65 KiB for input and 32 for output, not 128 KiB each, as that is what a connection
///   over TLS keeps. They are as large as the largest head of a response that is accepted by default
///   and as the largest head of a request that servers are likely to accept;
/// - up to 1,000 idle connections, all of them to one host if need be, not 10 and 3: else all but
///   three of the calls that a lane makes at once would leave a connection that is thrown away.
///   Whoever talks to many hosts may want fewer: for every call ureq compares each of the connections
///   that it keeps with all others.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let config = longshore::ureq::config()
///     .timeout_connect(Some(Duration::from_secs(2)))
///     .user_agent("billing/1.0")
///     .build();
/// let agent = longshore::ureq::agent(config);
/// # assert_eq!(agent.config().output_buffer_size(), 32 * 1024);
/// ```
#[must_use]
pub fn config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    ureq::Agent::config_builder()
        .input_buffer_size(HEAD + MARGIN)
        .output_buffer_size(REQUEST_HEAD)
        .max_idle_connections(IDLE)
        .max_idle_connections_per_host(IDLE)
}

/// The largest head of a request that can be sent.
const REQUEST_HEAD: usize = 32 * 1024;

/// The largest head of a response that ureq accepts by default.
const HEAD: usize = 64 * 1024;

/// How many connections are kept for later at the most.
const IDLE: usize = 1000;
