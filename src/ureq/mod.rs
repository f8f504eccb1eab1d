//! ureq, offloaded whole and really cancelled.

mod agent;
mod buffers;
mod call;
mod cut;
mod dns;
mod socket;
mod socks;
mod stop;
mod wake;

pub use self::{
    agent::{agent, config},
    call::Phase,
};
