//! What follows from a trail: that it is a stall, of which kind, and how surely.
//!
//! Two clocks are asked for each verdict. By the wall clock it has to have lasted for as long as the
//! threshold; and the watchdog has to have been awake for half of that, looking. So a process that was
//! stopped, or a machine that had no time for the watchdog, gives no report.

use std::time::{Duration, Instant};

use super::{
    super::{
        proc::{Sleep, State},
        report::{Cause, Certainty},
    },
    Seen, Trail,
};

/// Tokio's `event_interval`, unless the runtime was built with another.
const TICKS: u32 = 61;

/// How long is too long.
#[derive(Clone, Copy, Debug)]
pub(in crate::stall) struct Limits {
    pub(in crate::stall) threshold: Duration,
    /// Where only Tokio's word is known, which may be about many polls.
    pub(in crate::stall) coarse: Option<Duration>,
}

/// That it is a stall.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stall) struct Verdict {
    pub(in crate::stall) cause: Cause,
    pub(in crate::stall) certainty: Certainty,
    pub(in crate::stall) began: Instant,
    /// Where it sleeps, or has slept most often.
    pub(in crate::stall) sleep: Option<Sleep>,
}

impl Verdict {
    /// It is the worker that does not go on, and perhaps on another thread than this.
    pub(in crate::stall) fn is_of_a_worker_only(&mut self) {
        self.certainty = Certainty::UpToTicks(TICKS);
    }
}

impl Trail {
    /// Whether this is a stall by now. `exact` if it is known to be one poll.
    pub(in crate::stall) fn verdict(
        &self,
        now: Seen,
        limits: Limits,
        exact: bool,
    ) -> Option<Verdict> {
        let Some(last) = &self.last else {
            return self.unseen(now, limits, exact);
        };
        if let (Some(since), State::Asleep(sleep)) = (self.sleep, &last.state) {
            if now.lasted(since, limits.threshold) {
                return Some(Verdict {
                    cause: cause_of(sleep),
                    certainty: Certainty::OneCall,
                    began: since.at,
                    sleep: Some(sleep.clone()),
                });
            }
            // It is about to be told as one; if it ends before that, it is one of many.
            if now.at.saturating_duration_since(since.at) >= limits.threshold / 2 {
                return None;
            }
        }
        let began = self.began.at;
        if now.lasted(self.began, limits.threshold)
            && self.looked >= limits.threshold / 2
            && self.sleeps()
        {
            // Of a sleep that goes on more can be told than of one that is over.
            let sleep = match &last.state {
                State::Asleep(sleep) => sleep.clone(),
                State::Running => {
                    let often = self.calls.iter().max_by_key(|(_, count)| *count);
                    often.map(|(sleep, _)| sleep.clone())?
                }
            };
            return Some(Verdict {
                cause: cause_of(&sleep),
                certainty: if exact {
                    Certainty::OnePoll
                } else {
                    Certainty::ManyCalls
                },
                began,
                sleep: Some(sleep),
            });
        }
        let (long, certainty) = busy(limits, exact)?;
        // By its own processor time: where it is given none, the machine is short of it, and the thread
        // not at fault.
        let cpu = last.account.cpu;
        let used = cpu.saturating_sub(self.cpu.unwrap_or(cpu));
        (now.lasted(self.began, long) && used >= long).then_some(Verdict {
            cause: Cause::Cpu { used },
            certainty,
            began,
            sleep: None,
        })
    }

    /// Where the thread cannot be looked at, or is not known, only the time is.
    ///
    /// Nothing says whether it was given a processor. So the watchdog must have been given one
    /// whenever it wanted it, and where it may be many polls, they have to take three times as long
    /// as usual.
    fn unseen(&self, now: Seen, limits: Limits, exact: bool) -> Option<Verdict> {
        let (long, certainty) = busy(limits, exact)?;
        let long = if exact { long } else { long.saturating_mul(3) };
        let (lasted, awake) = (self.age(now), now.awake.since(self.began.awake));
        (lasted >= long && awake * 10 >= lasted * 9).then_some(Verdict {
            cause: Cause::Unknown,
            certainty,
            began: self.began.at,
            sleep: None,
        })
    }
}

/// How long a thread may be busy without a sleep, and what is known then.
fn busy(limits: Limits, exact: bool) -> Option<(Duration, Certainty)> {
    if exact {
        return Some((limits.threshold, Certainty::OnePoll));
    }
    Some((limits.coarse?, Certainty::UpToTicks(TICKS)))
}

fn cause_of(sleep: &Sleep) -> Cause {
    match sleep {
        Sleep::Call(registers) if registers.number < 0 => Cause::Unknown,
        Sleep::Call(registers) if registers.is_futex() => Cause::LockWait,
        Sleep::Somewhere { on_a_lock: true } => Cause::LockWait,
        Sleep::Call(_) | Sleep::Somewhere { .. } => Cause::BlockingCall,
    }
}
