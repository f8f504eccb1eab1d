//! Tasks that look out for their outcomes, on a thread that does not let them have another look.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
};

use shuttle::{future::block_on, thread};

use super::{
    check,
    lanes::{FOR_EVER, lane, offload, wait_until_settled},
    signals::Event,
};
use crate::{
    lane::{
        core::Core,
        source::{Late, Source},
    },
    sync::{Arc, Condvar, Mutex, ThreadId, current},
};

/// What calls somebody else's loop. What its own thread does in the middle of a poll, to have itself polled
/// again by the runtime, does not: that has no turn.
struct Call {
    loops: ThreadId,
    calls: Mutex<usize>,
    called: Condvar,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        if current().id() != self.loops {
            *self.calls.lock() += 1;
            self.called.notify_all();
        }
    }
}

/// Somebody else's loop on a runtime's thread.
fn foreign_loop<F: Future + Unpin>(mut future: F) -> F::Output {
    let call = Arc::new(Call {
        loops: current().id(),
        calls: Mutex::new(0),
        called: Condvar::default(),
    });
    let waker = Waker::from(call.clone());
    loop {
        if let Poll::Ready(value) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        let mut calls = call.calls.lock();
        while *calls == 0 {
            calls = call.called.wait(calls);
        }
        *calls = 0;
    }
}

/// R13: a job that waits for what comes after the outcome of the one before.
#[test]
fn an_outcome_does_not_wait_for_a_stranger_s_job() {
    for limit in [1, 2] {
        check(true, move || {
            let core = lane(limit, None, FOR_EVER);
            hears_before_the_strangers(&core);
            wait_until_settled(&core);
            core.close();
        });
    }
}

/// Nor for a thread that was asked for and does not come.
#[test]
fn an_outcome_does_not_wait_for_a_thread() {
    check(true, || {
        let late = Arc::new(Late::default());
        let source = Source {
            linger: FOR_EVER,
            late: Some(late.clone()),
            ..Source::default()
        };
        let core = Arc::new(Core::new("model".into(), 2, None, source));
        hears_before_the_strangers(&core);
        late.come();
        wait_until_settled(&core);
        core.close();
    });
}

fn hears_before_the_strangers(core: &Arc<Core>) {
    // From here on jobs are brisk.
    block_on(offload(core, |_| ())).expect("nothing stops it");
    let (mine, after) = (offload(core, |_| 7), Arc::new(Event::default()));
    let strangers: Vec<_> = (0..2)
        .map(|_| {
            let (core, after) = (core.clone(), after.clone());
            thread::spawn(move || offload(&core, move |_| after.wait()))
        })
        .collect();
    assert_eq!(foreign_loop(mine).expect("nothing stops it"), 7);
    after.happen();
    for stranger in strangers {
        let task = stranger.join().expect("it hands in");
        block_on(task).expect("nothing stops it");
    }
}
