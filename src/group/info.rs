//! A child as reports name it.

use std::{fmt, panic::Location, time::Duration};

use crate::{lane::JobState, sync::Arc};

/// A child that is in a group, as [`Group::children`](crate::Group::children) and
/// [`Stuck`](super::Stuck) list it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// The group it is in: the one that was asked, or one within it.
    pub group: Arc<str>,
    /// The lane that it was offloaded to; `None` if it is a future.
    pub lane: Option<Arc<str>>,
    /// What it was labelled with.
    pub label: Option<Arc<str>>,
    /// Where it was spawned or offloaded.
    pub location: &'static Location<'static>,
    /// Where it is. `Waiting` is in the queue of its group or of its lane; `Draining` is a job whose
    /// outcome is known and whose thread is not yet free, or a future that was told to stop and has
    /// not been dropped yet.
    pub state: JobState,
    /// How long it has been in the group.
    pub age: Duration,
}

impl fmt::Display for ChildInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "`{label}` ")?;
        }
        write!(f, "of group `{}`, ", self.group)?;
        match &self.lane {
            Some(lane) => write!(f, "offloaded to lane `{lane}`")?,
            None => f.write_str("a future spawned")?,
        }
        write!(f, " at {}, ", self.location)?;
        f.write_str(match self.state {
            JobState::Waiting => "waiting",
            JobState::Running => "running",
            JobState::Draining => "draining",
            JobState::Suspended => "suspended",
        })?;
        write!(f, ", {:?} old", self.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_named_by_all_that_is_known_of_it() {
        let mut info = ChildInfo {
            group: Arc::from("report"),
            lane: Some(Arc::from("billing")),
            label: Some(Arc::from("invoice 7")),
            location: Location::caller(),
            state: JobState::Draining,
            age: Duration::from_secs(2),
        };
        let text = info.to_string();
        for part in [
            "`report`",
            "`billing`",
            "`invoice 7`",
            file!(),
            "draining",
            "2s",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        info.lane = None;
        assert!(info.to_string().contains("a future spawned at"));
    }
}
