//! The calls that are left, ranked, although none of them is long.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{place::Place, proc::BlockingCall};
use crate::sync::Mutex;

/// Where the workers of a runtime slept although they had work: what is left to be moved behind
/// [`offload`](crate::offload), the most expensive first. From
/// [`Watching::profile_for`](super::Watching::profile_for).
///
/// It is an estimate from samples, one each tick of the watchdog. Calls that take some tenths of a
/// millisecond show as well if there are many of them, since what is counted is time. What waits
/// for files is underestimated: much of that is work in the system, and not sleep. Two calls are one
/// row if system call, peer or path, and [`watched`](super::watched) place are the same.
///
/// `Display` gives a table for a terminal; `to_json` (feature `json`) the same for machines.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Profile {
    /// How long samples were taken.
    #[cfg_attr(
        feature = "json",
        serde(rename = "lasted_ms", serialize_with = "as_millis")
    )]
    pub lasted: Duration,
    /// How many workers the runtime has.
    pub workers: usize,
    /// The rows, the most expensive first.
    pub rows: Vec<Row>,
}

/// A call, in a [`Profile`].
#[derive(Clone, Debug)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Row {
    /// How long workers slept in it, all together.
    #[cfg_attr(
        feature = "json",
        serde(rename = "blocked_ms", serialize_with = "as_millis")
    )]
    pub blocked: Duration,
    /// How many samples that comes from.
    pub samples: u64,
    /// The call; `None` if it cannot be told.
    #[cfg_attr(feature = "json", serde(serialize_with = "as_text"))]
    pub call: Option<BlockingCall>,
    /// Where [`watched`](super::watched) was called for what was being polled.
    #[cfg_attr(feature = "json", serde(serialize_with = "as_text"))]
    pub watched_at: Option<&'static Location<'static>>,
}

#[cfg(feature = "json")]
fn as_millis<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64() * 1e3)
}

#[cfg(feature = "json")]
fn as_text<T: fmt::Display, S: serde::Serializer>(
    value: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

impl Profile {
    /// How long workers slept in all rows.
    #[must_use]
    pub fn blocked(&self) -> Duration {
        self.rows.iter().map(|row| row.blocked).sum()
    }

    /// The profile as an object: `lasted_ms`, `workers`, and `rows` of `blocked_ms`, `samples`, `call` and
    /// `watched_at`, the last two as text or null.
    ///
    /// # Panics
    ///
    /// It does not.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and text can be written")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocked = self.blocked();
        writeln!(
            f,
            "blocked {blocked:.1?} of {:.1?} x {} workers",
            self.lasted, self.workers
        )?;
        if self.rows.is_empty() {
            return f.write_str("nothing was seen to block a worker");
        }
        write!(f, "{:>10}  {:>5}  call", "time", "share")?;
        for row in &self.rows {
            let share = row.blocked.as_secs_f64() / blocked.as_secs_f64().max(f64::MIN_POSITIVE);
            let time = row.blocked.as_secs_f64() * 1e3;
            write!(f, "\n{time:>7.0} ms  {:>4.0}%  ", share * 100.0)?;
            match &row.call {
                Some(call) => write!(f, "{call}")?,
                None => f.write_str("asleep, in what cannot be told")?,
            }
            if let Some(place) = row.watched_at {
                write!(f, " <- {place}")?;
            }
        }
        Ok(())
    }
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
    profile: Option<Profile>,
    waker: Option<Waker>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Option<(String, Option<String>)>, Option<u32>);

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
    pub(super) fn add(&self, call: Option<BlockingCall>, place: Option<u32>, time: Duration) {
        let name = call
            .as_ref()
            .map(|call| (call.syscall.to_string(), call.target()));
        let mut taken = self.taken.lock();
        let row = taken.rows.entry(Key(name, place)).or_insert_with(|| Row {
            blocked: Duration::ZERO,
            samples: 0,
            call,
            watched_at: place.and_then(Place::source),
        });
        row.blocked += time;
        row.samples += 1;
    }

    /// Whether the time is over; if so, the result is there. Or whether nobody wants it any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= self.wanted {
            self.finish(now);
        }
        self.taken.lock().profile.is_some()
    }

    /// There will be no more.
    pub(super) fn finish(&self, now: Instant) {
        let waker = {
            let mut taken = self.taken.lock();
            if taken.profile.is_some() {
                return;
            }
            let mut rows: Vec<Row> = taken.rows.drain().map(|(_, row)| row).collect();
            rows.sort_by_key(|row| Reverse(row.blocked));
            taken.profile = Some(Profile {
                lasted: now.saturating_duration_since(self.began),
                workers: self.workers,
                rows,
            });
            taken.waker.take()
        };
        if let Some(waker) = waker {
            // A waker of the user's may panic.
            crate::error::call_quietly(|| waker.wake());
        }
    }
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
        self.samples.finish(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn call(syscall: &'static str, peer: Option<&str>) -> Option<BlockingCall> {
        Some(BlockingCall {
            syscall: Cow::Borrowed(syscall),
            fd: Some(3),
            peer: peer.map(str::to_owned),
            path: None,
            timeout: None,
        })
    }

    fn profile() -> Profile {
        let samples = Samples::new(Duration::from_secs(1), 2);
        for _ in 0..3 {
            samples.add(
                call("recvfrom", Some("10.0.0.7:80")),
                None,
                Duration::from_millis(10),
            );
        }
        samples.add(call("fsync", None), None, Duration::from_millis(10));
        samples.add(None, None, Duration::from_millis(5));
        assert!(!samples.is_over(samples.began));
        assert!(samples.is_over(samples.began + Duration::from_secs(1)));
        let mut future = ProfileFor { samples };
        match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(profile) => profile,
            Poll::Pending => panic!("the time is over"),
        }
    }

    #[test]
    fn rows_are_ranked_by_time_and_alike_calls_are_one() {
        let profile = profile();
        assert_eq!(profile.rows.len(), 3);
        assert_eq!(profile.rows[0].samples, 3);
        assert_eq!(profile.blocked(), Duration::from_millis(45));
        let text = profile.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "blocked 45.0ms of 1.0s x 2 workers");
        assert_eq!(lines[2], "     30 ms    67%  recvfrom (10.0.0.7:80)");
        assert_eq!(
            lines[4],
            "      5 ms    11%  asleep, in what cannot be told"
        );
    }

    #[cfg(feature = "json")]
    #[test]
    fn a_profile_is_read_back_from_json() {
        let json: serde_json::Value =
            serde_json::from_str(&profile().to_json()).expect("it is JSON");
        assert_eq!(json["lasted_ms"], 1000.0);
        assert_eq!(json["rows"][0]["blocked_ms"], 30.0);
        assert_eq!(json["rows"][0]["call"], "recvfrom (10.0.0.7:80)");
        assert!(json["rows"][2]["call"].is_null());
    }
}
