//! Takes blocking calls off async threads and keeps them under control.
//!
//! A [`Lane`] runs closures that block, on threads where they may; there is one for each thing that is
//! called: a database, a service, a disk. [`Lane::offload`] hands a closure in, which is a *job* from
//! then on, and gives a [`Task`], a future of what the closure returns. How many jobs are on threads at
//! once, each in a *slot* of the lane, how many may wait, how long they may
//! take, and what becomes of them when nobody waits any more: that is the lane's business.
//!
//! To learn it from the beginning, read the [tutorial], a book whose programs run. To put a lane into a
//! web service, and for the numbers to choose and to watch, read [`tutorial::service`]. To find what
//! still blocks in a service that is being moved, read `stall::guide` (feature `stall`).
//!
//! # Why it exists
//!
//! A program makes twenty HTTP calls with a blocking client, one after the other, and takes 18 s.
//! It becomes async, the calls are joined, and it takes 18 s again. There are three ways to get
//! this wrong:
//!
//! 1. **To call from async code.** A future that blocks does not give its thread back at `.await`.
//!    The calls run one after the other, and every other task of that thread waits as well: in
//!    the comparison that `longshore compare` makes, an unrelated task was 18 s late.
//! 2. **To spawn and hope.** `spawn_blocking` is fast, but its pool is shared with files and name
//!    resolution, one slow service can fill it, and a call that waits in its queue runs even if
//!    its caller has long given up. A semaphore or a `tower` limit in front counts *futures*: a
//!    timeout gives the permit back while the closure runs on; behind a limit of 2, 10 closures
//!    have been seen at once.
//! 3. **To take the pool for computing.** rayon has as many threads as there are cores. Two cores
//!    wait for two calls at a time: 9 s.
//!
//! Through a lane the same calls take 1 s, as long as the slowest of them, and as long as a client
//! that is async all the way down.
//!
//! # The one rule
//!
//! **The slot belongs to the thread, the job to whoever waits for it.** A slot of the lane is free
//! when its thread has left the closure and not before, so the limit is true. A job whose [`Task`]
//! is dropped is cancelled, by a timeout, a `select!` or a disconnected client alike: if it waited
//! it never starts, if it runs it is asked to stop.
//!
//! # A first program
//!
//! ```
//! use std::{error::Error, fs, time::Duration};
//!
//! use longshore::Lane;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let files = Lane::builder("files").limit(4).queue(100).build();
//!     let quick = files.timeout(Duration::from_secs(2));
//!     let text = quick.offload(|| fs::read_to_string("Cargo.toml")).await??;
//!     assert!(text.contains("[package]"));
//!     Ok(())
//! }
//! ```
//!
//! The first `?` is for what the lane may say, an [`Error`]; the second for what the closure
//! returned. `quick` is the same lane as `files`, with a timeout. Make a lane once and keep it, in the
//! state of the application (handles are cheap to clone, and clones are the same lane) or in a
//! `static`:
//!
//! ```
//! use std::sync::LazyLock;
//!
//! use longshore::Lane;
//!
//! static FILES: LazyLock<Lane> =
//!     LazyLock::new(|| Lane::builder("files").limit(4).queue(100).build());
//! # assert_eq!((FILES.name(), FILES.stats().queue), ("files", Some(100)));
//! ```
//!
//! # Which function for which need
//!
//! | need | take |
//! |---|---|
//! | a first step, without a lane of one's own | [`offload`], on the [default lane](lane::default_lane) |
//! | a call | [`Lane::offload`] |
//! | async code from within a job | [`Job::block_on`] |
//! | a call that can be stopped half-way | [`Lane::offload_with`]: the closure is given its [`Job`] |
//! | the job, in code that is not handed it | [`Job::current`] |
//! | to refuse at once when there is too much | [`Builder::queue`](lane::Builder::queue) and [`Lane::try_offload`] |
//! | to go no faster than the lane | [`Lane::reserve`], then [`offload`](lane::Permit::offload) on the permit |
//! | a function over many items | [`Lane::map`], [`Lane::map_stream`]: a stream of results |
//! | the calls of a code base that uses ureq | [`ureq::agent`] in place of its agent's constructor |
//! | HTTP from async code | [`ureq::Client`] |
//! | many URLs at once: limits, timeouts, retries, JSON, progress | `fetch::Fetcher` (feature `fetch`) |
//! | a `tower::Service` | `Lane::service` (feature `tower`) |
//! | an object that blocks and must stay on its thread, or may not be handed on dirty | [`Resource`] |
//! | several of them | [`ResourcePool`] |
//! | less time for some calls | [`Lane::timeout`], [`Lane::deadline`]: another handle on the lane |
//! | a call whose outcome nobody needs | [`Task::detach`] |
//! | to cancel one call from elsewhere | [`Task::canceller`] |
//! | to cancel many at once | [`CancelToken`] and [`Lane::cancelled_by`] |
//! | futures and calls that begin and end together | [`Group`]; [`group::scope`] |
//! | to see what goes on | [`Lane::stats`], [`Lane::jobs`], [`Lane::label`] |
//! | to know where a closure panicked | [`locate_panics`], once at the start |
//! | async code from synchronous code | [`Bridge::call`] |
//! | to find the calls that still block | `stall::Watch`, `stall::deny` (feature `stall`) |
//! | to refuse new jobs, and let the rest end | [`Lane::close`] |
//! | to end in good order | [`Lane::shutdown`] |
//!
//! And which threads for which work:
//!
//! | work | threads |
//! |---|---|
//! | waits: files, databases, HTTP, other processes | Tokio's blocking pool, the default |
//! | the same, more than a few hundred at once, or for minutes | [`own_threads`](lane::Builder::own_threads) |
//! | the same, where a runtime must be able to end without it | [`own_threads`](lane::Builder::own_threads) |
//! | the same, outside of any runtime | [`own_threads`](lane::Builder::own_threads) |
//! | computes | `rayon` (feature `rayon`), with as many jobs as cores |
//!
//! # Stopping a call
//!
//! A thread cannot be stopped from outside. It can be asked, and what it blocks in can be
//! interrupted. A closure that takes part has three ways: it looks at [`Job::check`] between its
//! steps, it gives its blocking calls [`Job::remaining`] as their timeout, or it says with
//! [`Job::on_cancel`] how to interrupt them. One that does none of these runs to its end, counted
//! as *draining*, whatever its caller does.
//!
//! ```
//! use std::{io::Read, net::{Shutdown, TcpListener, TcpStream}, time::Duration};
//! # use longshore::{Lane, Error};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = TcpListener::bind("127.0.0.1:0")?;
//! let mut stream = TcpStream::connect(server.local_addr()?)?; // to a server that never answers
//! let lane = Lane::builder("feed").limit(1).timeout(Duration::from_millis(100)).build();
//!
//! let answer = lane.offload_with(move |job| {
//!     let handle = stream.try_clone()?;
//!     let _guard = job.on_cancel(move || drop(handle.shutdown(Shutdown::Both)));
//!     let mut text = String::new();
//!     stream.read_to_string(&mut text).map(|_| text)
//! });
//!
//! assert!(answer.await.unwrap_err().is_timeout());
//! // The hook has woken the read: the thread is free, and shutdown finds nothing to wait for.
//! lane.shutdown(Duration::from_secs(1)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens at the limits
//!
//! | when | the caller is told | and the closure |
//! |---|---|---|
//! | every slot is taken | nothing: the job waits its turn | starts later, in the order of the calls |
//! | the queue is full | [`Error::QueueFull`]; `reserve` and `map` wait instead | is dropped |
//! | time runs out in the queue | [`Error::TimedOut`], phase `Waiting` | is dropped |
//! | time runs out on a thread | [`Error::TimedOut`], phase `Running` | is cancelled, and drains |
//! | the task is dropped | (nobody is left to be told) | is dropped, or is cancelled and drains |
//! | it is cancelled otherwise | [`Error::Cancelled`] | is dropped, or is cancelled and drains |
//! | the closure panics | [`Error::Panicked`], with the payload | has ended; its thread goes on |
//! | no thread can be had, and the lane has none for that runtime | [`Error::NoThread`] | is dropped |
//! | no thread can be had, but the lane has some there | nothing: the job waits for one of them | starts later |
//! | Tokio's pool is exhausted | nothing, until its time runs out: see [`starting_for`](lane::Stats::starting_for) | waits |
//! | on Tokio's pool: there is no runtime, or it ends while the job waits | [`Error::NoRuntime`] | is dropped |
//! | the lane is closed | [`Error::Closed`] | is dropped |
//! | the object of a resource cannot be made, and there is no other | [`Error::Unavailable`] | is dropped |
//! | a closure that has the object waits for another that needs it | [`Error::InUse`] | is dropped |
//! | jobs wait for each other in a circle, in [`Job::block_on`] | [`Error::WouldDeadlock`], one of them or more | is dropped, or is cancelled and drains |
//! | its [`Group`] is over, or stops a future | [`Error::Stopped`] | is dropped |
//!
//! [`Error::never_started`] tells whether the closure can have done anything.
//!
//! [`Lane::shutdown`] gives jobs a grace period, cancels what is left, and returns about
//! 50 ms after that: with what it did, or with [`Stuck`](lane::Stuck), which names every job that still
//! holds a thread.
//!
//! Three things end the process, and no library can catch them: a stack overflow, an abort (which
//! includes every panic under `panic = "abort"`), and a captured value that panics in its `Drop`
//! while another panic unwinds. (Under `panic = "abort"` that goes for three panics of Tokio's, too,
//! which are caught otherwise and only seen by the panic hook: it has no thread to spare for its
//! pool, was asked to keep a deadline on a runtime that was built without a timer, or is asked for the
//! first time whether a time is over when the runtime that was to keep it has just ended.) And threads
//! are used again: what a job leaves in thread-locals, later jobs on that thread find. A job can wait for
//! other jobs of its lane, in [`Job::block_on`], but what it waits for in ways that cannot be seen, a
//! channel say, may stand in line behind it for ever.
//!
//! # Which threads exist
//!
//! - A lane has no thread until it has a job. Then it has as many workers as there is work for, at
//!   most its limit: a thread takes job after job, and one that has none waits a while for the next
//!   (10 ms on Tokio's pool, [`keep_alive`](lane::Threads::keep_alive) on own threads, not at all
//!   on rayon) and leaves. Except on rayon, a thread without a job looks out for one for up to 10 µs
//!   before it sleeps; while jobs are very short (20 µs or less) for up to 50 µs, and then one may stay awake
//!   to watch that the others keep up: processor time in exchange for wake-ups that cost more.
//! - On Tokio's pool a job runs on a thread of the runtime that it was handed in from; on own
//!   threads and on rayon that runtime is entered. So `Handle::current()` in a job is the runtime
//!   of its caller. Dropping a runtime waits for the closures that run on its pool, not for idle
//!   workers, and not for own threads.
//! - Deadlines are kept by one async task for each lane and runtime, while there is a job or a worker.
//!   Outside of a runtime, in one that was built without a timer, and for jobs whose runtime has
//!   ended, a thread called `longshore-timer` keeps them, again one for each lane and runtime;
//!   `shutdown` has one there as well, until it returns, and so has each call of a fetcher with a time
//!   limit, or a pause before another attempt, while it waits, and a batch with a time limit.
//! - A [`Resource`] has one thread from its first call to its last handle, a [`ResourcePool`] up to one
//!   for each object, given back after 10 s without a call; [`keep_alive`](resource::Builder::keep_alive)
//!   says otherwise of both. These threads belong to no runtime.
//! - [`Bridge::start`] has one thread, called `longshore-bridge`, as long as there is a handle, and
//!   all bridges together one called `longshore-clock` while a call with a timeout waits, or one
//!   into a current-thread runtime, and for a second after that.
//! - A job that waits for other jobs keeps its thread, and while it waits for several, or for one of
//!   another lane, there is a thread more for what runs in its slot.
//! - While anything is watched by `stall`, there is one thread called `longshore-stall`, and for each
//!   watch that has had something to tell one called `longshore-tell`. When a profile with stacks is over,
//!   one called `longshore-profile` looks up their names and ends.
//! - Names are looked up for [`ureq::agent`] by a lane of four threads, called `longshore-dns-…`,
//!   which end after a second without work.
//! - Large JSON of `fetch` is parsed on rayon's global pool with the feature `rayon`, else on the
//!   [default lane](lane::default_lane), unless a fetcher is given another.
//!
//! # Crate layout
//!
//! A module uses only those that come before it here.
//!
//! - [`error`]: what a call can come to other than its value, and panics as values.
//! - [`cancel`]: the flag and the hooks of a job, and a token for many jobs.
//! - [`job`]: a job as its closure sees it ([`Job`]) and as its caller does ([`Task`]).
//! - [`lane`]: the lane, its builder, statistics, threads, `map` and `reserve`.
//! - [`resource`]: objects that are made, used and dropped on one thread, and pools of them.
//! - [`group`]: futures and jobs that belong together, and nothing of which is left behind.
//! - [`ureq`]: agents whose calls can be cancelled, and an async client over them.
//! - [`bridge`]: from synchronous code into async code.
//! - `fetch`: many requests at once, through that client or any other service.
//! - `stall`: finds what still blocks. It uses no other module but [`error`].
//! - [`tutorial`]: the book, in the documentation only.
//!
//! # Features
//!
//! `ureq` is on by default.
//!
//! - `ureq`: the module [`ureq`].
//! - `json`: JSON bodies there, in both directions, and in `fetch`.
//! - `fetch`: the module `fetch`. It needs `ureq` only for what it is used with.
//! - `brotli`, `charset`, `cookies`: these three features of ureq's.
//! - `native-tls`: TLS by the system's library, for agents that are configured so.
//! - `rayon`: lanes on a rayon pool.
//! - `tracing`: the span that is current where a job is handed in is entered in the job, and is the
//!   parent of its events. Their target is `longshore::lane`; at `TRACE` "a job is handed in" and "a
//!   job starts", with how long it `waited`; at `DEBUG` "a job is over", with its `outcome` and how long
//!   it `waited` and `ran`, "a job is abandoned" (given up while its thread is in it) and "an abandoned
//!   job has returned", with `ran`; each of these with `lane`, `label` and `location`. "A job was
//!   refused", at `DEBUG` as well, has `lane` and `error`. At `WARN` a refused thread, a panic that
//!   nobody is told of, and a job that is stuck after a shutdown; a child of a group that is stuck
//!   after one has the target `longshore::group`.
//! - `metrics`: through the `metrics` facade, each with the label `lane`, the counters
//!   `longshore_jobs_submitted_total`, `longshore_jobs_refused_total`, `longshore_jobs_total`
//!   (by `outcome`) and `longshore_late_panics_total`, the gauges `longshore_waiting`, `longshore_running`,
//!   `longshore_draining` and `longshore_suspended` (each from the first job on that was in that state),
//!   and the histograms `longshore_queue_seconds` and `longshore_run_seconds`; and whatever else is in
//!   [`Stats`](lane::Stats), as gauges that `Lane::record_metrics` sets.
//!   `lane::describe_metrics` says what each is. `examples/prometheus.rs` has them scraped.
//! - `tower`: `Lane::service`, and, with `ureq`, `Client::service`.
//! - `stall`: the module `stall`.
//! - `stall-stacks`: the stack of a thread that is stuck, with names and lines. Linux on x86_64; it has
//!   no effect elsewhere.
//! - `cli`: the command `longshore`. Nothing in it is of use to a library.
//! - `full`: all of them but `brotli`, `charset`, `cookies` and `native-tls`.
//!
//! # Versions and platforms
//!
//! Rust 1.88 and Tokio 1.54.1, or later: since 1.54.0 a refused thread is an error in Tokio and not a
//! hang, and 1.54.1 takes back a change to its timers. ureq 3.5.1 or later: what is replaced in it is in
//! its module `unversioned`, which ureq may change in a minor release. All of that is in one folder of three
//! files here (`src/ureq/cut`), and should a ureq not compile with it, `cargo update -p ureq --precise`
//! takes the last one that does; 3.5.2 is tested, and 3.5.1 is built.
//!
//! It is tested on Linux; what differs elsewhere is how a thread that waits for a socket is woken
//! (`src/ureq/wake.rs`). There is no `unsafe` code in it.

#[cfg(all(doctest, feature = "ureq"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod sync;

pub mod bridge;
pub mod cancel;
pub mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod group;
pub mod job;
pub mod lane;
pub mod resource;
#[cfg(feature = "stall")]
pub mod stall;
#[cfg(all(any(doc, doctest), feature = "ureq"))]
pub mod tutorial;
#[cfg(feature = "ureq")]
pub mod ureq;

pub use self::{
    bridge::Bridge,
    cancel::CancelToken,
    error::{Error, Panic, locate_panics},
    group::Group,
    job::{Job, Task},
    lane::{Lane, Threads, offload},
    resource::{Resource, ResourcePool},
};

#[cfg(all(test, not(feature = "tracing")))]
mod size {
    use crate::job::{Cell, Job};

    /// A cache line more or less here is a measurable part of what a hand-off costs.
    #[test]
    fn the_cell_of_a_small_job_takes_three_cache_lines() {
        fn size_of_cell<F, T>(_: F) -> usize
        where
            F: FnOnce(&Job) -> T + Send + 'static,
            T: Send + 'static,
        {
            size_of::<Cell<F, T>>() + 2 * size_of::<usize>()
        }
        let number = 7_u64;
        let size = size_of_cell(move |_: &Job| number);
        assert!(size <= 192, "{size} bytes with the counts of its Arc");
    }
}
