//! The job that a thread runs, for code too deep in it to be handed the [`Job`].

use super::{Job, nest};

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
        nest::current()
    }
}
