//! Waiting for a future on a thread that may block.
//!
//! Where the thread runs a job, it makes itself useful meanwhile: see [`nest`](super::nest). In this
//! order:
//!
//! 1. The future is polled. If it waits for no job, that is all: the thread parks until it is woken.
//! 2. If it does, the job is *suspended* in its lane, which is told in the same step which job it
//!    waits for, if it is one alone.
//! 3. Until the future is woken, jobs that it waits for and that have no slot are given that of a
//!    suspended one. If it waits for one alone, this thread runs it, which has nothing better to do.
//!    If there is anything else that could wake the future, as in a `select!`, that must not find
//!    the thread deep in another job: it is then run on a thread of its own.
//! 4. The future is polled again, without the slot: it is async code, and brief. If the slot had to
//!    be had for that, it could not let go of the very job that has it.
//! 5. The future is dropped, and with it the tasks in it. Then the job takes its slot back, which it
//!    may have to wait for, and goes on: what follows is code that blocks.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc as StdArc, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    Cause, Job, Owner, Work,
    nest::{self, Awaited, Here, Post},
    task::Taken,
};
use crate::{
    error::Cancelled,
    sync::{Arc, AtomicBool, Patience, Thread, current},
};

/// How long a thread that has been asked for to run a job may take to come, before the thread that
/// waits for the job runs it itself: Tokio's pool may have none to spare.
const IMPATIENCE: Duration = Duration::from_millis(10);

/// How long a chain of jobs is looked at, each of which waits for the next.
const CHAIN: usize = 1_000;

/// Polls a future on this thread until it is ready. The thread is parked in between, or runs jobs
/// that its own job waits for.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match wait(future, None) {
        Ok(output) => output,
        Err(Cancelled) => unreachable!("no cancel ends this wait"),
    }
}

/// The same, up to the cancel of a job.
pub(super) fn block_on_in<F: Future>(job: &Job, future: F) -> Result<F::Output, Cancelled> {
    wait(future, Some(job))
}

fn wait<F: Future>(future: F, job: Option<&Job>) -> Result<F::Output, Cancelled> {
    let caller = StdArc::new(Caller::new());
    let waker = Waker::from(caller.clone());
    let _hook = job.map(|job| {
        let waker = waker.clone();
        job.on_cancel(move || waker.wake())
    });
    // Before the future, to be dropped after it: it takes the slot back.
    let mut nested = nest::current_post().map(|(_, post)| Nested::new(post, &caller, job));
    let mut future = pin!(Some(future));
    let mut cx = Context::from_waker(&waker);
    // Those who hold the waker beside the future.
    let others = StdArc::strong_count(&caller);
    job.map_or(Ok(()), Job::check)?;
    loop {
        let polled = {
            let here = |nested: &Nested<'_>| Here::Waiting(nested.post.clone(), waker.clone());
            let _polled = nested.as_ref().map(here).map(nest::poll_here);
            let future = future.as_mut().as_pin_mut().expect("it is not over");
            future.poll(&mut cx)
        };
        if let Poll::Ready(output) = polled {
            future.set(None);
            return Ok(output);
        }
        // Not before it was polled: what woke us may have been both.
        job.map_or(Ok(()), Job::check)?;
        match &mut nested {
            Some(nested) => nested.help(StdArc::strong_count(&caller) - others),
            None => caller.park(),
        }
    }
}

/// The thread that waits.
struct Caller {
    thread: Thread,
    /// The future is to be polled.
    woken: AtomicBool,
    /// There may be something to do in the meantime.
    look: AtomicBool,
}

impl Caller {
    fn new() -> Self {
        Self {
            thread: current(),
            woken: AtomicBool::new(false),
            look: AtomicBool::new(false),
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    fn park(&self) {
        while !self.is_woken() {
            Patience::lasting(Duration::MAX).park();
        }
    }
}

impl Wake for Caller {
    fn wake(self: StdArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Has the thread look round, and not poll.
struct Look(StdArc<Caller>);

impl Wake for Look {
    fn wake(self: StdArc<Self>) {
        self.0.look.store(true, Ordering::Release);
        self.0.thread.unpark();
    }
}

/// A job that waits.
struct Nested<'a> {
    post: Arc<Post>,
    caller: StdArc<Caller>,
    look: Waker,
    /// With which job the wait ends.
    job: Option<&'a Job>,
    /// Its slot is lent, and that is for this wait to undo.
    suspended: bool,
    /// Who was called before: of a wait within which this one is.
    before: Option<Waker>,
}

impl<'a> Nested<'a> {
    fn new(post: Arc<Post>, caller: &StdArc<Caller>, job: Option<&'a Job>) -> Self {
        let look = Waker::from(StdArc::new(Look(caller.clone())));
        let before = post.set_waiter(Some(look.clone()));
        Self {
            post,
            caller: caller.clone(),
            look,
            job,
            suspended: false,
            before,
        }
    }

    /// Runs jobs that are waited for, until the future is woken. `wakers` are the clones of its
    /// waker that others hold.
    fn help(&mut self, wakers: usize) {
        // If a task holds the one waker there is, then nothing but this task's outcome can wake us.
        let sole = self.post.take_sole().filter(|_| wakers == 1);
        let alone = sole.is_some();
        let Some(work) = self.post.waits.work.upgrade() else {
            return self.caller.park();
        };
        let mut told = false;
        let mut impatient = false;
        while !self.caller.is_woken() {
            self.caller.look.store(false, Ordering::Release);
            if !self.post.has_noted() {
                // It waits for no job, so far.
                self.park(Patience::lasting(Duration::MAX));
                continue;
            }
            if !std::mem::replace(&mut told, true) {
                self.suspend(&work, sole.as_ref());
            }
            match self.find(impatient) {
                Taken::Job(run, awaited) => {
                    impatient = false;
                    // On top of me, if nothing else could bring me on; or if there is no other thread.
                    let run = match alone {
                        true => Err(run),
                        false => awaited.owner.run_aside(run),
                    };
                    if let Err(run) = run {
                        self.run(&*work, run, awaited);
                    }
                }
                Taken::Coming => impatient = self.park(Patience::lasting(IMPATIENCE)),
                Taken::Nothing => {
                    self.park(Patience::lasting(Duration::MAX));
                }
            }
        }
    }

    /// Lends the job's slot, and says what it waits for.
    fn suspend(&mut self, work: &Arc<dyn Work>, sole: Option<&Awaited>) {
        let owner = &self.post.waits.owner;
        self.suspended |= owner.suspend(&**work, sole.cloned());
        if let Some(sole) = sole.filter(|sole| closes_a_circle(work, sole))
            && let Some(work) = sole.work.upgrade()
        {
            sole.owner.stop(&*work, Cause::WouldDeadlock);
        }
    }

    /// Looks for a job to run.
    fn find(&self, impatient: bool) -> Taken {
        let mut found = Taken::Nothing;
        for (owner, work) in self.post.fronts() {
            match owner.take_here(work, impatient, &self.look) {
                Taken::Nothing => {}
                Taken::Coming => found = Taken::Coming,
                job @ Taken::Job(..) => return job,
            }
        }
        found
    }

    fn run(&self, me: &dyn Work, run: Box<dyn FnOnce() + Send>, awaited: Awaited) {
        let owner = &self.post.waits.owner;
        // It runs on top of me: whatever else I wait for, I wait for it.
        let before = owner.set_waits_for(me, Some(awaited.clone()));
        // With me goes whom I run it for.
        let _hook = self.job.map(|job| {
            job.on_cancel(move || {
                if let Some(work) = awaited.work.upgrade() {
                    awaited.owner.stop(&*work, Cause::Cancelled);
                }
            })
        });
        run();
        owner.set_waits_for(me, before);
    }

    /// Parks until there is something to do; `true` if patience ended first.
    fn park(&self, patience: Patience) -> bool {
        loop {
            let caller = &self.caller;
            if caller.woken.load(Ordering::Acquire) || caller.look.load(Ordering::Acquire) {
                return false;
            }
            if patience.park() {
                return true;
            }
        }
    }
}

impl Drop for Nested<'_> {
    fn drop(&mut self) {
        if self.suspended
            && let Some(work) = self.post.waits.work.upgrade()
        {
            resume(&self.post.waits.owner, &*work, &self.caller, &self.look);
        }
        let mine = self.post.set_waiter(self.before.take());
        drop(mine);
    }
}

/// Waits until a job has its slot back.
fn resume(owner: &Arc<dyn Owner>, work: &dyn Work, caller: &Caller, look: &Waker) {
    while !owner.resume(work, look) {
        while !caller.look.swap(false, Ordering::AcqRel) {
            Patience::lasting(Duration::MAX).park();
        }
    }
}

/// Whether a job that waits for `first` alone waits for itself in the end.
///
/// Every link is certain: a job that waits for one other job and for nothing else, or that has the
/// other on top of itself on its stack. Where each of them does so at the same moment, nothing but
/// a cancel can set them free, and whoever closes the circle sees it closed, since it has told its
/// own lane before it looks.
fn closes_a_circle(me: &Arc<dyn Work>, first: &Awaited) -> bool {
    let mut chain = vec![first.clone()];
    loop {
        let last = &chain[chain.len() - 1];
        let Some(work) = last.work.upgrade() else {
            return false;
        };
        if std::ptr::addr_eq(Arc::as_ptr(&work), Arc::as_ptr(me)) {
            break;
        }
        match last.owner.clone().waits_for(&*work) {
            Some(next) if chain.len() < CHAIN => chain.push(next),
            _ => return false,
        }
    }
    // None of them has moved on while we looked.
    let stands = |awaited: &Awaited| {
        let work = awaited.work.upgrade();
        work.is_some_and(|work| !work.is_settled() && !work.cancels().is_cancelled())
    };
    chain.iter().all(stands)
}

/// Runs a job that is waited for in somebody else's loop, on a thread of its own, while this one is
/// blocked; `false` if it need not be run, or cannot be.
///
/// On this thread it would run inside of the other's loop: Tokio, for one, lets nobody block there.
pub(super) fn run_now(owner: &Arc<dyn Owner>, work: Arc<dyn Work>, waker: &Waker) -> bool {
    let Some((_, post)) = nest::current_post() else {
        return false;
    };
    let Some(me) = post.waits.work.upgrade() else {
        return false;
    };
    let mine = &post.waits.owner;
    let suspended = mine.suspend(&*me, None);
    let taken = owner.clone().take_here(work, false, waker);
    let ran = matches!(taken, Taken::Job(..));
    if let Taken::Job(run, awaited) = taken {
        mine.set_waits_for(&*me, Some(awaited));
        match owner.run_aside(run) {
            Ok(over) => over(),
            Err(run) => run(),
        }
    }
    if suspended {
        let caller = StdArc::new(Caller::new());
        let look = Waker::from(StdArc::new(Look(caller.clone())));
        resume(mine, &*me, &caller, &look);
    }
    ran
}

pin_project_lite::pin_project! {
    /// A future that another thread polls in the name of the job that has made it; from
    /// [`on_behalf`].
    pub(crate) struct OnBehalf<F> {
        #[pin]
        future: F,
        post: Option<Arc<Post>>,
    }
}

/// Ties a future to the job that this thread runs, if any, wherever it is going to be polled: what
/// it waits for, the job waits for.
pub(crate) fn on_behalf<F: Future>(future: F) -> OnBehalf<F> {
    let post = nest::here().or_else(|| Some(nest::current_post()?.1));
    OnBehalf { future, post }
}

impl<F: Future> Future for OnBehalf<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let here = this.post.clone().map(Here::OnBehalf);
        let _polled = here.map(nest::poll_here);
        this.future.poll(cx)
    }
}
