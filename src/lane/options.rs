//! What a handle asks for the jobs that are handed in by it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Lane, state::Company};
use crate::{cancel::CancelToken, sync::Arc};

#[derive(Clone, Default)]
pub(super) struct Options {
    limit: TimeLimit,
    pub(super) label: Option<Arc<str>>,
    pub(super) token: Option<CancelToken>,
    pub(super) company: Option<Company>,
}

#[derive(Clone, Copy, Default)]
enum TimeLimit {
    #[default]
    None,
    Timeout(Duration),
    Deadline(Instant),
}

impl Options {
    pub(super) fn timing_out_after(time: Option<Duration>) -> Self {
        Self {
            limit: time.map_or(TimeLimit::None, TimeLimit::Timeout),
            ..Self::default()
        }
    }

    /// When the time of a job is up that is handed in now.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.limit {
            TimeLimit::None => None,
            TimeLimit::Timeout(time) => now.checked_add(time),
            TimeLimit::Deadline(deadline) => Some(deadline),
        }
    }
}

/// # Options
impl Lane {
    /// The same lane, with this long for a job to take, waiting and running together, counted from
    /// the call that hands it in. Replaces the timeout or deadline set before.
    ///
    /// Zero lets no job start; a time too long to be represented is no limit. The time is kept by
    /// the runtime that the job is handed in from, which has to be driven: a current-thread runtime
    /// that nobody is in keeps none.
    #[must_use]
    pub fn timeout(&self, time: Duration) -> Self {
        self.with(|options| options.limit = TimeLimit::Timeout(time))
    }

    /// The same lane, with this moment on Tokio's clock as the end of every job's time. Replaces
    /// the timeout or deadline set before. One that has passed lets no job start.
    #[must_use]
    pub fn deadline(&self, deadline: Instant) -> Self {
        self.with(|options| options.limit = TimeLimit::Deadline(deadline))
    }

    /// The same lane, with a name for its jobs in reports and traces.
    #[must_use]
    pub fn label(&self, label: impl Into<Arc<str>>) -> Self {
        self.with(|options| options.label = Some(label.into()))
    }

    /// The same lane, with jobs that are cancelled when `token` is, and that are not started if it
    /// is already. Replaces the token set before: for both, make the one a
    /// [`child`](CancelToken::child) of the other.
    #[must_use]
    pub fn cancelled_by(&self, token: &CancelToken) -> Self {
        self.with(|options| options.token = Some(token.clone()))
    }

    /// The same lane, with something that goes along with its jobs: it is dropped when the last of
    /// them is off its thread, or will never be on one, and when this handle is gone too.
    pub(crate) fn in_company_of(&self, company: Company) -> Self {
        self.with(|options| options.company = Some(company))
    }

    /// The same lane, with jobs whose time is up at `deadline` at the latest.
    pub(crate) fn no_later_than(&self, deadline: Instant) -> Self {
        let own = self.options.deadline(Instant::now());
        let earlier = own.map_or(deadline, |own| own.min(deadline));
        self.deadline(earlier)
    }

    /// What the jobs of this handle are labelled with.
    pub(crate) fn labelled(&self) -> Option<Arc<str>> {
        self.options.label.clone()
    }

    /// The token that the jobs of this handle are under.
    pub(crate) fn token(&self) -> Option<&CancelToken> {
        self.options.token.as_ref()
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut lane = self.clone();
        change(&mut lane.options);
        lane
    }
}
