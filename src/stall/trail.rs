//! What has been seen of one thread since it went on last, and what follows from it.
//!
//! No clock, no files and no threads in here: only looks and times.
//!
//! Two clocks are asked for each verdict. By the wall clock it has to have lasted for as long as the
//! threshold; and the watchdog has to have been awake for half of that, looking. So a process that was
//! stopped, or a machine that had no time for the watchdog, gives no report.

use std::time::{Duration, Instant};

use super::{
    clock::Moment,
    proc::{Look, Sleep, State},
    report::{Cause, Certainty},
};

/// Tokio's `event_interval`, unless the runtime was built with another.
const TICKS: u32 = 61;

/// More calls than this in one stall are not told apart.
const CALLS: usize = 16;

/// How long is too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) threshold: Duration,
    /// Where only Tokio's word is known, which may be about many polls.
    pub(super) coarse: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Trail {
    began: Seen,
    /// The processor time that the thread had used by then.
    cpu: Option<Duration>,
    last: Option<Look>,
    /// Since when it has been in the sleep of the last look.
    sleep: Option<Seen>,
    last_seen: Moment,
    /// Nothing could be seen the last time.
    missed: bool,
    /// How much of the time it was looked at, and how much of that it slept.
    looked: Duration,
    slept: Duration,
    calls: Vec<(Sleep, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) awake: Moment,
}

impl Seen {
    fn lasted(self, earlier: Self, long: Duration) -> bool {
        self.at.saturating_duration_since(earlier.at) >= long
            && self.awake.since(earlier.awake) >= long / 2
    }
}

/// That it is a stall.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    pub(super) certainty: Certainty,
    pub(super) began: Instant,
    /// Where it sleeps, or has slept most often.
    pub(super) sleep: Option<Sleep>,
}

impl Verdict {
    /// It is the worker that does not go on, and perhaps on another thread than this.
    pub(super) fn is_of_a_worker_only(&mut self) {
        self.certainty = Certainty::UpToTicks(TICKS);
    }
}

impl Trail {
    pub(super) fn begin(now: Seen) -> Self {
        Self {
            began: now,
            cpu: None,
            last: None,
            sleep: None,
            last_seen: now.awake,
            missed: false,
            looked: Duration::ZERO,
            slept: Duration::ZERO,
            calls: Vec::new(),
        }
    }

    /// Another look at the thread, which has not gone on; `None` if nothing could be seen.
    pub(super) fn look(&mut self, look: Option<Look>, now: Seen) {
        let step = now.awake.since(self.last_seen);
        self.last_seen = now.awake;
        let Some(look) = look else {
            // What it sleeps in, if it does, may be another call by now.
            self.sleep = None;
            self.last = None;
            self.missed = true;
            return;
        };
        if self.missed {
            // Nor is it known what it did meanwhile.
            *self = Self::begin(now);
        }
        self.cpu.get_or_insert(look.account.cpu);
        let same = self
            .last
            .as_ref()
            .is_some_and(|last| last.same_sleep(&look));
        if let State::Asleep(sleep) = &look.state {
            if !same {
                self.sleep = Some(now);
            }
            self.slept += step;
            self.count(sleep);
        } else {
            self.sleep = None;
        }
        self.looked += step;
        self.last = Some(look);
    }

    fn count(&mut self, sleep: &Sleep) {
        // The stack may differ from call to call, and so may a buffer: the call and what it is about
        // are what is counted.
        let alike = |(other, _): &&mut (Sleep, u32)| match (other, sleep) {
            (Sleep::Call(a), Sleep::Call(b)) => {
                a.number == b.number && a.arguments[0] == b.arguments[0]
            }
            (a, b) => *a == *b,
        };
        if let Some((latest, count)) = self.calls.iter_mut().find(alike) {
            *latest = sleep.clone();
            *count += 1;
        } else if self.calls.len() < CALLS {
            self.calls.push((sleep.clone(), 1));
        }
    }

    pub(super) fn age(&self, now: Seen) -> Duration {
        now.at.saturating_duration_since(self.began.at)
    }

    /// Whether it has slept most of the time.
    pub(super) fn sleeps(&self) -> bool {
        self.slept * 2 >= self.looked
    }

    /// The last look, which is that of the sleep in a verdict of one call.
    pub(super) fn last(&self) -> Option<&Look> {
        self.last.as_ref()
    }

    /// Whether this is a stall by now. `exact` if it is known to be one poll.
    pub(super) fn verdict(&self, now: Seen, limits: Limits, exact: bool) -> Option<Verdict> {
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

#[cfg(test)]
mod tests {
    use super::{
        super::proc::{Account, Registers},
        *,
    };

    const TICK: Duration = Duration::from_millis(10);
    const LIMITS: Limits = Limits {
        threshold: Duration::from_millis(100),
        coarse: Some(Duration::from_secs(1)),
    };

    /// Time that is told what to do.
    struct Time(Seen);

    impl Time {
        fn start() -> Self {
            Self(Seen {
                at: Instant::now(),
                awake: Moment(1),
            })
        }

        fn pass(&mut self, wall: Duration, awake: Duration) -> Seen {
            self.0.at += wall;
            self.0.awake.0 += u64::try_from(awake.as_micros() / 100).expect("it is short");
            self.0
        }
    }

    fn asleep(turns: u64, stack: u64) -> Look {
        let registers = Registers {
            number: 45,
            arguments: [8, 0, 0, 0, 0, 0],
            stack,
            program: 1,
        };
        Look {
            state: State::Asleep(Sleep::Call(registers)),
            account: Account {
                turns,
                cpu: Duration::ZERO,
                in_line: Duration::ZERO,
            },
        }
    }

    fn running(cpu: u64) -> Look {
        Look {
            state: State::Running,
            account: Account {
                turns: 1,
                cpu: Duration::from_millis(cpu),
                in_line: Duration::ZERO,
            },
        }
    }

    /// How many ticks it takes to a verdict, of at most `ticks`.
    fn after(
        ticks: u32,
        awake: Duration,
        exact: bool,
        look: impl Fn(u32) -> Option<Look>,
    ) -> Option<(u32, Verdict)> {
        let mut time = Time::start();
        let mut trail = Trail::begin(time.0);
        (0..ticks).find_map(|tick| {
            let now = time.pass(TICK, awake);
            trail.look(look(tick), now);
            Some((tick, trail.verdict(now, LIMITS, exact)?))
        })
    }

    #[test]
    fn one_sleep_is_told_once_it_has_lasted() {
        let (tick, verdict) = after(50, TICK, false, |_| Some(asleep(1, 1))).expect("a verdict");
        assert_eq!((tick, verdict.certainty), (10, Certainty::OneCall));
        assert_eq!(verdict.cause, Cause::BlockingCall);
    }

    #[test]
    fn a_watchdog_that_was_not_awake_says_nothing() {
        let mut time = Time::start();
        let mut trail = Trail::begin(time.0);
        trail.look(Some(asleep(1, 1)), time.0);
        // Stopped for a second; then awake again.
        let mut now = time.pass(Duration::from_secs(1), TICK);
        for _ in 0..3 {
            trail.look(Some(asleep(1, 1)), now);
            assert_eq!(trail.verdict(now, LIMITS, true), None);
            now = time.pass(TICK, TICK);
        }
    }

    #[test]
    fn many_short_sleeps_are_told_as_many() {
        let (tick, verdict) =
            after(50, TICK, false, |tick| Some(asleep(u64::from(tick), 1))).expect("a verdict");
        assert_eq!((tick, verdict.certainty), (9, Certainty::ManyCalls));
        assert!(verdict.sleep.is_some());
        let (_, verdict) =
            after(50, TICK, true, |tick| Some(asleep(u64::from(tick), 1))).expect("a verdict");
        assert_eq!(verdict.certainty, Certainty::OnePoll);
    }

    #[test]
    fn a_busy_thread_is_told_at_once_only_in_one_poll() {
        let busy = |tick: u32| Some(running(u64::from(tick) * 10));
        let (tick, verdict) = after(50, TICK, true, busy).expect("a verdict");
        assert!((9..12).contains(&tick), "{tick}");
        assert!(matches!(verdict.cause, Cause::Cpu { .. }), "{verdict:?}");
        assert_eq!(after(50, TICK, false, busy), None);
        let (tick, verdict) = after(200, TICK, false, busy).expect("a verdict");
        assert!((99..102).contains(&tick), "{tick}");
        assert_eq!(verdict.certainty, Certainty::UpToTicks(61));
    }

    #[test]
    fn a_thread_that_is_given_no_processor_is_not_at_fault() {
        assert_eq!(after(300, TICK, true, |_| Some(running(0))), None);
        // It shares one with three others, and is told when it has had its time.
        let shares = |tick: u32| Some(running(u64::from(tick) * 10 / 4));
        let (tick, _) = after(100, TICK, true, shares).expect("a verdict");
        assert!((40..43).contains(&tick), "{tick}");
    }

    #[test]
    fn what_was_seen_before_a_look_failed_is_not_what_is_there_after_it() {
        let mut time = Time::start();
        let mut trail = Trail::begin(time.0);
        trail.look(Some(asleep(1, 1)), time.0);
        let now = time.pass(TICK * 20, TICK * 20);
        trail.look(None, now);
        let verdict = trail.verdict(now, LIMITS, true).expect("a verdict");
        assert_eq!((verdict.cause, verdict.sleep), (Cause::Unknown, None));
        assert_eq!(trail.verdict(now, LIMITS, false), None);
        // When it is seen again, that is the beginning of what is known.
        for _ in 0..10 {
            let now = time.pass(TICK, TICK);
            trail.look(Some(asleep(1, 1)), now);
            assert_eq!(trail.verdict(now, LIMITS, false), None);
        }
        let now = time.pass(TICK, TICK);
        trail.look(Some(asleep(1, 1)), now);
        let verdict = trail.verdict(now, LIMITS, false).expect("a verdict");
        assert_eq!(verdict.certainty, Certainty::OneCall);
    }

    #[test]
    fn where_nothing_is_seen_only_one_poll_is_told_soon() {
        let (tick, verdict) = after(50, TICK, true, |_| None).expect("a verdict");
        assert_eq!((tick, verdict.cause), (9, Cause::Unknown));
        assert_eq!(after(200, TICK, false, |_| None), None);
        assert!(after(400, TICK, false, |_| None).is_some());
        // Nor if the machine was short of processors.
        let half = TICK / 2;
        assert_eq!(after(400, half, true, |_| None), None);
        assert_eq!(after(400, half, false, |_| None), None);
    }
}
