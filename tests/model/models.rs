//! The models. Each is a promise, checked over some thousands of schedules.

use std::{
    panic::Location,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use shuttle::{future::block_on, thread};
use tokio::time::Instant;

use crate::{
    cancel::{Cancel, CancelToken},
    error::{Error, Phase},
    job::{Cause, Cell, Job, Meta, Owner, Task, Work},
    lane::{core::Core, home::Keeper, pace::say_brisk, source::Source},
    sync::{Arc, Condvar, Mutex},
};

const FOR_EVER: Option<Duration> = Some(Duration::MAX);
const A_WHILE: Option<Duration> = Some(Duration::from_millis(10));

/// Runs a model over random schedules and over those with few preemptions, which find what takes
/// a particular switch at a particular place.
///
/// Inside of a runtime, since that is where jobs come from and where the inbox opens.
fn check(brisk: bool, model: impl Fn() + Send + Sync + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let _context = runtime.enter();
    let model = Arc::new(model);
    say_brisk(brisk);
    let random = model.clone();
    shuttle::check_random(move || random(), 1_500);
    shuttle::check_pct(move || model(), 1_500, 3);
}

/// Each model with lanes whose jobs count as brisk, and with others.
fn check_both(model: impl Fn() + Clone + Send + Sync + 'static) {
    check(false, model.clone());
    check(true, model);
}

fn lane(limit: usize, queue: Option<usize>, linger: Option<Duration>) -> Arc<Core> {
    let source = Source {
        linger,
        ..Source::default()
    };
    Arc::new(Core::new("model".into(), limit, queue, source))
}

fn offload<F, T>(core: &Arc<Core>, f: F) -> Task<T>
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    hand_in(core, f, None, false)
}

/// With a deadline, and into a place that was reserved.
fn hand_in<F, T>(core: &Arc<Core>, f: F, deadline: Option<Instant>, reserved: bool) -> Task<T>
where
    F: FnOnce(&Job) -> T + Send + 'static,
    T: Send + 'static,
{
    let cell = Arc::new(Cell::new(
        Meta {
            cancel: Cancel::default(),
            label: None,
            location: Location::caller(),
            queued: Instant::now(),
            deadline,
            token: None,
            #[cfg(feature = "tracing")]
            span: tracing::Span::none(),
        },
        move |job: &Job| Ok(f(job)),
    ));
    let work: Arc<dyn Work> = cell.clone();
    match core.submit(work, None, reserved) {
        Ok(()) => Task::live(cell, core.clone()),
        Err(error) => Task::refused(error),
    }
}

/// The books after everything is over: nothing left, nothing counted twice or not at all.
fn assert_settled(core: &Core) {
    let stats = core.stats();
    assert_eq!(
        (stats.waiting, stats.running, stats.draining, stats.detached),
        (0, 0, 0, 0)
    );
    assert_eq!(
        stats.submitted,
        stats.completed
            + stats.panicked
            + stats.cancelled
            + stats.timed_out
            + stats.no_thread
            + stats.unavailable
            + stats.no_runtime,
        "{stats:?}"
    );
}

/// How many are inside at once.
#[derive(Default)]
struct Gauge {
    inside: AtomicUsize,
    entered: AtomicUsize,
}

impl Gauge {
    fn pass(&self, limit: usize) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(
            inside <= limit,
            "{inside} jobs at once with a limit of {limit}"
        );
        self.entered.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Something that a job waits for.
#[derive(Default)]
struct Event {
    happened: Mutex<bool>,
    changed: Condvar,
}

impl Event {
    fn happen(&self) {
        *self.happened.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut happened = self.happened.lock();
        while !*happened {
            happened = self.changed.wait(happened);
        }
    }
}

fn every_job_runs_once(limit: usize, linger: Option<Duration>) {
    let core = lane(limit, None, linger);
    let gauge = Arc::new(Gauge::default());
    let callers: Vec<_> = (0..2)
        .map(|caller| {
            let (core, gauge) = (core.clone(), gauge.clone());
            thread::spawn(move || {
                let tasks: Vec<_> = (0..3)
                    .map(|n| {
                        let gauge = gauge.clone();
                        offload(&core, move |_| {
                            gauge.pass(limit);
                            (caller, n)
                        })
                    })
                    .collect();
                for (n, task) in tasks.into_iter().enumerate() {
                    assert_eq!(block_on(task).expect("nothing goes wrong"), (caller, n));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("a caller");
    }
    assert_eq!(gauge.entered.load(Ordering::SeqCst), 6);
    assert_settled(&core);
    core.close();
}

/// K1, and no wake-up is ever lost: the workers would park for ever.
#[test]
fn every_job_runs_once_and_never_more_than_the_limit_at_a_time() {
    check_both(|| every_job_runs_once(1, FOR_EVER));
    check_both(|| every_job_runs_once(2, FOR_EVER));
    check_both(|| every_job_runs_once(3, FOR_EVER));
}

/// Some park, one watches, some work: all of them hear of it.
#[test]
fn a_lane_that_is_closed_in_full_run_sends_every_worker_home() {
    check_both(|| {
        let core = lane(3, None, FOR_EVER);
        let tasks: Vec<_> = (0..5).map(|n| offload(&core, move |_| n)).collect();
        let other = core.clone();
        let closer = thread::spawn(move || other.close());
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(block_on(task).expect("it was taken in before"), n);
        }
        closer.join().expect("whoever closes it");
        assert_settled(&core);
    });
}

/// W17: a worker that has just decided to go, and a job that has just come.
#[test]
fn no_job_is_lost_to_a_worker_that_is_about_to_leave() {
    for limit in [1, 2] {
        check_both(move || every_job_runs_once(limit, A_WHILE));
        check_both(move || every_job_runs_once(limit, None));
    }
}

/// Four jobs in a row, each after the last one's end: the lane goes idle in between.
#[test]
fn an_idle_lane_wakes_up_again() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        for n in 0..4 {
            assert_eq!(block_on(offload(&core, move |_| n)).expect("it runs"), n);
        }
        assert_settled(&core);
        core.close();
    });
}

/// Brisk jobs are not given a worker each; but one that waits for another must get it.
#[test]
fn a_job_that_waits_for_a_later_one_gets_it_run() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let event = Arc::new(Event::default());
        for _ in 0..2 {
            block_on(offload(&core, |_| ())).expect("it runs");
        }
        let waits = offload(&core, {
            let event = event.clone();
            move |_| event.wait()
        });
        let signals = offload(&core, move |_| event.happen());
        block_on(waits).expect("it runs");
        block_on(signals).expect("it runs");
        assert_settled(&core);
        core.close();
    });
}

/// The same in a chain, with a thread for each and no more.
#[test]
fn a_chain_of_jobs_that_wait_for_one_another_gets_through() {
    check_both(|| {
        let core = lane(3, None, FOR_EVER);
        let events: Vec<_> = (0..3).map(|_| Arc::new(Event::default())).collect();
        block_on(offload(&core, |_| ())).expect("it runs");
        let chain: Vec<_> = (0..3)
            .map(|n| {
                let mine = events[n].clone();
                let next = events.get(n + 1).cloned();
                offload(&core, move |_| {
                    if let Some(next) = next {
                        next.wait();
                    }
                    mine.happen();
                })
            })
            .collect();
        for task in chain {
            block_on(task).expect("it runs");
        }
        assert_settled(&core);
        core.close();
    });
}

/// C1, C2, K2, K5: a cancel meets a job before, while and after it runs.
#[test]
fn a_cancelled_job_has_one_outcome_and_none_that_waited_has_run() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let ran = Arc::new(AtomicUsize::new(0));
        let before = offload(&core, |_| thread::yield_now());
        let task = offload(&core, {
            let ran = ran.clone();
            move |_| {
                ran.fetch_add(1, Ordering::SeqCst);
                7
            }
        });
        let canceller = task.canceller();
        let other = thread::spawn(move || {
            canceller.cancel();
            canceller.cancel();
        });
        match block_on(task) {
            Ok(seven) => assert_eq!((seven, ran.load(Ordering::SeqCst)), (7, 1)),
            Err(Error::Cancelled { phase, .. }) => {
                other.join().expect("the canceller");
                block_on(before).expect("not cancelled");
                core.close();
                if phase == Phase::Waiting {
                    assert_eq!(ran.load(Ordering::SeqCst), 0);
                }
                return;
            }
            Err(error) => panic!("{error}"),
        }
        other.join().expect("the canceller");
        block_on(before).expect("not cancelled");
        assert_settled(&core);
        core.close();
    });
}

/// K4, K1, C8: tasks are dropped at any moment; slots come back, and not too early.
#[test]
fn dropped_tasks_give_their_slots_back_exactly_once() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let gauge = Arc::new(Gauge::default());
        let hand_in = |core: &Arc<Core>| {
            let gauge = gauge.clone();
            offload(core, move |_| gauge.pass(1))
        };
        let dropped = [hand_in(&core), hand_in(&core)];
        let kept = hand_in(&core);
        let dropper = thread::spawn(move || drop(dropped));
        block_on(kept).expect("nobody dropped it");
        dropper.join().expect("the dropper");
        // Whatever drains has one slot between it and this one.
        block_on(hand_in(&core)).expect("the slot is free again");
        assert_settled(&core);
        core.close();
    });
}

/// K6: detaching races with starting and ending, and so does a cancel of what was detached.
#[test]
fn a_detached_job_runs_to_its_end_and_is_counted_once() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let ran = Arc::new(AtomicUsize::new(0));
        let task = offload(&core, {
            let ran = ran.clone();
            move |_| ran.fetch_add(1, Ordering::SeqCst)
        });
        task.detach();
        block_on(offload(&core, |_| ())).expect("it runs");
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        assert_settled(&core);
        core.close();
    });
}

/// K5: a hook runs at most once, and neither runs nor is running after its guard was dropped.
#[test]
fn a_hook_never_runs_after_its_guard_is_gone() {
    check(false, || {
        let core = lane(1, None, FOR_EVER);
        let resource = Arc::new(Mutex::new(Some(0)));
        let task = offload(&core, {
            let resource = resource.clone();
            move |job: &Job| {
                let guard = job.on_cancel({
                    let resource = resource.clone();
                    move || {
                        thread::yield_now();
                        let mut used = resource.lock();
                        *used.as_mut().expect("the resource is still there") += 1;
                    }
                });
                thread::yield_now();
                drop(guard);
                // From here on it belongs to somebody else.
                let used = resource.lock().take();
                assert!(used.is_some_and(|times| times <= 1));
            }
        });
        let canceller = task.canceller();
        let other = thread::spawn(move || canceller.cancel());
        drop(block_on(task));
        other.join().expect("the canceller");
        block_on(offload(&core, |_| ())).expect("the slot is free again");
        assert_eq!(core.stats().late_panics, 0);
        assert_settled(&core);
        core.close();
    });
}

/// C6, C11: a token is cancelled while the jobs under it come, run and go.
#[test]
fn a_token_reaches_every_job_under_it() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let token = CancelToken::new().child();
        let tied: Vec<_> = (0..2)
            .map(|n| {
                let cell = Arc::new(AtomicUsize::new(n));
                let task = offload(&core, move |_| cell.load(Ordering::SeqCst));
                let canceller = task.canceller();
                (task, token.on_cancel(move || canceller.cancel()))
            })
            .collect();
        let other = thread::spawn({
            let token = token.clone();
            move || token.cancel()
        });
        for (n, (task, guard)) in tied.into_iter().enumerate() {
            match block_on(task) {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert!(error.is_cancelled()),
            }
            drop(guard);
        }
        other.join().expect("the canceller");
        block_on(offload(&core, |_| ())).expect("the lane itself is not cancelled");
        assert_settled(&core);
        core.close();
    });
}

/// S4: whatever the order, no more are let in than there is room for.
#[test]
fn a_bounded_queue_is_exact() {
    check_both(|| {
        let core = lane(1, Some(1), FOR_EVER);
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let core = core.clone();
                thread::spawn(move || {
                    let tasks: Vec<_> = (0..3)
                        .map(|_| offload(&core, |_| thread::yield_now()))
                        .collect();
                    let stats = core.stats();
                    assert!(
                        stats.waiting + stats.running + stats.draining <= 2,
                        "{stats:?}"
                    );
                    tasks
                        .into_iter()
                        .map(block_on)
                        .filter(Result::is_ok)
                        .count()
                })
            })
            .collect();
        let through: usize = callers
            .into_iter()
            .map(|caller| caller.join().expect("a caller"))
            .sum();
        assert!(through >= 2, "a lane with room refused");
        let stats = core.stats();
        assert_eq!(
            (stats.completed, stats.refused),
            (through as u64, 6 - through as u64)
        );
        assert_settled(&core);
        core.close();
    });
}

/// What `Reserve` is in a lane that nobody closes.
struct InLine {
    core: Arc<Core>,
    number: Option<u64>,
}

impl InLine {
    fn of(core: &Arc<Core>) -> Self {
        let core = core.clone();
        Self { core, number: None }
    }
}

impl Future for InLine {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut waker = Some(cx.waker().clone());
        let had = (this.core).with_state(|state| state.reserve(&mut this.number, &mut waker));
        match had {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            drop(self.core.with_state(|state| state.leave_line(number)));
        }
    }
}

/// C7, K2: those who stand in line get in, although others leave the line, granted or not, jobs are
/// taken back, and somebody comes who has not stood in line. A place that is lost shows as a deadlock.
#[test]
fn those_in_line_get_in_whoever_leaves() {
    for queue in [0, 1] {
        check_both(move || {
            let core = lane(1, Some(queue), FOR_EVER);
            let first = offload(&core, |_| thread::yield_now());
            let taken_back = thread::spawn(move || drop(first));
            let patient: Vec<_> = (0..2)
                .map(|n| {
                    let core = core.clone();
                    thread::spawn(move || {
                        block_on(InLine::of(&core));
                        let told = block_on(hand_in(&core, move |_| n, None, true));
                        assert_eq!(told.expect("it had a place"), n);
                    })
                })
                .collect();
            let leaves = thread::spawn({
                let core = core.clone();
                move || {
                    let mut line = InLine::of(&core);
                    let mut cx = Context::from_waker(Waker::noop());
                    if Pin::new(&mut line).poll(&mut cx).is_ready() {
                        core.with_state(|state| state.give_back());
                    } else {
                        thread::yield_now();
                    }
                }
            });
            let stranger = thread::spawn({
                let core = core.clone();
                move || match block_on(offload(&core, |_| ())) {
                    Ok(()) | Err(Error::QueueFull { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            });
            for thread in patient.into_iter().chain([taken_back, leaves, stranger]) {
                thread.join().expect("all of them end");
            }
            wait_until_settled(&core);
            // Nobody has kept a place.
            assert_eq!(core.with_state(|state| state.spoken_for()), 0);
            core.close();
        });
    }
}

/// Two callers, so that one comes just as the other's thread is refused.
fn every_job_is_run_or_told(trouble: Source, told: fn(&Error) -> bool) {
    let source = Source {
        linger: FOR_EVER,
        ..trouble
    };
    let core = Arc::new(Core::new("model".into(), 2, None, source));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let core = core.clone();
            thread::spawn(move || {
                let jobs: Vec<_> = (0..2)
                    .map(|n| {
                        let ran = Arc::new(AtomicUsize::new(0));
                        let task = offload(&core, {
                            let ran = ran.clone();
                            move |_| {
                                ran.fetch_add(1, Ordering::SeqCst);
                                n
                            }
                        });
                        (n, ran, task)
                    })
                    .collect();
                jobs.into_iter()
                    .for_each(|(n, ran, task)| match block_on(task) {
                        Ok(value) => assert_eq!((value, ran.load(Ordering::SeqCst)), (n, 1)),
                        Err(error) => {
                            assert!(told(&error), "{error}");
                            assert_eq!(
                                ran.load(Ordering::SeqCst),
                                0,
                                "it ran, and was told not to have"
                            );
                        }
                    });
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("a caller");
    }
    assert_settled(&core);
    core.close();
}

/// K9, W2, W3: threads are refused at random; every job is run or told.
#[test]
fn a_refused_thread_loses_no_job() {
    check_both(|| {
        let trouble = Source {
            refusals: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::NoThread { .. }));
    });
}

/// K11, R5: workers are lost before they serve, as in the queue of a runtime that shuts down.
#[test]
fn a_lost_worker_loses_no_job() {
    check_both(|| {
        let trouble = Source {
            losses: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::NoRuntime { .. }));
    });
}

/// Threads come and find that they cannot serve, as when the object of a resource cannot be made.
#[test]
fn a_thread_that_cannot_serve_loses_no_job() {
    check_both(|| {
        let trouble = Source {
            declines: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::Unavailable(_)));
    });
}

/// Threads leave between two jobs, as they have lost what they need; others come in their place.
#[test]
fn a_thread_that_has_to_leave_is_replaced() {
    check_both(|| {
        let trouble = Source {
            spends: 0.5,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |_| false);
    });
    check_both(|| {
        let trouble = Source {
            declines: 0.3,
            spends: 0.3,
            ..Source::default()
        };
        every_job_is_run_or_told(trouble, |e| matches!(e, Error::Unavailable(_)));
    });
}

/// K10, R7, R8: closing races with jobs that come in, and with itself.
#[test]
fn a_closing_lane_answers_everybody() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let caller = thread::spawn({
            let core = core.clone();
            move || {
                let tasks: Vec<_> = (0..3).map(|n| offload(&core, move |_| n)).collect();
                for (n, task) in tasks.into_iter().enumerate() {
                    match block_on(task) {
                        Ok(value) => assert_eq!(value, n),
                        Err(Error::Closed { .. } | Error::Cancelled { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let core = core.clone();
                thread::spawn(move || {
                    core.close();
                    core.cancel_all();
                })
            })
            .collect();
        for thread in closers.into_iter().chain([caller]) {
            thread.join().expect("all of them end");
        }
        // A cancelled job's caller hears of it before the job's thread does.
        while core.stats().draining > 0 {
            thread::yield_now();
        }
        assert_settled(&core);
    });
}

const HOUR: Duration = Duration::from_secs(3_600);

/// The keepers look, when the deadlines have passed.
fn time_passes(core: &Core) {
    let homes = core.with_state(|state| state.homes.iter().map(|home| home.id).collect::<Vec<_>>());
    for home in homes {
        let later = Instant::now() + 2 * HOUR;
        core.keep_time(home, Keeper::Task, later, Waker::noop().clone());
    }
}

/// K3, K2: a deadline meets a job before, while and after it runs.
#[test]
fn a_deadline_that_passes_is_the_one_outcome_or_comes_too_late() {
    let (values, waiting, running) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let counts = [values.clone(), waiting.clone(), running.clone()];
    check_both(move || {
        let core = lane(1, None, FOR_EVER);
        let ran = Arc::new(AtomicUsize::new(0));
        let before = offload(&core, |_| thread::yield_now());
        let job = {
            let ran = ran.clone();
            move |_: &Job| {
                ran.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                7
            }
        };
        let task = hand_in(&core, job, Some(Instant::now() + HOUR), false);
        let keeper = thread::spawn({
            let core = core.clone();
            move || time_passes(&core)
        });
        let told = block_on(task);
        keeper.join().expect("the keeper");
        block_on(before).expect("it has no deadline");
        wait_until_settled(&core);
        let ran = ran.load(Ordering::SeqCst);
        let stats = core.stats();
        assert_eq!(stats.completed + stats.timed_out, 2);
        match told {
            Ok(seven) => {
                assert_eq!((seven, ran, stats.timed_out), (7, 1, 0));
                values.fetch_add(1, Ordering::SeqCst);
            }
            Err(Error::TimedOut {
                phase: Phase::Waiting,
                ..
            }) => {
                assert_eq!((ran, stats.timed_out), (0, 1));
                waiting.fetch_add(1, Ordering::SeqCst);
            }
            Err(Error::TimedOut { .. }) => {
                assert_eq!((ran, stats.timed_out), (1, 1));
                running.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => panic!("{error}"),
        }
        core.close();
    });
    let counts = counts.map(|count| count.load(Ordering::SeqCst));
    assert!(counts.iter().all(|&times| times > 0), "{counts:?}");
}

/// K3, K4. The same with the caller gone as well.
#[test]
fn a_deadline_and_a_drop_meet_without_counting_twice() {
    let (deadline_first, drop_first) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = [deadline_first.clone(), drop_first.clone()];
    check_both(move || {
        let core = lane(1, None, FOR_EVER);
        let cell = Arc::new(Mutex::new(0));
        let job = {
            let cell = cell.clone();
            move |_: &Job| *cell.lock() += 1
        };
        let task = hand_in(&core, job, Some(Instant::now() + HOUR), false);
        let others = [
            thread::spawn(move || drop(task)),
            thread::spawn({
                let core = core.clone();
                move || time_passes(&core)
            }),
        ];
        block_on(offload(&core, |_| ())).expect("the slot is free again");
        for other in others {
            other.join().expect("it ends");
        }
        wait_until_settled(&core);
        let stats = core.stats();
        assert_eq!(stats.completed + stats.cancelled + stats.timed_out, 2);
        deadline_first.fetch_add(stats.timed_out as usize, Ordering::SeqCst);
        drop_first.fetch_add(stats.cancelled as usize, Ordering::SeqCst);
        core.close();
    });
    let counts = counts.map(|count| count.load(Ordering::SeqCst));
    assert!(counts.iter().all(|&times| times > 0), "{counts:?}");
}

// ===== Its end =====

/// K10. What a shutdown does when its grace is over, while jobs come, run, and are given up: everybody is
/// told, and it hears of the last job that leaves its thread. (A thread that is still starting is not waited
/// for: it may never come.)
#[test]
fn a_shutdown_hears_of_the_last_job() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let before = [(); 2].map(|()| offload(&core, |_| thread::yield_now()));
        let caller = thread::spawn({
            let core = core.clone();
            move || {
                let [kept, dropped] = [(); 2].map(|()| offload(&core, |_| thread::yield_now()));
                drop(dropped);
                match block_on(kept) {
                    Ok(()) | Err(Error::Closed { .. } | Error::Cancelled { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        core.close();
        core.cancel_all();
        block_on(std::future::poll_fn(|cx| {
            let mut waker = Some(cx.waker().clone());
            let is_quiet = core.with_state(|state| {
                let is_quiet = state.is_quiet();
                if !is_quiet {
                    state.call_when_quiet(&mut waker);
                }
                is_quiet
            });
            if is_quiet {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert!(core.jobs().is_empty());
        assert_settled(&core);
        for task in before {
            match block_on(task) {
                Ok(()) | Err(Error::Cancelled { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        caller.join().expect("it is told");
        assert_settled(&core);
    });
}

// ===== Jobs that wait for jobs =====

/// Waits until every thread has left its job.
fn wait_until_settled(core: &Core) {
    loop {
        let stats = core.stats();
        let left = [
            stats.waiting,
            stats.running,
            stats.draining,
            stats.suspended,
            stats.detached,
        ];
        if left == [0; 5] {
            return assert_settled(core);
        }
        thread::yield_now();
    }
}

/// A job that waits for a job of its lane that waits for a job of its lane, and so on.
fn descend(core: &Arc<Core>, gauge: &Arc<Gauge>, limit: usize, depth: usize) -> Task<usize> {
    let (theirs, inside) = (core.clone(), gauge.clone());
    offload(core, move |_| {
        inside.pass(limit);
        if depth == 0 {
            return 0;
        }
        let below = crate::job::block_on(descend(&theirs, &inside, limit, depth - 1));
        inside.pass(limit);
        below.expect("it has a slot, if need be mine") + 1
    })
}

/// K8, K1.
#[test]
fn a_job_can_wait_for_another_of_its_lane_at_any_depth() {
    for limit in [1, 2] {
        check_both(move || {
            let core = lane(limit, None, FOR_EVER);
            let gauge = Arc::new(Gauge::default());
            let depth = block_on(descend(&core, &gauge, limit, 2));
            assert_eq!(depth.expect("it runs"), 2);
            assert_settled(&core);
            core.close();
        });
    }
}

/// K8, K1.
#[test]
fn as_many_jobs_as_there_are_slots_can_wait_for_others_among_strangers() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let gauge = Arc::new(Gauge::default());
        let waiting = [descend(&core, &gauge, 2, 1), descend(&core, &gauge, 2, 1)];
        let inside = gauge.clone();
        let stranger = offload(&core, move |_| inside.pass(2));
        for task in waiting {
            assert_eq!(block_on(task).expect("it runs"), 1);
        }
        block_on(stranger).expect("it runs");
        assert_settled(&core);
        core.close();
    });
}

/// K8. In a queue without workers that stay, on a source that may have none to spare.
#[test]
fn a_job_can_wait_for_several_of_its_lane() {
    for linger in [FOR_EVER, A_WHILE, None] {
        check_both(move || {
            let core = lane(1, None, linger);
            let theirs = core.clone();
            let sum = offload(&core, move |_| {
                let parts: Vec<_> = (1..=3).map(|n| offload(&theirs, move |_| n)).collect();
                let all = crate::job::block_on(futures::future::join_all(parts));
                all.into_iter().map(Result::unwrap).sum::<u32>()
            });
            assert_eq!(block_on(sum).expect("it runs"), 6);
            assert_settled(&core);
            core.close();
        });
    }
}

/// K8. What is awaited elsewhere in the job's name, several at once and with some given up; and with
/// threads refused now and then.
#[test]
fn what_is_awaited_at_once_in_the_name_of_a_job_gets_its_slot_in_turn() {
    for refusals in [0.0, 0.3] {
        check_both(move || {
            let source = Source {
                linger: FOR_EVER,
                refusals_aside: refusals,
                ..Source::default()
            };
            let core = Arc::new(Core::new("model".into(), 1, None, source));
            let theirs = core.clone();
            let outer = offload(&core, move |_| {
                let parts: Vec<_> = (0..3).map(|n| offload(&theirs, move |_| n)).collect();
                let second = parts[1].canceller();
                let task = crate::job::on_behalf(futures::future::join_all(parts));
                let (over, mine) = (Handed::new(), Handed::new());
                let (says, gives) = (over.clone(), mine.clone());
                let elsewhere = thread::spawn(move || {
                    gives.give(block_on(task));
                    says.release();
                });
                let gives_up = thread::spawn(move || second.cancel());
                crate::job::block_on(std::future::poll_fn(|cx| over.poll(cx)));
                elsewhere.join().expect("it does not panic");
                gives_up.join().expect("it does not panic");
                let ends = mine.take();
                ends[0].is_ok() && ends[2].is_ok()
            });
            assert!(block_on(outer).expect("it runs"));
            wait_until_settled(&core);
            core.close();
        });
    }
}

/// K8. Each lane's only slot is held by a job that waits for one of the other lane.
#[test]
fn two_lanes_can_call_each_other() {
    check_both(|| {
        let (one, other) = (lane(1, None, FOR_EVER), lane(1, None, FOR_EVER));
        let there_and_back = |from: &Arc<Core>, to: &Arc<Core>| {
            let (back, to) = (from.clone(), to.clone());
            offload(from, move |_| {
                let inner = move |_: &Job| crate::job::block_on(offload(&back, |_| 7));
                crate::job::block_on(offload(&to, inner)).expect("it runs")
            })
        };
        for task in [there_and_back(&one, &other), there_and_back(&other, &one)] {
            assert_eq!(block_on(task).expect("it runs").expect("it runs"), 7);
        }
        for core in [one, other] {
            assert_settled(&core);
            core.close();
        }
    });
}

/// K8 in somebody else's loop.
#[test]
fn a_job_can_wait_for_another_of_its_lane_in_a_foreign_loop() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let theirs = core.clone();
        let outer = offload(&core, move |_| {
            let inner = theirs.clone();
            let below = block_on(offload(&theirs, move |_| {
                block_on(offload(&inner, |_| 1)).expect("it runs") + 1
            }));
            below.expect("it runs") + 1
        });
        assert_eq!(block_on(outer).expect("it runs"), 3);
        assert_settled(&core);
        core.close();
    });
}

/// K8 for what another thread awaits in the name of a job.
#[test]
fn a_job_can_wait_for_another_of_its_lane_by_way_of_a_task() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let theirs = core.clone();
        let outer = offload(&core, move |_| {
            let task = crate::job::on_behalf(async move {
                let first = offload(&theirs, |_| 1).await.expect("it runs");
                first + offload(&theirs, |_| 2).await.expect("it runs")
            });
            let (over, mine) = (Handed::new(), Handed::new());
            let (says, gives) = (over.clone(), mine.clone());
            let elsewhere = thread::spawn(move || {
                gives.give(block_on(task));
                says.release();
            });
            crate::job::block_on(std::future::poll_fn(|cx| over.poll(cx)));
            elsewhere.join().expect("it does not panic");
            mine.take()
        });
        assert_eq!(block_on(outer).expect("it runs"), 3);
        assert_settled(&core);
        core.close();
    });
}

#[test]
fn a_job_that_waits_for_others_can_be_given_up_at_any_moment() {
    check_both(|| {
        let core = lane(1, None, FOR_EVER);
        let theirs = core.clone();
        let outer = offload(&core, move |job| {
            let inner = theirs.clone();
            let middle = offload(&theirs, move |job| {
                let _ = job.block_on(offload(&inner, |_| 1));
            });
            job.block_on(middle).is_ok()
        });
        let gives_up = thread::spawn(move || drop(outer));
        assert_eq!(block_on(offload(&core, |_| 2)).expect("it runs"), 2);
        gives_up.join().expect("it does not panic");
        wait_until_settled(&core);
        core.close();
    });
}

/// Something that is handed over.
struct Handed<T> {
    what: Mutex<Option<T>>,
    changed: Condvar,
}

impl<T> Handed<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            what: Mutex::new(None),
            changed: Condvar::default(),
        })
    }

    fn give(&self, what: T) {
        *self.what.lock() = Some(what);
        self.changed.notify_all();
    }

    fn take(&self) -> T {
        let mut what = self.what.lock();
        loop {
            match what.take() {
                Some(what) => return what,
                None => what = self.changed.wait(what),
            }
        }
    }
}

/// K8. Each of `jobs` waits for the next, the last for the first. The first to hear of it is freed,
/// and with it the others.
fn a_circle(jobs: usize, limit: usize) {
    let core = lane(limit, None, FOR_EVER);
    let told = Arc::new(AtomicUsize::new(0));
    let handed: Vec<_> = (0..jobs).map(|_| Handed::<Task<()>>::new()).collect();
    let mut tasks: Vec<_> = handed
        .iter()
        .map(|handed| {
            let (handed, told) = (handed.clone(), told.clone());
            offload(&core, move |job| {
                let next = handed.take();
                let end = job.block_on(next);
                if let Ok(Err(Error::WouldDeadlock { .. })) = end {
                    told.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    tasks.rotate_left(1);
    for (handed, next) in handed.iter().zip(tasks) {
        handed.give(next);
    }
    wait_until_settled(&core);
    assert!(told.load(Ordering::SeqCst) >= 1);
    core.close();
}

#[test]
fn a_circle_of_jobs_that_wait_for_each_other_is_broken() {
    check_both(|| a_circle(1, 1));
    check_both(|| a_circle(2, 2));
    check_both(|| a_circle(3, 3));
}

/// K8. What looks like a circle and is none: one of the two has something else to wait for as well.
#[test]
fn there_is_no_false_alarm() {
    check_both(|| {
        let core = lane(2, None, FOR_EVER);
        let handed = Handed::<Task<bool>>::new();
        let (theirs, event) = (handed.clone(), Handed::new());
        let other = event.clone();
        let first = offload(&core, move |_| {
            let task = handed.take();
            let released = std::future::poll_fn(move |cx| other.poll(cx));
            let either = futures::future::select(task, released);
            // The other may be over first, or not.
            match crate::job::block_on(either) {
                futures::future::Either::Left((told, _)) => told.is_ok(),
                futures::future::Either::Right(((), task)) => {
                    task.detach();
                    true
                }
            }
        });
        let second = offload(&core, move |_| {
            let first = crate::job::block_on(first);
            first.expect("it is not called a deadlock")
        });
        theirs.give(second);
        event.release();
        wait_until_settled(&core);
        assert_eq!(core.stats().completed, 2);
        core.close();
    });
}

impl Handed<Option<std::task::Waker>> {
    /// Ready once it was released.
    fn poll(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        let mut what = self.what.lock();
        match &*what {
            Some(None) => std::task::Poll::Ready(()),
            _ => {
                *what = Some(Some(cx.waker().clone()));
                std::task::Poll::Pending
            }
        }
    }

    fn release(&self) {
        let waker = self.what.lock().replace(None).flatten();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
