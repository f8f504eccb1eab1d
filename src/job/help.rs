//! What a thread does while its job waits for others.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc as StdArc,
    task::{Context, Waker},
    time::Duration,
};

use super::{
    Cause, How, Job, Owner, Run, Taken, Work,
    circle::closes_a_circle,
    nest,
    post::{Awaited, Post, same},
    wait::{Caller, Look},
};
use crate::{
    cancel::HookGuard,
    sync::{Arc, Patience},
};

/// How long a thread that has been asked for to run a job may take to come, before the thread that
/// waits for the job has it run: Tokio's pool may have none to spare.
const IMPATIENCE: Duration = Duration::from_millis(10);

/// How many jobs may lie on top of each other on one stack, but the first.
const DEPTH: usize = 8;

/// The thread of a job, while that waits.
pub(super) struct Helper {
    me: Job,
    post: Arc<Post>,
    caller: StdArc<Caller>,
    look: Waker,
    /// Its slot is lent, and that is for this wait to undo.
    suspended: bool,
    /// Who was called before: the wait within which this one is.
    around: Option<Waker>,
}

impl Helper {
    pub(super) fn new(me: Job, post: Arc<Post>, caller: &StdArc<Caller>) -> Self {
        let look = Waker::from(StdArc::new(Look(caller.clone())));
        let around = post.set_waiter(Some(look.clone()));
        Self {
            me,
            post,
            caller: caller.clone(),
            look,
            suspended: false,
            around,
        }
    }

    pub(super) fn post(&self) -> &Arc<Post> {
        &self.post
    }

    /// Has jobs run that are waited for, until the future is woken. `is_one` says whether only one
    /// clone of its waker is left with anybody.
    pub(super) fn help(&mut self, waker: &Waker, is_one: impl Fn() -> bool) {
        let mut sole = None;
        let mut told = false;
        let mut coming = None;
        // Somebody who has given up its clone, or has called us and will drop it, may take long.
        let mut again = IMPATIENCE;
        loop {
            let found = sole.is_none().then(|| self.sole(waker, &is_one)).flatten();
            if self.caller.is_woken() {
                return;
            }
            self.caller.looks();
            if !self.post.has_noted() {
                // It waits for no job, so far.
                self.caller.park_for(Patience::lasting(Duration::MAX));
                continue;
            }
            if found.is_some() || !told {
                told = true;
                sole = found;
                self.suspend(sole.as_ref());
            }
            let how = match coming {
                Some(patience) if Patience::is_over(patience) => How::Impatient,
                _ => How::Patient,
            };
            match self.find(sole.as_ref(), how) {
                Taken::Job(run, awaited) => {
                    coming = None;
                    self.run(run, awaited, sole.is_some());
                }
                Taken::Coming => {
                    let patience = *coming.get_or_insert_with(|| Patience::lasting(IMPATIENCE));
                    self.caller.park_for(patience);
                }
                Taken::Nothing | Taken::Gone => {
                    coming = None;
                    let patience = match sole {
                        Some(_) => Duration::MAX,
                        None => again,
                    };
                    if self.caller.park_for(Patience::lasting(patience)) {
                        again = again.saturating_mul(2);
                    }
                }
            }
        }
    }

    /// The one job that the future waits for, if there is nothing else.
    fn sole(&self, waker: &Waker, is_one: impl Fn() -> bool) -> Option<Awaited> {
        if !is_one() {
            return None;
        }
        // If a task has that clone, then nothing but this task's outcome can wake us.
        let last = self.post.last()?;
        last.work.upgrade()?.calls(waker).then_some(last)
    }

    /// Lends the job's slot, and says what it waits for.
    fn suspend(&mut self, sole: Option<&Awaited>) {
        let me = self.me.shared_work();
        let owner = &self.post.waits.owner;
        self.suspended |= owner.suspend(&**me, sole.cloned());
        if let Some(sole) = sole.filter(|sole| closes_a_circle(me, sole))
            && let Some(work) = sole.work.upgrade()
        {
            sole.owner.stop(&*work, Cause::WouldDeadlock);
        }
    }

    /// Looks for a job to run: if it waits for one alone, for none but that.
    fn find(&self, sole: Option<&Awaited>, how: How<'_>) -> Taken {
        let Some(sole) = sole else {
            return self.post.find(how, &self.look);
        };
        let Some(work) = sole.work.upgrade() else {
            return Taken::Gone;
        };
        let taken = sole.owner.clone().take_here(work, how, &self.look);
        if let Taken::Job(_, awaited) = &taken {
            self.post.has_begun(awaited.clone());
        }
        taken
    }

    /// Has a job run: on top of this one, if it is all that this one waits for, of the same lane,
    /// and not too deep; else on a thread of its own, as long as one can be had.
    fn run(&self, run: Run, awaited: Awaited, is_sole: bool) {
        let owner = &awaited.owner;
        if is_sole && same(owner, &self.post.waits.owner) && nest::depth() < DEPTH {
            return self.run_on_top(run, awaited);
        }
        let (post, look) = (self.post.clone(), self.look.clone());
        let run = Box::new(move || {
            run();
            // While there is a thread, for the next ones too.
            while let Taken::Job(run, _) = post.find(How::Patient, &look) {
                run();
            }
        });
        if let Err(run) = owner.run_aside(run) {
            self.run_on_top(run, awaited);
        }
    }

    fn run_on_top(&self, run: Run, awaited: Awaited) {
        let _hook = stops_with(&self.me, awaited);
        run();
    }

    /// Waits until the job has its slot back.
    fn resume(&self) {
        let owner = &self.post.waits.owner;
        let mut hooks = Vec::new();
        while !owner.resume(self.me.work(), &self.look) {
            if hooks.is_empty() {
                // Those that have it were handed in by this job, and its future has not dropped their
                // tasks. If it is cancelled now, they are: it could not do it any more.
                let begun = self.post.take_begun();
                hooks.extend(begun.into_iter().map(|begun| stops_with(&self.me, begun)));
            }
            self.caller.park_to_look();
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let lent = self.post.was_left_lent() || self.suspended;
        if lent && self.around.is_some() {
            // The future that is being polled around this wait may hold the task that has the slot.
            self.post.leave_lent();
        } else if lent {
            self.resume();
        }
        let mine = self.post.set_waiter(self.around.take());
        drop(mine);
    }
}

/// With a job goes whom it waits for.
fn stops_with(me: &Job, awaited: Awaited) -> HookGuard {
    me.on_cancel(move || {
        if let Some(work) = awaited.work.upgrade() {
            awaited.owner.stop(&*work, Cause::Cancelled);
        }
    })
}

/// What has to be polled for a job to come on.
pub(crate) type Meanwhile<'a> = dyn FnMut(&mut Context<'_>) + 'a;

/// Calls when it is dropped.
struct Rings(Waker);

impl Drop for Rings {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

/// Has a job run that is waited for in somebody else's loop, on a thread of its own, while this one
/// is blocked; `false` if it need not be run, or cannot be.
///
/// On this thread it would run inside of the other's loop: Tokio, for one, lets nobody block there.
/// Nobody can tell when that loop waits, so the slot is lent for as long as the job runs.
///
/// `meanwhile` is polled while it runs: what it waits for, if that is to be had of this thread alone.
pub(super) fn run_now(
    owner: &Arc<dyn Owner>,
    work: Arc<dyn Work>,
    waker: &Waker,
    meanwhile: Option<&mut Meanwhile<'_>>,
) -> bool {
    let Some((me, post)) = nest::current_post() else {
        return false;
    };
    let mine = &post.waits.owner;
    let how = match same(mine, owner) {
        true => How::InPlaceOf(me.work()),
        false => How::Patient,
    };
    let Taken::Job(run, awaited) = owner.clone().take_here(work.clone(), how, waker) else {
        return false;
    };
    drop(mine.set_waits_for(me.work(), Some(awaited.clone())));
    // What a job begins that is cancelled already, it begins for other reasons.
    let _hook = (!me.work().cancels().is_cancelled()).then(|| stops_with(&me, awaited));
    let caller = StdArc::new(Caller::new());
    let look = Waker::from(StdArc::new(Look(caller.clone())));
    let mut panicked = None;
    match meanwhile {
        None => match owner.run_aside(run) {
            Ok(over) => over(),
            Err(run) => run(),
        },
        Some(meanwhile) => {
            let rings = Rings(look.clone());
            let run = Box::new(move || {
                let _rings = rings;
                run();
            });
            match owner.run_aside(run) {
                Ok(over) => {
                    let polled = catch_unwind(AssertUnwindSafe(|| {
                        caller.park_to_look_and_poll(meanwhile);
                    }));
                    if polled.is_err() {
                        // Nobody brings it any more what it waits for.
                        owner.stop(&*work, Cause::Cancelled);
                    }
                    over();
                    panicked = polled.err();
                }
                Err(run) => {
                    // Here it could only wait for this thread.
                    owner.stop(&*work, Cause::WouldDeadlock);
                    run();
                }
            }
        }
    }
    while !mine.resume(me.work(), &look) {
        caller.park_to_look();
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
    true
}
