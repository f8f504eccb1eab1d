//! A clock that no runtime has to drive.
//!
//! Whoever waits on a bridge does so because async code elsewhere has not answered. That must not
//! be what its time limit depends on: the runtime may be gone, built without a timer, or driven by
//! nobody. So one thread keeps the time of all bridges of the process, in real time. It is started
//! by the first alarm and ends a while after the last.
//!
//! Invariants:
//!
//! 1. Where an alarm is set, `kept` is true: a thread looks at the alarms, or is about to. Who
//!    finds it false makes it true and starts the thread; if that fails it makes it false again
//!    and calls everybody else who has an alarm, to try for themselves.
//! 2. The thread looks at the alarms and decides to end under one lock, so that an alarm is either
//!    seen or finds `kept` false.
//! 3. Wakers are called and dropped outside of the lock.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::threads;
use crate::{
    error::call_quietly,
    sync::{Mutex, Patience, Thread, current},
};

/// How long the thread stays without an alarm.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

static CLOCK: Mutex<State> = Mutex::new(State {
    alarms: BTreeMap::new(),
    next: 0,
    kept: false,
    thread: None,
});

struct State {
    alarms: BTreeMap<Key, Waker>,
    next: u64,
    kept: bool,
    thread: Option<Thread>,
}

/// When, and a number to tell apart those of one moment.
type Key = (Instant, u64);

/// Resolves when its time has come.
#[derive(Debug)]
pub(super) struct Alarm {
    /// `None`: never.
    at: Option<Instant>,
    key: Option<Key>,
}

impl Alarm {
    /// A time too long to be represented never comes.
    pub(super) fn after(time: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(time),
            key: None,
        }
    }
}

impl Future for Alarm {
    /// An error if no thread could be had to keep the time.
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if Instant::now() >= at {
            return Poll::Ready(Ok(()));
        }
        let waker = cx.waker().clone();
        let mut state = CLOCK.lock();
        let key = *self.key.get_or_insert_with(|| {
            state.next += 1;
            (at, state.next)
        });
        let before = state.alarms.insert(key, waker);
        let start = !std::mem::replace(&mut state.kept, true);
        let first = state.alarms.keys().next() == Some(&key);
        // Only an alarm that is due before all others, and is new, changes what the thread does.
        let call = (first && before.is_none())
            .then(|| state.thread.clone())
            .flatten();
        drop(state);
        drop(before);
        if let Some(thread) = call {
            thread.unpark();
        }
        if start && let Err(error) = threads::start_clock(keep_time) {
            nobody_keeps_time();
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = CLOCK.lock().alarms.remove(&key);
            drop(waker);
        }
    }
}

fn nobody_keeps_time() {
    let mut state = CLOCK.lock();
    state.kept = false;
    let alarms = std::mem::take(&mut state.alarms);
    drop(state);
    ring(alarms.into_values());
}

/// The thread.
fn keep_time() {
    CLOCK.lock().thread = Some(current());
    let mut idle: Option<Patience> = None;
    loop {
        let mut state = CLOCK.lock();
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some(alarm) = state.alarms.first_entry()
            && alarm.key().0 <= now
        {
            due.push(alarm.remove());
        }
        if !due.is_empty() {
            drop(state);
            ring(due);
            continue;
        }
        let patience = match state.alarms.keys().next() {
            Some((next, _)) => {
                idle = None;
                Patience::lasting(*next - now)
            }
            None => *idle.get_or_insert_with(|| Patience::lasting(KEEP_ALIVE)),
        };
        if idle.is_some_and(Patience::is_over) {
            state.kept = false;
            state.thread = None;
            return;
        }
        drop(state);
        patience.park();
    }
}

fn ring(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        call_quietly(|| waker.wake());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::block_on;

    #[test]
    fn alarms_ring_in_their_order_and_never_early() {
        let start = Instant::now();
        let times = [30, 10, 20].map(Duration::from_millis);
        let threads = times.map(|time| {
            std::thread::spawn(move || {
                block_on(Alarm::after(time)).expect("a thread can be had");
                (time, Instant::now())
            })
        });
        for thread in threads {
            let (time, rang) = thread.join().expect("waiting does not panic");
            assert!(rang >= start + time, "{time:?}");
        }
    }

    /// However long the thread had meant to sleep.
    #[test]
    fn an_alarm_that_comes_before_the_next_one_is_not_late() {
        let mut far = Box::pin(Alarm::after(Duration::from_secs(60)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(far.as_mut().poll(&mut cx).is_pending());
        for _ in 0..5 {
            // It has gone to sleep, most probably.
            std::thread::sleep(Duration::from_millis(10));
            let start = Instant::now();
            block_on(Alarm::after(Duration::from_millis(10))).expect("a thread can be had");
            assert!(start.elapsed() < Duration::from_secs(6));
        }
    }

    #[test]
    fn an_alarm_that_is_dropped_is_forgotten() {
        let mut alarm = Box::pin(Alarm::after(Duration::from_secs(3_600)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(alarm.as_mut().poll(&mut cx).is_pending());
        let key = alarm.key.expect("it was set");
        assert!(CLOCK.lock().alarms.contains_key(&key));
        drop(alarm);
        assert!(!CLOCK.lock().alarms.contains_key(&key));
    }

    #[test]
    fn a_time_without_end_is_not_an_overflow() {
        let mut alarm = Box::pin(Alarm::after(Duration::MAX));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(alarm.as_mut().poll(&mut cx).is_pending());
    }
}
