//! Spans and events. In a binary of its own, since a subscriber is for the whole process.

#![cfg(feature = "tracing")]

mod faults;
mod seen;
#[cfg(feature = "stall")]
mod stalls;
mod stories;
mod warnings;
