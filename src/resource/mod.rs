//! Blocking objects that live on a thread: one, or a pool of them.
//!
//! A database connection, a serial port, a handle of a C library: something that is used by one
//! caller at a time, may not be sent to another thread, and takes harm if it is left in the middle
//! of something. A [`Resource`] has a thread make it, and closures come to it there; a
//! [`ResourcePool`] has up to n such threads.
//!
//! ```text
//!  caller    ──with(f)──────────── drop(task) ╌╌╌ free at once
//!                 │                     │ flag up, hooks run
//!                 ▼                     ▼
//!  thread    make ──► f(&mut object) ───────► f returns ──► recycle ──► next closure
//!                                                              │
//!                                                              └─ discard: drop here, make anew
//! ```
//!
//! **The next closure gets the object when the last one has left it, and in order.** That is two
//! promises, and both are commonly missed. A cancelled future does not end the closure that has the
//! object. And a closure that ended because it was cancelled may have left a transaction open: in a
//! pool that just takes such a connection back, the statements of others go into that transaction
//! and appear to work until it is rolled back ([async-bb8-diesel#47]).
//!
//! Closures run as the jobs of a [`Lane`](crate::Lane) whose threads have an object each, so
//! deadlines, cancels, hooks, panics, statistics, the bound of the queue and the shutdown are those
//! of lanes. [`Job::block_on`](crate::Job::block_on) is how such a closure waits for async code.
//!
//! # What others do
//!
//! | | here | deadpool-sync 0.2.0, `SyncWrapper::interact` | tokio-rusqlite 0.8.0, `Connection::call` |
//! |---|---|---|---|
//! | the object | anything | `Send` | a `rusqlite::Connection` |
//! | used on | its own thread, from making to drop | any thread of the runtime's blocking pool | its own thread |
//! | a call in line costs | a place in a queue | a blocked thread of that pool | a place in a queue without bound |
//! | caller gone while in line | the closure never runs | it runs | it runs |
//! | caller gone while it runs | the closure is told, its hook interrupts what it blocks in; then the object is recycled | it runs on, untold | it runs on, untold |
//! | the closure panics | `Panicked`; the object is recycled, by default made anew | an error with the payload; the mutex is poisoned, and every later call is told of a panic as well | the thread ends, and the connection with it; this call and every later one are told `ConnectionClosed` |
//! | making fails | those who wait are told, the next call tries again | the constructor fails | the constructor fails |
//! | last handle dropped | calls in line are still served; the object is dropped on its thread | the object is dropped on a blocking thread; on Tokio, a panic outside of a runtime | calls in line are still served; the connection is dropped on its thread |
//!
//! (A wrapper of deadpool's stands in a pool whose manager may drop an object that is poisoned. That
//! a closure was cancelled, and what it has left, the wrapper does not tell.)
//!
//! A [lane](crate::Lane) and an `Arc<Mutex<T>>` would do for an object that is `Send` and cannot be
//! left in a mess. A resource costs 0.4 to 0.8 µs more than that for each closure with 64 in flight,
//! and about 2 µs with one. How it compares with the other two, which
//! keep neither deadlines nor accounts, is in `docs/benchmarks.md` ("An object on its thread").
//!
//! [async-bb8-diesel#47]: https://github.com/oxidecomputer/async-bb8-diesel/issues/47

mod builder;
mod handle;
mod permit;
mod places;
mod pool;
mod shared;
mod slot;
mod stock;

pub use self::{
    builder::{Builder, Recycle},
    handle::Resource,
    permit::Permit,
    pool::ResourcePool,
};
