//! Workers on the books: who is called for a job, who parks, who watches, who goes.

use std::{task::Waker, time::Duration};

use tokio::runtime;

use super::{
    super::{
        home::{Home, HomeId, Idle, Watch},
        pace::{FEW, GLANCE, SPIN, STREAM},
    },
    State,
};
use crate::sync::Thread;

/// How many wake-ups of a lane may be under way at a time. More than one, so that one is sent
/// while another travels; few, so that a burst that one worker can serve does not wake a dozen.
const UNDER_WAY: usize = 4;

/// How many callers are woken together at the most.
const TOGETHER: usize = 16;

/// What to do, after the lock, so that waiting jobs get a worker.
pub(crate) enum Step {
    Wake(Thread),
    Start(HomeId, Option<runtime::Handle>),
}

/// What a watcher remembers from one look to the next.
pub(crate) struct Round {
    /// How many jobs had been finished.
    finished: u64,
    /// So many at a time that the watcher should not sleep.
    pub(crate) stream: bool,
}

/// What a parked worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// Nothing happened: park on.
    Park,
    /// It was woken for a job.
    Woken,
    /// It found a job by itself.
    Helps,
    /// Its patience is over: look once more, then go.
    LastTry,
    Leave,
}

impl State {
    /// What brings a worker to the job that has waited longest, of those that nobody comes for.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        let busy = self.busy();
        if self.counts.waiting == 0 || !self.has_free_slot() || self.ended {
            return None;
        }
        let brisk = self.is_brisk();
        if let [home] = self.homes.as_mut_slice() {
            // Nearly always, and on the way of every job.
            // A thread that was asked for may be long in coming, or never come: it is not the one.
            let one_will_do = brisk && home.starting.is_none();
            let enough = if one_will_do { 1 } else { UNDER_WAY };
            if home.closed || home.on_the_way() >= enough.min(self.counts.waiting) {
                return None;
            }
            if brisk && busy > 0 {
                // Whoever is busy will be back before anybody could come; unless this is the one
                // job that takes long. One worker keeps an eye on that.
                // One that has come, or is sure to: a parked worker, which was woken.
                let comes = home.woken() > 0 || (home.idle.is_empty() && home.starting.is_none());
                match home.watch {
                    Watch::On if busy >= self.pace.workers_for(self.counts.waiting) => return None,
                    Watch::On => {}
                    Watch::Wanted if comes => return None,
                    Watch::Wanted | Watch::Off => home.watch = Watch::Wanted,
                }
            }
            if let Some(idle) = home.idle.pop() {
                home.waking += 1;
                return idle.call().map(Step::Wake);
            }
            if home.workers < self.limit
                && let Some(step) = Self::start(home)
            {
                return Some(step);
            }
            home.nobody_comes();
            return None;
        }
        self.next_step_among_homes()
    }

    /// The same, if a home other than the one that was just served may be in need.
    pub(crate) fn next_step_elsewhere(&mut self) -> Option<Step> {
        if self.homes.len() > 1 {
            self.next_step()
        } else {
            None
        }
    }

    fn next_step_among_homes(&mut self) -> Option<Step> {
        let mut in_need: Vec<(u64, usize)> = (self.homes.iter().enumerate())
            .filter(|(_, home)| home.on_the_way() == 0 && !home.closed)
            .filter_map(|(at, home)| Some((self.jobs[*home.queue.front()?].ticket, at)))
            .collect();
        in_need.sort_unstable();
        // One that may never come must not stand in the way of another runtime's.
        let counted = |home: &Home| match self.threads.always_come {
            true => home.workers,
            false => home.present(),
        };
        let threads: usize = self.homes.iter().map(counted).sum();
        let leaving: usize = self.homes.iter().map(|home| home.leaving).sum();
        for (_, at) in in_need {
            let home = &mut self.homes[at];
            if let Some(idle) = home.idle.pop() {
                home.waking += 1;
                return idle.call().map(Step::Wake);
            }
            if threads < self.limit {
                if let Some(step) = Self::start(home) {
                    return Some(step);
                }
            } else if leaving == 0 {
                // Every thread is there for somebody else; one that has nothing to do makes room,
                // and asks again for the step when it has left.
                if let Some(other) = self.homes.iter_mut().find(|home| !home.idle.is_empty()) {
                    other.leaving += 1;
                    return other.idle.pop().and_then(Idle::call).map(Step::Wake);
                }
            }
        }
        None
    }

    fn start(home: &mut Home) -> Option<Step> {
        if !home.may_start() {
            return None;
        }
        home.asked();
        Some(Step::Start(home.id, home.runtime.clone()))
    }

    /// Whether a job waits for a worker that was asked for.
    pub(crate) fn is_wanted(&mut self, home: HomeId) -> bool {
        let ended = self.ended;
        self.home(home)
            .is_some_and(|home| !ended && !home.closed && home.queue.front().is_some())
    }

    /// A worker that was asked for has come.
    pub(crate) fn arrive(&mut self, home: HomeId) {
        if let Some(home) = self.home(home) {
            home.answered();
        }
        self.shut_inbox();
    }

    /// Lists an idle worker.
    pub(crate) fn park(&mut self, home: HomeId, idle: Idle) {
        let Some(home) = self.home(home) else {
            return;
        };
        // The one that looks out stays last, to be called first: it costs nothing to call.
        let last = home.idle.pop_if(|last| last.spinning);
        home.idle.push(idle);
        home.idle.extend(last);
        self.shut_inbox_if_forgotten();
    }

    /// An idle worker is about to sleep, with all that it had to do done. If it should look out for
    /// a while first, as no other does, says for how long.
    pub(crate) fn look_out(&mut self, home: HomeId, worker: u64) -> Option<Duration> {
        let time = if self.is_brisk() { SPIN } else { GLANCE };
        let looks_out = self.home(home).is_some_and(|home| {
            if home.idle.iter().any(|other| other.spinning) {
                return false;
            }
            let Some(at) = home.idle.iter().position(|idle| idle.worker == worker) else {
                return false;
            };
            let mut idle = home.idle.remove(at);
            idle.spinning = true;
            home.idle.push(idle);
            true
        });
        if !looks_out {
            self.tell_lookers();
        }
        looks_out.then_some(time)
    }

    /// Whether a worker that has just come should watch rather than work. How many jobs were
    /// finished by now is what it compares with later.
    pub(crate) fn wants_watcher(&mut self, home: HomeId) -> Option<Round> {
        let finished = self.finished;
        let home = self.home(home)?;
        if home.watch != Watch::Wanted {
            return None;
        }
        home.watch = Watch::On;
        self.tell_lookers();
        Some(Round {
            finished,
            stream: false,
        })
    }

    /// Whether somebody sees to it if a job that starts now takes long, although jobs are brisk.
    pub(crate) fn is_watched(&self) -> bool {
        let watch = |home: &Home| home.watch == Watch::On;
        self.homes.first().is_some_and(watch) && self.is_brisk()
    }

    /// Has the caller of a finished job woken; together with the next ones if this worker has
    /// brisk jobs to go on with, and somebody watches that it does go on.
    pub(crate) fn call(&mut self, caller: Option<Waker>, goes_on: bool) {
        self.later.extend(caller);
        if !goes_on
            || !self.is_watched()
            || self.later.len() >= TOGETHER
            || self.counts.waiting < FEW
        {
            self.calls.append(&mut self.later);
        }
    }

    /// A watcher looks. It goes on watching while there is progress.
    pub(crate) fn watch(&mut self, id: HomeId, last: &Round) -> Option<Round> {
        self.calls.append(&mut self.later);
        self.tell_lookers();
        let progress = self.finished != last.finished;
        let served = self.homes.len() == 1 && self.is_brisk() && !self.closed;
        if progress && served && self.home(id).is_some_and(|home| !home.closed) {
            return Some(Round {
                finished: self.finished,
                stream: self.finished - last.finished >= STREAM,
            });
        }
        if !progress && self.counts.waiting > 0 {
            self.pace.stumble();
            self.signal.follow(&self.pace);
        }
        if let Some(home) = self.home(id) {
            home.watch = Watch::Off;
        }
        self.shut_inbox();
        None
    }

    /// An idle worker looks up.
    pub(crate) fn look_up(&mut self, home: HomeId, worker: u64, patience_ended: bool) -> LookUp {
        let Some(mine) = self.home(home) else {
            return LookUp::Leave;
        };
        if let Some(at) = mine.idle.iter().position(|idle| idle.worker == worker) {
            if mine.idle[at].spinning {
                // From here on nobody looks into the inbox unasked.
                mine.idle[at].spinning = false;
                self.shut_inbox();
                if self.counts.waiting == 0 {
                    self.signal.sleeps();
                    self.tell_lookers();
                    return LookUp::Park;
                }
            } else if !patience_ended {
                return LookUp::Park;
            }
            if let Some(home) = self.home(home) {
                home.idle.remove(at);
            }
            return if patience_ended {
                LookUp::LastTry
            } else {
                LookUp::Helps
            };
        }
        let Some(home) = self.home(home) else {
            return LookUp::Leave;
        };
        // Those that were taken off the list are alike: the first to come leaves for all.
        if home.leaving > 0 {
            home.leaving -= 1;
            return LookUp::Leave;
        }
        home.waking -= 1;
        self.shut_inbox();
        LookUp::Woken
    }

    /// A worker has gone, or will not come.
    pub(crate) fn leave(&mut self, id: HomeId, came: bool) {
        if let Some(home) = self.home(id) {
            home.workers -= 1;
            if !came {
                home.answered();
                home.nobody_comes();
                self.shut_inbox();
            }
        }
        self.signal.sleeps();
        self.shut_inbox_if_forgotten();
        self.tell_lookers();
        // Who had left a job to this one may have to help.
        self.call_helpers();
        self.retire(id);
        self.call_if_quiet();
    }

    /// Forgets a home that has nothing left, and lets its keepers know.
    pub(super) fn retire(&mut self, id: HomeId) {
        let nothing_left = |home: &Home| home.id == id && home.workers == 0 && home.jobs == 0;
        if let Some(at) = self.homes.iter().position(nothing_left) {
            let mut home = self.homes.swap_remove(at);
            self.calls.extend(home.take_keepers().into_iter().flatten());
            self.retired.push(home);
        }
    }

    /// Sends the parked workers home, of all homes or of one.
    pub(crate) fn dismiss_idle(&mut self, of: Option<HomeId>) -> Vec<Thread> {
        let mut dismissed = Vec::new();
        for home in self
            .homes
            .iter_mut()
            .filter(|home| of.is_none_or(|id| home.id == id))
        {
            home.leaving += home.idle.len();
            dismissed.extend(home.idle.drain(..).filter_map(Idle::call));
        }
        dismissed
    }
}
