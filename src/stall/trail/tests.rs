//! With a clock that is told what to do, and looks that are made up.

use super::{
    super::{
        proc::{Account, Registers},
        report::{Cause, Certainty},
    },
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
