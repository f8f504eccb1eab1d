//! The way into a lane: of a closure, and of what its handle asks for it, a job is made.
//!
//! The closure, with all that it has captured, is the user's: where it is not taken in it is dropped
//! here, under no lock, and a panic in that is contained.

use std::panic::Location;

use tokio::time::Instant;

use super::{core::Core, handle::Lane, state::Ties};
use crate::{
    cancel::{Cancel, CancelToken},
    error::{Error, drop_quietly},
    job::{Cause, Cell, Job, Meta, Owner, Task, Work},
    sync::Arc,
};

impl Lane {
    /// Hands in a closure that has an outcome in any case.
    pub(super) fn hand_in<F, T>(
        &self,
        f: F,
        location: &'static Location<'static>,
    ) -> Result<Task<T>, Error>
    where
        F: FnOnce(&Job) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in_fallible(move |job| Ok(f(job)), location)
    }

    /// For a closure that may itself say why there is no outcome.
    pub(crate) fn hand_in_fallible<F, T>(
        &self,
        f: F,
        location: &'static Location<'static>,
    ) -> Result<Task<T>, Error>
    where
        F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.hand_in_as(self.meta(location), f, false)
    }

    /// What is known of a job that is handed in now.
    ///
    /// # Panics
    ///
    /// If the subscriber does, who is asked for the current span.
    pub(super) fn meta(&self, location: &'static Location<'static>) -> Meta {
        let queued = Instant::now();
        Meta {
            cancel: Cancel::default(),
            label: self.options.label.clone(),
            location,
            queued,
            deadline: self.options.deadline(queued),
            token: self.options.token.clone(),
            #[cfg(feature = "tracing")]
            span: crate::job::current_span(),
        }
    }

    /// Every way in leads here. Nothing of the user's can panic from here on, and with `reserved` the
    /// place is spent, whatever comes of it.
    pub(super) fn hand_in_as<F, T>(
        &self,
        meta: Meta,
        f: F,
        reserved: bool,
    ) -> Result<Task<T>, Error>
    where
        F: FnOnce(&Job) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let core = self.core();
        // What can be known to be in vain does not take a thread's time.
        if let Some(cause) = meta.in_vain(meta.queued) {
            drop_untaken(core, f);
            return Ok(Task::refused(core.turn_away(&cause, reserved)));
        }
        let cell = Arc::new(Cell::new(meta, f));
        let token = self.options.token.as_ref();
        let hook = token.map(|token| {
            let job = Arc::downgrade(&cell);
            let owner = core.clone();
            token.on_cancel(move || {
                if let Some(job) = job.upgrade() {
                    owner.stop(&*job, Cause::Cancelled);
                }
            })
        });
        let company = self.options.company.clone();
        let tied = hook.is_some() || company.is_some();
        let ties = tied.then(|| {
            Box::new(Ties {
                token: hook,
                company,
            })
        });
        let work: Arc<dyn Work> = cell.clone();
        if let Err(refusal) = core.submit(work, ties, reserved) {
            drop_untaken(core, cell);
            return Err(refusal);
        }
        if token.is_some_and(CancelToken::is_cancelled) {
            // Perhaps before the lane had it.
            core.stop(&*cell, Cause::Cancelled);
        }
        Ok(Task::live(cell, core.clone()))
    }
}

/// Drops a closure that is not taken in, with all that it has captured.
fn drop_untaken<C>(core: &Core, closure: C) {
    if drop_quietly(closure) {
        core.count_late_panics(1);
    }
}
