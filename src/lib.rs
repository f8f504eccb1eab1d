//! Takes blocking calls off async threads and keeps them under control.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod sync;

pub mod cancel;
pub mod error;
pub mod job;
pub mod lane;

pub use self::{
    cancel::CancelToken,
    error::{Error, Panic, locate_panics},
    job::{Job, Task},
    lane::{Lane, offload},
};
