//! ureq, offloaded whole and really cancelled.
//!
//! A call through a synchronous HTTP client blocks its thread in seven places: it looks a name up,
//! connects, shakes hands for TLS, sends, waits for the head of the response, reads the body, and
//! does all that again for a redirect. A timeout around its future stops none of these. The future
//! is gone; the thread, the socket and the slot of the lane stay taken until the peer or the
//! client's own timeouts let go of them.
//!
//! There are two ways to have that repaired, one for code that is there and one for code to come.
//!
//! # Code that is there: `agent`
//!
//! [`agent`] takes ureq's [`Config`](ureq::config::Config) and returns a plain [`ureq::Agent`], of the ureq
//! that is among your dependencies (`ureq = "3"`) as it was before. Every function that takes one goes on
//! as it is. What changes is one constructor, and that the function is called in a job:
//!
//! ```
//! # use std::io::{Read, Write};
//! use longshore::Lane;
//!
//! /// As it has been for years.
//! fn fetch(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
//!     agent.get(url).call()?.into_body().read_to_string()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     let mut peer = listener.accept().unwrap().0;
//! #     let _ = peer.read(&mut [0; 1024]);
//! #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
//! # });
//! # let config = longshore::ureq::config().proxy(None).build();
//! let agent = longshore::ureq::agent(config); // was: ureq::Agent::new_with_config(config)
//! let billing = Lane::builder("billing").limit(20).build();
//!
//! let text = billing.offload(move || fetch(&agent, &url)).await??;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! When the task is dropped, its time is up or its token cancelled, the call ends wherever it is.
//!
//! # Code to come: `Client`
//!
//! [`Client`] has ureq's vocabulary, and an `.await` where ureq blocks. An exchange is a job of its
//! lane, all of it, redirects and body included:
//!
//! ```
//! # use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! use longshore::{Lane, ureq::Client};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let base = format!("http://{}", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     let mut peer = listener.accept().unwrap().0;
//! #     let _ = peer.read(&mut [0; 1024]);
//! #     peer.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n17").unwrap();
//! # });
//! # let config = longshore::ureq::config().proxy(None).build();
//! let lane = Lane::builder("orders").limit(20).queue(200).build();
//! let client = Client::new(lane, longshore::ureq::agent(config));
//!
//! let response = client
//!     .post(format!("{base}/orders"))
//!     .header("x-shop", "17")
//!     .timeout(Duration::from_secs(2))
//!     .body("two boxes of tea")
//!     .send()
//!     .await?
//!     .error_for_status()?;
//! assert_eq!(response.text().await?, "17");
//! # Ok(())
//! # }
//! ```
//!
//! # Which of the two
//!
//! | | [`agent`] in [`Lane::offload`](crate::Lane::offload) | [`Client`] |
//! |---|---|---|
//! | existing functions | unchanged | rewritten |
//! | a call is one closure | with whatever else it does: parse, store, call again | the exchange only |
//! | the body | read in the closure, where it is convenient | collected, or a stream with back-pressure |
//! | redirects | ureq's rules | stricter: nothing secret to another origin, no https to http |
//! | errors | [`ureq::Error`], in the closure's result | [`Error`]: phase, URL without secrets, whether anything was sent |
//!
//! # What cannot be interrupted
//!
//! `getaddrinfo`: the thread leaves it at once, and the lookup ends on one of four threads that are
//! kept for that. And what is not the network: a middleware, a [`Read`](std::io::Read) that is sent
//! as a body, a cookie jar that somebody holds locked, a provider of cryptography.
//!
//! There is no retry. A call that was cancelled or broke off may have been carried out, and only the
//! caller knows whether that matters; [`Error::is_retryable`] says where it can be ruled out.
//!
//! # Secrets
//!
//! No error, event or `Debug` of this crate has credentials, headers or a query in it. ureq itself writes
//! to `log`, and there below `INFO`: at `DEBUG` URLs with their query and the heads of responses, at `TRACE`
//! (`ureq_proto`) the bytes that are sent. Leave both at `INFO` where logs are kept.
//!
//! # TLS, proxies, compression
//!
//! All that ureq does, with ureq's own features: depend on ureq beside this crate and switch them on
//! there (`platform-verifier`, …), or those that this crate hands on, `brotli`, `charset` and
//! `cookies`, here. With `charset` ureq gives bodies of type `text/*` in UTF-8, [`Response::bytes`]
//! and [`stream`](Response::stream) included, instead of as they were sent. With `brotli` a connection
//! that a compressed body has come on is not used again, as ureq's decoder does not read to the end of
//! it; and that decoder takes windows of up to 1 GiB, which a peer may have it fill before any limit is
//! asked: leave the feature off where peers are not trusted. The jar of `cookies` does
//! not know which domains are everybody's: whoever is below `com` may set one for all of it. TLS is
//! rustls, or, with the feature `native-tls` of this crate, the system's. SOCKS works without a
//! feature. As with ureq, proxies are taken from the environment unless the configuration says
//! `proxy(None)`.

mod agent;
mod authority;
mod buffers;
mod call;
mod client;
mod cut;
mod dns;
mod interim;
mod lengths;
mod open;
mod park;
mod phase;
mod send;
mod socket;
mod socks;
mod stop;
mod wake;
mod wire;

#[cfg(feature = "tower")]
pub use self::client::{ClientService, ServiceFuture};
pub use self::{
    agent::{agent, config},
    client::{
        Body, Client, Error, ErrorKind, Part, RequestBuilder, Response, ResponseBody,
        ResponseFuture,
    },
    phase::Phase,
};
