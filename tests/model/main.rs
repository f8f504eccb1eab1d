//! The lane's protocol under a model checker.
//!
//! [Shuttle](https://docs.rs/shuttle) runs a small program many times over, each time with another
//! order of its steps, and shows the order in which it fails. What is checked is the code of the
//! crate itself: the files below are compiled a second time, as they are, with twins of four small
//! modules beneath them. `sync` has Shuttle's locks and threads in place of the system's, `source`
//! starts Shuttle's threads, `pace` says what a model wants it to say instead of measuring, and
//! `keeper` leaves it to the models to look. A lost wake-up shows as a deadlock, since workers here
//! never look up by themselves unless a model says so.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    unnameable_types,
    missing_docs,
    reason = "the crate's own files, of which a model uses a part"
)]

#[path = "../../src/cancel/mod.rs"]
mod cancel;
#[path = "../../src/error/mod.rs"]
mod error;
#[path = "../../src/job/mod.rs"]
mod job;
mod lane;
mod models;
mod sync;
