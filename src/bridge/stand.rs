//! Where a caller stands, and how it may wait there.
//!
//! Tokio answers a wait in the wrong place with a panic. There is no way to ask it beforehand, so
//! this puts together what it does tell, without a panic and without leaving a trace:
//!
//! | `worker_index` | runtime entered | budget | task's id | so this is | and it |
//! |---|---|---|---|---|---|
//! | none | none | | none | a thread that Tokio knows nothing of | waits |
//! | none | multi-thread | | none | such a thread, or `block_on` there | waits |
//! | none | any | unlimited | any | such a thread, a closure on a blocking pool, a lane's job | waits |
//! | none | current-thread | limited | none | `block_on`, and another thread drives the runtime | is refused |
//! | none | any | limited | some | a task of a `LocalSet` | is refused |
//! | some | current-thread | | | that runtime's only thread | is refused |
//! | some | multi-thread | | some | a task on a worker | waits in `block_in_place` |
//! | some | multi-thread | | none | `block_on` of a current-thread runtime, another one entered | is refused |
//!
//! Within `block_in_place`, `worker_index` is none. The *budget* is how many steps Tokio lets a task
//! take in one poll. It has one wherever it polls, and nowhere else.
//!
//! What cannot be told, and what becomes of it:
//!
//! - The future that is given to `LocalSet::run_until` looks like that of `block_on` itself, and waits
//!   where that does: the tasks of the set wait with it. So do those of a set beside one that is
//!   `unconstrained` in a multi-thread runtime's `block_on`: it looks like a closure on a blocking
//!   pool. And so do those of a set that is driven by `block_on` in the `block_in_place` of a worker,
//!   beside any of them: in there it looks as on the worker itself.
//! - A closure on a blocking pool that calls `Handle::block_on` itself looks like a task of a
//!   `LocalSet`, and is refused.
//! - The runtime entered need not be that of the thread. A task on a worker that has a current-thread
//!   runtime entered looks like one of that runtime, and is refused. A task of a current-thread
//!   runtime that has a multi-thread one entered looks as if it were on a worker of that: it is
//!   tried, and Tokio panics. (That a runtime's worker is this very thread could be asked for only
//!   with `tokio_unstable`.)

use std::{
    panic::{self, AssertUnwindSafe, Location},
    task::{Context, Poll, Waker},
};

use tokio::{
    runtime::{self, Handle, RuntimeFlavor},
    task::{self, coop},
};

use super::error::{Driving, Error};
use crate::error::drop_quietly;

/// One step more than Tokio lets a task take in one poll; a test holds it against that. Were Tokio
/// to grant more, what is refused in the fourth and the fifth row would wait.
const BUDGET: usize = 128 + 1;

/// How a caller may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// Nothing else needs this thread.
    Free,
    /// The runtime needs a worker in its place.
    Worker,
    Driving(Driving),
    /// The thread ends, and Tokio has left it.
    Ending,
}

/// Where a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On a thread that nobody else needs.
    Aside,
    /// On one that was a worker until now; another does its work.
    Worker,
}

/// Runs what blocks, unless this thread must not.
pub(super) fn waiting<T>(
    at: &'static Location<'static>,
    wait: impl FnOnce(Place) -> T,
) -> Result<T, Error> {
    match ground() {
        Ground::Free => Ok(wait(Place::Aside)),
        Ground::Worker => in_place(at, || wait(Place::Worker)),
        Ground::Driving(driving) => Err(Error::WouldBlockRuntime { at, driving }),
        Ground::Ending => Err(Error::ThreadEnds),
    }
}

/// Whether [`waiting`] would wait.
pub(super) fn check(at: &'static Location<'static>) -> Result<(), Error> {
    match ground() {
        Ground::Free | Ground::Worker => Ok(()),
        Ground::Driving(driving) => Err(Error::WouldBlockRuntime { at, driving }),
        Ground::Ending => Err(Error::ThreadEnds),
    }
}

fn ground() -> Ground {
    let index = runtime::worker_index();
    let id = task::try_id();
    let runtime = match Handle::try_current() {
        Ok(runtime) => runtime,
        Err(error) if error.is_thread_local_destroyed() => return Ground::Ending,
        // A `LocalSet` needs no runtime.
        Err(_) if id.is_some() && is_limited() => return Ground::Driving(Driving::LocalSet),
        Err(_) => return Ground::Free,
    };
    // Other flavours than this one are taken for one thread, until they are known better.
    let has_workers = runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
    match (index, id) {
        (None, None) if has_workers => Ground::Free,
        (None, _) if !is_limited() => Ground::Free,
        (None, Some(_)) => Ground::Driving(Driving::LocalSet),
        (None, None) => Ground::Driving(Driving::CurrentThreadRuntime),
        (Some(_), Some(_)) if has_workers => Ground::Worker,
        (Some(_), _) => Ground::Driving(Driving::CurrentThreadRuntime),
    }
}

/// Whether Tokio limits how many steps can be taken here without giving way: takes them, and gives
/// them back.
///
/// Not asked on a worker. Elsewhere Tokio calls the waker of a step that it does not grant at once,
/// and this one does nothing.
fn is_limited() -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut steps = [const { None }; BUDGET];
    let mut limited = false;
    for place in &mut steps {
        match coop::poll_proceed(&mut cx) {
            Poll::Ready(step) => *place = Some(step),
            Poll::Pending => {
                limited = true;
                break;
            }
        }
    }
    // Each brings back what there was before it: the last one first. Without a limit there is
    // nothing to bring back, in whichever order.
    if limited {
        for place in steps.iter_mut().rev() {
            *place = None;
        }
    }
    limited
}

/// Lets another thread take this worker's place meanwhile.
fn in_place<T>(at: &'static Location<'static>, wait: impl FnOnce() -> T) -> Result<T, Error> {
    let mut wait = Some(wait);
    let ran = panic::catch_unwind(AssertUnwindSafe(|| {
        task::block_in_place(|| wait.take().map(|wait| wait()))
    }));
    match ran {
        Ok(Some(value)) => Ok(value),
        Ok(None) => unreachable!("it is called once"),
        Err(payload) if wait.is_none() => panic::resume_unwind(payload),
        // Tokio's own: no thread for the worker's place, or a task of a current-thread runtime in
        // which somebody has entered another one.
        Err(payload) => {
            let refused = payload
                .downcast_ref::<String>()
                .is_some_and(|said| said.starts_with("OS can't spawn"));
            drop_quietly(payload);
            Err(if refused {
                Error::NoThread(std::io::ErrorKind::WouldBlock.into())
            } else {
                Error::WouldBlockRuntime {
                    at,
                    driving: Driving::CurrentThreadRuntime,
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [tokio::runtime::Runtime; 2] {
        [
            tokio::runtime::Builder::new_current_thread(),
            tokio::runtime::Builder::new_multi_thread(),
        ]
        .map(|mut builder| builder.worker_threads(1).build().expect("a runtime"))
    }

    /// How many steps can be taken before one has to give way.
    fn steps_left() -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut taken = Vec::new();
        while taken.len() < 1_000 && coop::has_budget_remaining() {
            let Poll::Ready(step) = coop::poll_proceed(&mut cx) else {
                break;
            };
            taken.push(step);
        }
        let left = taken.len();
        while let Some(step) = taken.pop() {
            drop(step);
        }
        left
    }

    #[test]
    fn looking_at_the_budget_leaves_it_as_it_was() {
        assert!(!is_limited());
        for runtime in both() {
            let task = runtime.spawn(async {
                let before = steps_left();
                assert!(before > 0 && before < BUDGET, "{before}");
                assert!(is_limited());
                assert_eq!(steps_left(), before);
                tokio::task::coop::unconstrained(async { assert!(!is_limited()) }).await;
            });
            runtime.block_on(async {
                task.await.expect("no assertion fails");
                let before = steps_left();
                assert!(is_limited());
                assert_eq!(steps_left(), before);
            });
            let closure = runtime.spawn_blocking(is_limited);
            assert!(!runtime.block_on(closure).expect("it does not panic"));
        }
    }

    /// A task that has used all its steps is still told from a thread that has none to count.
    #[test]
    fn a_spent_budget_is_a_budget() {
        let [runtime, _] = both();
        runtime.block_on(async {
            let mut cx = Context::from_waker(Waker::noop());
            while coop::has_budget_remaining() {
                let Poll::Ready(step) = coop::poll_proceed(&mut cx) else {
                    break;
                };
                step.made_progress();
            }
            assert!(is_limited());
            assert_eq!(ground(), Ground::Driving(Driving::CurrentThreadRuntime));
        });
    }

    /// Somebody else's runtime is entered on the only thread of another: to be told from a worker.
    #[test]
    fn another_runtime_entered_makes_no_worker_of_the_only_thread() {
        let [one, many] = both();
        one.block_on(async {
            let _entered = many.enter();
            assert_eq!(ground(), Ground::Driving(Driving::CurrentThreadRuntime));
        });
    }
}
