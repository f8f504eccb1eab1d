//! Groups: futures and offloaded jobs that belong together, with no orphans.
//!
//! A task that is spawned by itself belongs to nobody. The function that spawned it returns early, by
//! `?` for instance, and the task runs on, with what it holds: memory, a socket, a slot of a lane, a
//! thread. A [`Group`] owns what was put into it. While it lives, its owner takes the outcomes; when it
//! goes, for whatever reason, everything in it is cancelled. And it knows of threads: a job that was
//! cancelled has told its caller at once, but its thread may still be in the closure. To the group it
//! is over when the thread is free, and [`join_all`](Group::join_all),
//! [`try_join_all`](Group::try_join_all), [`scope`] and [`shutdown`](Group::shutdown) wait for that, or
//! name what is stuck.
//!
//! ```text
//!  offload ──► in the lane ──► on a thread ──► returns ──► thread free ──► over
//!                                  │                           ▲
//!                       cancel() ──┴──► outcome `Cancelled` ───┤   draining
//!                                       next() gives it        │
//!                                                join_all() returns
//! ```
//!
//! # Which method for which need
//!
//! | need | take |
//! |---|---|
//! | outcomes as they come | [`Group::next`], or the group as a `Stream` |
//! | all outcomes, good and bad, in order | [`Group::join_all`] |
//! | all values, or the first error, with the rest cancelled | [`Group::try_join_all`]; [`Group::join_all_or_cancel`] if children return no `Result` |
//! | no faster than so many at once | [`Builder::limit`], and `group.spawn(…).await` |
//! | an end within a bounded time, and names | [`Group::shutdown`] |
//! | an end before the function goes on, whatever happens in it | [`scope`] |
//! | children that start siblings | [`Group::spawner`] |
//! | a part that can be given up by itself | [`Group::nested`] |
//!
//! # Compared with others
//!
//! With what is of the same kind, as of `tokio` 1.54, `tokio-util` 0.7.20, Python 3.14 (`asyncio`) and
//! Java 25 (`StructuredTaskScope`, there as a preview):
//!
//! | | `Group` | `JoinSet` | `TaskTracker` | `TaskGroup` | `StructuredTaskScope` |
//! |---|---|---|---|---|---|
//! | children | futures, jobs of lanes | futures, `spawn_blocking` | futures, `spawn_blocking` | coroutines | callables, each on a virtual thread |
//! | outcomes | one by one, all, or the first error | one by one, all | not kept; each spawn gives a `JoinHandle` | not kept; each task has its own | by a `Joiner` |
//! | when one fails | goes on, or [`try_join_all`](Group::try_join_all) cancels the rest | goes on | goes on | cancels the rest, then raises an `ExceptionGroup` of all | by the `Joiner`; by default cancels the rest, then throws the first |
//! | dropped or left | cancels all, does not wait; [`scope`] cancels and waits | aborts all, does not wait | its tasks go on | waits for all | cancels, then waits for all |
//! | a blocking call that runs | cancelled: flag and hooks; waited for until its thread is free | is not aborted, and `join_next` waits for it | is not stopped; `wait` waits for it | not its business: `to_thread` is not stopped | its thread is interrupted |
//! | a blocking call that waits for a thread | never starts | aborted, does not start | starts | starts | has its thread at once |
//! | a deadline | for the group, inner ones the earlier of both | by the caller | by the caller | `asyncio.timeout` around it | by its configuration |
//! | a limit | children in flight | none | none | none | none |
//! | an end in bounded time | [`shutdown`](Group::shutdown), which names what is stuck | none | none | none | none |
//! | from a child | a [`Spawner`] | not: `spawn` needs `&mut` | a clone | the group itself | only its owner forks |
//!
//! - From **`JoinSet`**: `spawn` is the same with or without a limit, and needs only `&self`; it gives no
//!   `AbortHandle`: a part that is to be stopped by itself is a [nested](Group::nested) group.
//!   `join_next` is [`next`](Group::next), `shutdown` is [`scope`] or [`shutdown`](Group::shutdown),
//!   `join_all` gives a `Result` for each child and does not panic. Neither `detach_all` nor tasks that
//!   are not `Send`.
//! - From **`TaskTracker`**: it keeps no outcomes, and so nothing of a task that has ended, and it does
//!   not cancel: one combines it with a `CancellationToken`. A group keeps an outcome until it is taken;
//!   a loop that puts in for ever has to take as well.
//! - From **`TaskGroup`**: leaving the block waits, where [`scope`] cancels what the body did not join.
//!   End the body with `group.join_all().await` to have the former, or with `try_join_all` to have the
//!   first failure cancel the rest. One error is told of and the others are counted ([`Failed`]); an
//!   `ExceptionGroup` has them all.
//! - From **`StructuredTaskScope`**: `fork` is `spawn`, `join` with a `Joiner` is one of the methods that
//!   consume the group, `close` is what [`scope`] does at its end. Interrupting a thread is what a job's
//!   hooks do; see [`Job::on_cancel`](crate::Job::on_cancel).
//!
//! # Jobs that wait for a group
//!
//! A job may wait for a group of jobs of its own lane, in [`Job::block_on`](crate::Job::block_on): it
//! lends its slot to them while it does, whoever has put them in. Two things are left to the
//! caller. In the loop of another executor (`Handle::block_on`, say) a job must not wait for a group
//! that needs its slot. And what a *future* among the children hands to a lane counts as waited for
//! by the job that has put the future in, not by the one that waits for the group: let the job that
//! waits spawn it.
//!
//! # What it costs
//!
//! A child that waits in a lane's queue takes about 780 bytes with all that belongs to it, the job
//! and its deadline included (`examples/queued_child_size.rs` measures it). One that has ended holds its outcome, its number, its
//! label and its place in the source, until the outcome is taken (`examples/million_children.rs`).

mod builder;
mod child;
mod core;
mod family;
mod future;
mod handle;
mod info;
mod job;
mod join;
mod keeper;
mod leftovers;
mod looking;
mod outcomes;
mod quiet;
mod scope;
mod shutdown;
mod spawner;
mod starting;
mod state;
mod waiting;

pub use self::{
    builder::Builder,
    handle::Group,
    info::ChildInfo,
    join::{Cause, Failed},
    scope::scope,
    shutdown::{Shutdown, Stuck},
    spawner::Spawner,
    starting::Starting,
};
