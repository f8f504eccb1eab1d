//! From a verdict to a report.

#[cfg(feature = "stall-stacks")]
use std::panic::{self, AssertUnwindSafe};

#[cfg(feature = "stall-stacks")]
use super::stack::{self, Modules, Walked};
use super::{
    BlockingCall,
    place::Place,
    proc::{self, Eye, Look, Names, Sleep},
    report::Stall,
    slot::View,
    trail::{Seen, Verdict},
};

/// Who is stuck.
pub(super) struct Found<'a> {
    pub(super) worker: Option<usize>,
    pub(super) thread: Option<u32>,
    pub(super) view: Option<&'a View>,
}

impl Found<'_> {
    /// With the name of the call, if there is one.
    pub(super) fn stall(
        self,
        verdict: Verdict,
        now: Seen,
        names: &mut Names,
        eye: &Eye,
        last: Option<&Look>,
    ) -> Stall {
        let sleep = verdict.sleep.clone();
        let mut stall = self.bare(verdict, now);
        let Some(sleep) = sleep else { return stall };
        let still = || {
            let look = eye.look();
            look.zip(last)
                .is_some_and(|(look, last)| look.same_sleep(last))
        };
        // First what takes the least time: the longer it is, the sooner the thread is somewhere else.
        #[cfg(feature = "stall-stacks")]
        {
            let walked = stall.thread.and_then(|thread| {
                let mut modules = Modules::now().ok()?;
                walked(thread, &sleep, &mut modules)
            });
            stall.stack = walked.filter(|_| still()).map(Walked::stack);
        }
        names.forget(now.awake);
        stall.call = call_of(names, &sleep);
        // If it has been awake meanwhile, what its arguments meant may be something else by now.
        if let Some(call) = &mut stall.call
            && !still()
        {
            call.forget_what_it_is_about();
        }
        stall
    }

    /// Without.
    pub(super) fn bare(self, verdict: Verdict, now: Seen) -> Stall {
        let named = self
            .view
            .and_then(|view| view.name.as_deref().map(str::to_owned));
        let poll = self.view.and_then(|view| view.poll);
        Stall {
            cause: verdict.cause,
            certainty: verdict.certainty,
            stalled_for: now.at.saturating_duration_since(verdict.began),
            total: None,
            worker: self.worker,
            thread: self.thread.filter(|thread| proc::is_of_the_system(*thread)),
            thread_name: named.or_else(|| Names::thread(self.thread?)),
            task: self.view.and_then(|view| view.task),
            watched_at: poll.and_then(|poll| Place::source(poll.place)),
            call: None,
            #[cfg(feature = "stall-stacks")]
            stack: None,
        }
    }
}

/// The call that a thread sleeps in, if that can be told.
pub(super) fn call_of(names: &mut Names, sleep: &Sleep) -> Option<BlockingCall> {
    match sleep {
        Sleep::Call(registers) => names.call(registers),
        Sleep::Somewhere { .. } => None,
    }
}

/// The stack of a thread that sleeps there, if it still does afterwards.
#[cfg(feature = "stall-stacks")]
pub(super) fn walked(thread: u32, sleep: &Sleep, modules: &mut Modules) -> Option<Walked> {
    let Sleep::Call(at) = sleep else { return None };
    let snapshot = stack::capture(thread, at.stack, at.program)?;
    // A file that is damaged in a way that nobody has thought of must not be the end of this look.
    panic::catch_unwind(AssertUnwindSafe(|| snapshot.walk(modules))).ok()
}
