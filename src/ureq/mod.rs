//! ureq, offloaded whole and really cancelled.

mod agent;
mod authority;
mod buffers;
mod call;
mod client;
mod cut;
mod dns;
mod open;
mod socket;
mod socks;
mod stop;
mod wake;
mod wire;

#[cfg(feature = "tower")]
pub use self::client::ClientService;
pub use self::{
    agent::{agent, config},
    call::Phase,
    client::{
        Body, Client, Error, ErrorKind, Part, RequestBuilder, Response, ResponseBody,
        ResponseFuture,
    },
};
