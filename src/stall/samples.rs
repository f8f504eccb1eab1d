//! Where workers were seen to sleep, until that becomes a profile.
//!
//! Samples are sorted as they come: by the call and what it is about, by the place, and by the
//! functions on the stack, as addresses. What is to blame of these is known only when they have
//! names, which takes long; so that is done at the end, on a thread of its own, and what turns out to
//! be the same then becomes one row. Where no thread can be had it is not done: the names are looked up
//! by whoever reads the rows.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

#[cfg(feature = "stall-stacks")]
use super::stack::Walked;
use super::{
    counted::{Counted, merged},
    place::Place,
    proc::BlockingCall,
    profile::{Profile, Row},
};
use crate::{error::call_quietly, sync::Mutex};

/// So many rows are told apart by more than the name of the call.
const ROWS: usize = 1024;

/// A worker that slept.
pub(super) struct Sample {
    pub(super) call: Option<BlockingCall>,
    /// What the call is about is known, as far as it ever is.
    pub(super) is_whole: bool,
    /// The number of the place.
    pub(super) place: Option<u32>,
    #[cfg(feature = "stall-stacks")]
    pub(super) stack: Option<Walked>,
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
    rows: HashMap<Key, Counted>,
    /// There will be no more of them.
    over: bool,
    profile: Option<Profile>,
    waker: Option<Waker>,
}

/// What the samples of a row have in common.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    syscall: Option<String>,
    /// The peer or the path, if there is no stack.
    target: Option<String>,
    /// The number of the place.
    place: Option<u32>,
    /// The functions, as a number.
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
        let mut key = Key {
            syscall: (sample.call.as_ref()).map(|call| call.syscall.to_string()),
            target: sample.call.as_ref().and_then(BlockingCall::service),
            place: sample.place,
            #[cfg(feature = "stall-stacks")]
            stack: sample.stack.as_ref().map(Walked::print),
            #[cfg(not(feature = "stall-stacks"))]
            stack: None,
        };
        let mut row = Row {
            blocked: time,
            samples: 1,
            call: sample.call.clone(),
            watched_at: sample.place.and_then(Place::source),
            #[cfg(feature = "stall-stacks")]
            stack: sample.stack.clone().map(Walked::stack),
        };
        if key.stack.is_some() {
            // What a line of the program calls is one row, whatever it is about.
            key.target = None;
        }
        if taken.rows.len() >= ROWS && !taken.rows.contains_key(&key) {
            key = Key {
                syscall: key.syscall,
                ..Key::default()
            };
            row.watched_at = None;
            #[cfg(feature = "stall-stacks")]
            {
                row.stack = None;
            }
        }
        let counted = Counted {
            row,
            is_whole: sample.is_whole,
        };
        match taken.rows.entry(key) {
            Entry::Occupied(mut same) => same.get_mut().add(&counted),
            Entry::Vacant(free) => drop(free.insert(counted)),
        }
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
        let rows: Vec<Counted> = {
            let mut taken = self.taken.lock();
            if taken.over {
                return;
            }
            taken.over = true;
            taken.rows.drain().map(|(_, row)| row).collect()
        };
        let lasted = now.saturating_duration_since(self.began);
        #[cfg(feature = "stall-stacks")]
        if rows.iter().any(|counted| counted.row.stack.is_some()) {
            let (this, theirs) = (self.clone(), rows.clone());
            let started = std::thread::Builder::new()
                .name(String::from("longshore-profile"))
                .spawn(move || this.complete(named(theirs), lasted));
            if started.is_err() {
                self.complete(rows, lasted);
            }
            return;
        }
        self.complete(named(rows), lasted);
    }

    /// The profile, when it is there.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Profile> {
        let waker = cx.waker().clone();
        let mut taken = self.taken.lock();
        let before = match &taken.profile {
            Some(profile) => return Poll::Ready(profile.clone()),
            None => taken.waker.replace(waker),
        };
        drop(taken);
        drop(before);
        Poll::Pending
    }

    /// Nobody waits for them.
    pub(super) fn abandon(&self) {
        let mut taken = self.taken.lock();
        let rows = std::mem::take(&mut taken.rows);
        let waker = taken.waker.take();
        taken.over = true;
        drop(taken);
        drop((rows, waker));
    }

    fn complete(&self, rows: Vec<Counted>, lasted: Duration) {
        let mut rows: Vec<Row> = rows.into_iter().map(|counted| counted.row).collect();
        rows.sort_by_key(|row| Reverse(row.blocked));
        let waker = {
            let mut taken = self.taken.lock();
            taken.profile = Some(Profile {
                lasted,
                workers: self.workers,
                rows,
            });
            taken.waker.take()
        };
        if let Some(waker) = waker {
            // A waker of the user's may panic.
            call_quietly(|| waker.wake());
        }
    }
}

/// The rows with names. If looking for these fails in a way that nobody has thought of, the rows are as
/// they are.
fn named(mut rows: Vec<Counted>) -> Vec<Counted> {
    call_quietly(|| rows = merged(&rows));
    rows
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, path::PathBuf};

    use super::*;
    use crate::stall::profile_for::ProfileFor;

    const MILLIS: Duration = Duration::from_millis(1);

    fn sample(syscall: Option<&'static str>, peer: Option<&str>) -> Sample {
        Sample {
            call: syscall.map(|syscall| BlockingCall {
                syscall: Cow::Borrowed(syscall),
                fd: Some(3),
                peer: peer.map(str::to_owned),
                path: None,
                timeout: None,
                serves: false,
            }),
            is_whole: true,
            place: None,
            #[cfg(feature = "stall-stacks")]
            stack: None,
        }
    }

    fn poll(samples: &Samples) -> Poll<Profile> {
        samples.poll(&mut Context::from_waker(Waker::noop()))
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
        let began = samples.began;
        assert!(!samples.is_over(began));
        assert!(poll(&samples).is_pending());
        assert!(samples.is_over(began + 1000 * MILLIS));
        samples.add(&sample(Some("late"), None), MILLIS);
        let Poll::Ready(profile) = poll(&samples) else {
            panic!("the time is over")
        };
        let times: Vec<u64> = profile.rows.iter().map(|row| row.samples).collect();
        assert_eq!((times, profile.blocked()), (vec![3, 1, 1], 45 * MILLIS));
    }

    #[test]
    fn a_row_says_what_all_its_samples_have_in_common() {
        let samples = Samples::new(Duration::MAX, 2);
        for port in 40_000..40_012 {
            let peer = format!("10.0.0.7:{port}");
            let mut sample = sample(Some("recvfrom"), Some(&peer));
            sample.call.as_mut().expect("it has one").serves = true;
            samples.add(&sample, 10 * MILLIS);
        }
        for naps in [90, 20] {
            let mut sample = sample(Some("clock_nanosleep"), None);
            sample.call.as_mut().expect("it has one").timeout = Some(naps * MILLIS);
            samples.add(&sample, naps * MILLIS);
        }
        // Of these two nothing is known but the name, which is no difference.
        for is_whole in [false, true, false] {
            let peer = is_whole.then_some("10.0.0.8:5432");
            let sample = Sample {
                is_whole,
                ..sample(Some("read"), peer)
            };
            samples.add(&sample, MILLIS);
        }
        samples.finish(Instant::now());
        let Poll::Ready(profile) = poll(&samples) else {
            panic!("it is over")
        };
        let calls: Vec<String> = profile
            .rows
            .iter()
            .map(|row| {
                row.call
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            })
            .collect();
        assert_eq!(
            calls,
            [
                "recvfrom (10.0.0.7)",
                "clock_nanosleep (fd 3)",
                "read (fd 3)",
                "read (10.0.0.8:5432)"
            ]
        );
    }

    #[test]
    fn however_many_calls_there_are_the_rows_are_not() {
        let samples = Samples::new(Duration::MAX, 2);
        for file in 0..2 * ROWS {
            let mut sample = sample(Some("read"), None);
            let path = PathBuf::from(format!("/data/{file}"));
            sample.call.as_mut().expect("it has one").path = Some(path);
            samples.add(&sample, MILLIS);
        }
        samples.finish(Instant::now());
        let Poll::Ready(profile) = poll(&samples) else {
            panic!("it is over")
        };
        assert_eq!(profile.rows.len(), ROWS + 1);
        let first = &profile.rows[0];
        assert_eq!(first.samples, ROWS as u64);
        assert_eq!(first.call.as_ref().and_then(|call| call.path.clone()), None);
        assert_eq!(profile.to_string().lines().count(), 2 + 25 + 1);
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
