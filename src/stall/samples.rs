//! Where workers were seen to sleep, until that becomes a profile.
//!
//! Samples are sorted as they come: by the call and what it is about, by the place, and by the functions on
//! the stack, as addresses. What is to blame of these is known only when they have names, which takes long; so
//! that is done at the end, on a thread of its own, and what turns out to be the same then becomes one row.

use std::{
    cmp::Reverse,
    collections::HashMap,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

#[cfg(feature = "stall-stacks")]
use super::stack::{Modules, Snapshot, Walked};
use super::{
    place::Place,
    proc::BlockingCall,
    profile::{Profile, Row},
};
use crate::{error::call_quietly, sync::Mutex};

/// So many rows are told apart by their stacks.
#[cfg(feature = "stall-stacks")]
const STACKS: usize = 1024;
/// For how long what is mapped is taken to be what it was.
#[cfg(feature = "stall-stacks")]
const MAPPED: Duration = Duration::from_secs(1);

/// A worker that slept.
pub(super) struct Sample {
    pub(super) call: Option<BlockingCall>,
    /// The number of the place.
    pub(super) place: Option<u32>,
    #[cfg(feature = "stall-stacks")]
    pub(super) stack: Option<Snapshot>,
}

/// What one call of `profile_for` has seen so far.
#[derive(Debug)]
pub(super) struct Samples {
    began: Instant,
    wanted: Duration,
    workers: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    rows: HashMap<Key, Row>,
    #[cfg(feature = "stall-stacks")]
    modules: Option<(Instant, Modules)>,
    /// There will be no more of them.
    over: bool,
    profile: Option<Profile>,
    waker: Option<Waker>,
}

/// What the samples of a row have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    call: Option<(String, Option<String>)>,
    place: Option<u32>,
    stack: Option<u64>,
}

impl Samples {
    pub(super) fn new(wanted: Duration, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            wanted,
            workers,
            taken: Mutex::default(),
        })
    }

    /// A worker slept in this for a while. The watchdog says so.
    pub(super) fn add(&self, sample: &Sample, time: Duration) {
        let mut taken = self.taken.lock();
        if taken.over {
            return;
        }
        #[cfg(feature = "stall-stacks")]
        let walked = sample.stack.as_ref().and_then(|stack| taken.walk(stack));
        let key = Key {
            call: sample.call.as_ref().map(name),
            place: sample.place,
            #[cfg(feature = "stall-stacks")]
            stack: walked.as_ref().map(Walked::print),
            #[cfg(not(feature = "stall-stacks"))]
            stack: None,
        };
        let row = taken.rows.entry(key).or_insert_with(|| Row {
            blocked: Duration::ZERO,
            samples: 0,
            call: sample.call.clone(),
            watched_at: sample.place.and_then(Place::source),
            #[cfg(feature = "stall-stacks")]
            stack: walked.map(Walked::stack),
        });
        row.blocked += time;
        row.samples += 1;
    }

    /// Whether there will be no more, because the time is over or nobody wants them.
    pub(super) fn is_over(self: &Arc<Self>, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= self.wanted {
            self.finish(now);
        }
        self.taken.lock().over
    }

    /// There will be no more.
    pub(super) fn finish(self: &Arc<Self>, now: Instant) {
        let rows = {
            let mut taken = self.taken.lock();
            if taken.over {
                return;
            }
            taken.over = true;
            taken.rows.drain().map(|(_, row)| row).collect()
        };
        let profile = Profile {
            lasted: now.saturating_duration_since(self.began),
            workers: self.workers,
            rows,
        };
        #[cfg(feature = "stall-stacks")]
        if profile.rows.iter().any(|row| row.stack.is_some()) {
            let (this, theirs) = (self.clone(), profile.clone());
            let started = std::thread::Builder::new()
                .name(String::from("longshore-profile"))
                .spawn(move || this.complete(theirs));
            if started.is_ok() {
                return;
            }
        }
        self.complete(profile);
    }

    /// Nobody waits for them.
    fn abandon(&self) {
        let mut taken = self.taken.lock();
        let rows = std::mem::take(&mut taken.rows);
        let waker = taken.waker.take();
        taken.over = true;
        drop(taken);
        drop((rows, waker));
    }

    fn complete(&self, mut profile: Profile) {
        // If looking for names fails in a way that nobody has thought of, the rows are as they are.
        call_quietly(|| profile.rows = merged(&profile.rows));
        profile.rows.sort_by_key(|row| Reverse(row.blocked));
        let waker = {
            let mut taken = self.taken.lock();
            taken.profile = Some(profile);
            taken.waker.take()
        };
        if let Some(waker) = waker {
            // A waker of the user's may panic.
            call_quietly(|| waker.wake());
        }
    }
}

#[cfg(feature = "stall-stacks")]
impl Taken {
    fn walk(&mut self, stack: &Snapshot) -> Option<Walked> {
        if self.rows.len() >= STACKS {
            return None;
        }
        let known = self.modules.take_if(|(at, _)| at.elapsed() < MAPPED);
        let mut known = match known {
            Some(known) => known,
            None => (Instant::now(), Modules::now().ok()?),
        };
        let walked = stack.walk(&mut known.1);
        self.modules = Some(known);
        Some(walked)
    }
}

fn name(call: &BlockingCall) -> (String, Option<String>) {
    (call.syscall.to_string(), call.target())
}

/// The rows, with those made one that the user cannot tell apart.
fn merged(rows: &[Row]) -> Vec<Row> {
    type Seen = (
        Option<(String, Option<String>)>,
        Option<&'static Location<'static>>,
        Option<String>,
    );
    let mut merged: HashMap<Seen, Row> = HashMap::new();
    for row in rows {
        let seen = (row.call.as_ref().map(name), row.watched_at, row.blame());
        merged
            .entry(seen)
            .and_modify(|same| {
                same.blocked += row.blocked;
                same.samples += row.samples;
            })
            .or_insert_with(|| row.clone());
    }
    merged.into_values().collect()
}

/// The future of [`Watching::profile_for`](super::Watching::profile_for).
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct ProfileFor {
    pub(super) samples: Arc<Samples>,
}

impl Future for ProfileFor {
    type Output = Profile;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Profile> {
        let waker = cx.waker().clone();
        let mut taken = self.samples.taken.lock();
        let before = match &taken.profile {
            Some(profile) => return Poll::Ready(profile.clone()),
            None => taken.waker.replace(waker),
        };
        drop(taken);
        drop(before);
        Poll::Pending
    }
}

impl Drop for ProfileFor {
    /// The watchdog takes no more samples for it.
    fn drop(&mut self) {
        self.samples.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    fn sample(syscall: Option<&'static str>, peer: Option<&str>) -> Sample {
        Sample {
            call: syscall.map(|syscall| BlockingCall {
                syscall: Cow::Borrowed(syscall),
                fd: Some(3),
                peer: peer.map(str::to_owned),
                path: None,
                timeout: None,
            }),
            place: None,
            #[cfg(feature = "stall-stacks")]
            stack: None,
        }
    }

    fn poll(future: &mut ProfileFor) -> Poll<Profile> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn rows_are_ranked_by_time_and_alike_calls_are_one() {
        let samples = Samples::new(1000 * MILLIS, 2);
        samples.add(&sample(None, None), 5 * MILLIS);
        for fd in 0..3 {
            let mut sample = sample(Some("recvfrom"), Some("10.0.0.7:80"));
            sample.call.as_mut().expect("it has one").fd = Some(fd);
            samples.add(&sample, 10 * MILLIS);
        }
        samples.add(&sample(Some("recvfrom"), Some("10.0.0.8:80")), 10 * MILLIS);
        let mut future = ProfileFor { samples };
        let began = future.samples.began;
        assert!(!future.samples.is_over(began));
        assert!(poll(&mut future).is_pending());
        assert!(future.samples.is_over(began + 1000 * MILLIS));
        future.samples.add(&sample(Some("late"), None), MILLIS);
        let Poll::Ready(profile) = poll(&mut future) else {
            panic!("the time is over")
        };
        let times: Vec<u64> = profile.rows.iter().map(|row| row.samples).collect();
        assert_eq!((times, profile.blocked()), (vec![3, 1, 1], 45 * MILLIS));
    }

    #[test]
    fn what_nobody_waits_for_is_over() {
        let samples = Samples::new(Duration::MAX, 2);
        let future = ProfileFor {
            samples: samples.clone(),
        };
        assert!(!samples.is_over(samples.began + 1000 * MILLIS));
        drop(future);
        assert!(samples.is_over(samples.began));
    }
}
