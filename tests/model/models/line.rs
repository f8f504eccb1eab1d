//! A queue with an end, and those who stand in line for a place in it.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use shuttle::{future::block_on, thread};

use super::{
    check_both,
    lanes::{FOR_EVER, assert_settled, hand_in, lane, offload, wait_until_settled},
};
use crate::{error::Error, lane::core::Core, sync::Arc};

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
