//! The job that a thread runs, for code too deep in it to be handed the [`Job`].
//!
//! A job on rayon that waits for its own parts may run another on top of itself, so what was
//! current before is so again afterwards.

use std::cell::RefCell;

use super::Job;

thread_local! {
    static CURRENT: RefCell<Option<Job>> = const { RefCell::new(None) };
}

impl Job {
    /// The job that this thread runs, if it is a lane's worker in the middle of one.
    ///
    /// For code that is called by the closure and cannot be given its [`Job`], as the connections
    /// of [`longshore::ureq`](crate::ureq) are: `None` elsewhere, on a thread that the closure has
    /// started too.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Job, Lane};
    ///
    /// fn deep_down() -> Option<String> {
    ///     Job::current()?.label().map(str::to_owned)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), longshore::Error> {
    /// let lane = Lane::builder("import").limit(2).build();
    /// let label = lane.label("row 7").offload(deep_down).await?;
    /// assert_eq!(label.as_deref(), Some("row 7"));
    /// assert!(Job::current().is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn current() -> Option<Self> {
        // A thread that ends has no job any more, though destructors may still ask.
        CURRENT
            .try_with(|current| current.borrow().clone())
            .unwrap_or_default()
    }

    /// Makes this the thread's job until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered(CURRENT.replace(Some(self.clone())))
    }
}

/// Brings back what was current before.
pub(crate) struct Entered(Option<Job>);

impl Drop for Entered {
    fn drop(&mut self) {
        let over = CURRENT.replace(self.0.take());
        // Not the last handle, and if it were: not while the cell is borrowed.
        drop(over);
    }
}
