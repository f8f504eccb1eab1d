//! The calls that are left, ranked, although none of them is long.

use std::{fmt, panic::Location, time::Duration};

#[cfg(feature = "json")]
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{proc::BlockingCall, report::blame};

/// So many rows are shown on a terminal.
const SHOWN: usize = 25;

/// Where the workers of a runtime slept although they had work: what is left to be moved behind
/// [`offload`](crate::offload), the most expensive first. From
/// [`Watching::profile_for`](super::Watching::profile_for).
///
/// It is an estimate from samples, one each tick of the watchdog. Calls that take some tenths of a
/// millisecond show as well if there are many of them, since what is counted is time. What waits for
/// files is underestimated: much of that is work in the system, and not sleep. Two calls are one row
/// if the system call, the [`watched`](super::watched) place and the line of the program that is to
/// [blame](Row::blame) are the same; where that line is not known, if peer or path are. (If there is no
/// thread to find that out on, one line may have several rows.) A row says of its call what all its
/// samples have in common.
///
/// `Display` gives a table of the first 25 for a terminal; `to_json` (feature `json`) the same for
/// machines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// How long samples were taken.
    pub lasted: Duration,
    /// How many workers the runtime has.
    pub workers: usize,
    /// The rows, the most expensive first.
    pub rows: Vec<Row>,
}

/// A call, in a [`Profile`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// How long workers slept in it, all together.
    pub blocked: Duration,
    /// How many samples that comes from.
    pub samples: u64,
    /// The call; `None` if it cannot be told.
    pub call: Option<BlockingCall>,
    /// Where [`watched`](super::watched) was called for what was being polled.
    pub watched_at: Option<&'static Location<'static>>,
    /// What the thread was doing in one of the samples.
    #[cfg(feature = "stall-stacks")]
    pub stack: Option<super::Stack>,
}

impl Row {
    /// Where the blame goes: the innermost place of the user's own code that is known, as in
    /// [`Stall::blame`](super::Stall::blame).
    #[must_use]
    pub fn blame(&self) -> Option<String> {
        blame(self.stacked(), self.watched_at)
    }

    /// The blame as far as it comes from the stack, and whether that is a place in the source.
    pub(super) fn stacked(&self) -> Option<(String, bool)> {
        #[cfg(feature = "stall-stacks")]
        return self.stack.as_ref().and_then(super::Stack::blamed);
        #[cfg(not(feature = "stall-stacks"))]
        return None;
    }
}

impl Profile {
    /// How long workers slept in all rows.
    #[must_use]
    pub fn blocked(&self) -> Duration {
        self.rows.iter().map(|row| row.blocked).sum()
    }

    /// The profile as an object: `lasted_ms`, `workers`, and `rows` of `blocked_ms`, `samples`, `call`,
    /// `blame` and `watched_at`, the last three as text or null.
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
        let (shown, rest) = self.rows.split_at(self.rows.len().min(SHOWN));
        let share = |time: Duration| {
            100.0 * time.as_secs_f64() / blocked.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        for row in shown {
            let (time, share) = (row.blocked.as_secs_f64() * 1e3, share(row.blocked));
            write!(f, "\n{time:>7.0} ms  {share:>4.0}%  ")?;
            match &row.call {
                Some(call) => write!(f, "{call}")?,
                None => f.write_str("asleep, in what cannot be told")?,
            }
            if let Some((blamed, _)) = row.stacked() {
                write!(f, " <- {blamed}")?;
            }
            if let Some(place) = row.watched_at {
                write!(f, " <- {place}")?;
            }
        }
        if !rest.is_empty() {
            let time: Duration = rest.iter().map(|row| row.blocked).sum();
            let (time, share) = (time.as_secs_f64() * 1e3, share(time));
            write!(f, "\n{time:>7.0} ms  {share:>4.0}%  in {} more", rest.len())?;
        }
        Ok(())
    }
}

#[cfg(feature = "json")]
impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut to = to.serialize_struct("Profile", 3)?;
        to.serialize_field("lasted_ms", &millis(self.lasted))?;
        to.serialize_field("workers", &self.workers)?;
        to.serialize_field("rows", &self.rows)?;
        to.end()
    }
}

#[cfg(feature = "json")]
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut to = to.serialize_struct("Row", 5)?;
        to.serialize_field("blocked_ms", &millis(self.blocked))?;
        to.serialize_field("samples", &self.samples)?;
        to.serialize_field("call", &self.call.as_ref().map(ToString::to_string))?;
        to.serialize_field("blame", &self.blame())?;
        to.serialize_field("watched_at", &self.watched_at.map(ToString::to_string))?;
        to.end()
    }
}

#[cfg(feature = "json")]
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn row(blocked: u64, call: Option<(&'static str, Option<&str>)>) -> Row {
        Row {
            blocked: Duration::from_millis(blocked),
            samples: blocked / 10,
            call: call.map(|(syscall, peer)| BlockingCall {
                syscall: Cow::Borrowed(syscall),
                fd: Some(3),
                peer: peer.map(str::to_owned),
                path: None,
                timeout: None,
                serves: false,
            }),
            watched_at: None,
            #[cfg(feature = "stall-stacks")]
            stack: None,
        }
    }

    fn profile() -> Profile {
        Profile {
            lasted: Duration::from_secs(1),
            workers: 2,
            rows: vec![
                row(30, Some(("recvfrom", Some("10.0.0.7:80")))),
                Row {
                    watched_at: Some(Location::caller()),
                    ..row(10, Some(("fsync", None)))
                },
                row(5, None),
            ],
        }
    }

    #[test]
    fn a_profile_is_a_table() {
        let profile = profile();
        assert_eq!(profile.blocked(), Duration::from_millis(45));
        let text = profile.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "blocked 45.0ms of 1.0s x 2 workers");
        assert_eq!(lines[2], "     30 ms    67%  recvfrom (10.0.0.7:80)");
        let place = lines[3].strip_prefix("     10 ms    22%  fsync (fd 3) <- ");
        assert!(
            place.is_some_and(|place| place.contains("profile.rs:")),
            "{text}"
        );
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
        assert!(json["rows"][0]["blame"].is_null());
        assert_eq!(json["rows"][1]["blame"], json["rows"][1]["watched_at"]);
        assert!(json["rows"][2]["call"].is_null());
    }
}
