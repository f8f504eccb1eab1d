//! How many objects there are, those included that are being made or dropped.

use std::{
    future::Future,
    pin::pin,
    task::{Poll, Waker},
    time::Duration,
};

use crate::{
    lane::Timer,
    sync::{Arc, Condvar, Mutex},
};

/// The lane counts threads, and a thread that leaves it may still be busy dropping its object. Who
/// makes the next one waits for that here, or there would be one too many for a moment: a serial
/// port could not be opened, as it is not closed yet.
pub(super) struct Places {
    limit: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Whom to tell when none is taken.
    wakers: Vec<Waker>,
}

/// Room for one object; given back when this is dropped.
pub(super) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            freed: Condvar::default(),
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.state.lock().taken
    }

    /// Takes a place. Blocks while a former object is being dropped.
    pub(super) fn take(self: &Arc<Self>) -> Place {
        let mut state = self.state.lock();
        while state.taken >= self.limit {
            state = self.freed.wait(state);
        }
        state.taken += 1;
        drop(state);
        Place(self.clone())
    }

    /// Waits until no place is taken, for no longer than `time`.
    pub(super) async fn vacant_within(&self, time: Duration) {
        if self.taken() == 0 {
            return;
        }
        let mut timer = pin!(Timer::after(time));
        std::future::poll_fn(|cx| {
            // Cloned, and dropped if not needed, outside of the lock: a waker is the user's.
            let mut waker = Some(cx.waker().clone());
            let mut state = self.state.lock();
            if state.taken == 0 {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|it| it.will_wake(cx.waker())) {
                state.wakers.extend(waker.take());
            }
            drop(state);
            timer.as_mut().poll(cx)
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.taken -= 1;
        let wakers = if state.taken == 0 {
            std::mem::take(&mut state.wakers)
        } else {
            Vec::new()
        };
        drop(state);
        self.0.freed.notify_all();
        crate::lane::wake(wakers);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_place_is_had_when_the_former_object_is_gone_and_not_before() {
        let places = Arc::new(Places::new(1));
        let first = places.take();
        let (tell, told) = mpsc::channel();
        let theirs = places.clone();
        let next = thread::spawn(move || {
            let place = theirs.take();
            tell.send("had").unwrap();
            drop(place);
        });
        assert_eq!(told.recv_timeout(Duration::from_millis(20)).ok(), None);
        assert_eq!(places.taken(), 1);
        drop(first);
        assert_eq!(told.recv_timeout(Duration::from_secs(8)), Ok("had"));
        next.join().unwrap();
        assert_eq!(places.taken(), 0);
    }
}
