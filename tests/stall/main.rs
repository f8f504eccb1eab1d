//! What the stall detector promises. In a binary of its own: the detector is one for the process, and
//! other tests block on purpose.
//!
//! A stall is made by something that the test ends after the report has come, so that nothing depends
//! on how long anything takes. That there is no report is said only after the detector has looked often
//! enough.

#![cfg(all(feature = "stall", target_os = "linux"))]

#[macro_use]
mod support;

mod api;
mod beside;
mod edges;
mod ends;
#[cfg(feature = "tracing")]
mod events;
mod found;
mod guards;
mod handed_on;
#[cfg(feature = "ureq")]
mod http;
mod interrupted;
#[cfg(all(feature = "stall-stacks", target_arch = "x86_64"))]
mod lines;
mod nested;
mod nobody;
mod overloaded;
mod process;
mod profiles;
mod quiet;
mod runtimes;
mod several;
mod successors;
mod telling;
