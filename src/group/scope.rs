//! A group that is over when the code that used it is.

use std::{
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
};

use futures_util::FutureExt as _;

use super::{Builder, Group, core::unnamed, quiet::Quiet};

/// Runs async code with a group, and returns when the code has and nothing of the group is left.
///
/// What the body has not joined is cancelled when it returns, as by dropping a [`Group`]; then its
/// end is waited for, threads included. So an early return by `?` leaves nothing behind, not even
/// something that drains. If the body panics, the same is done before the panic goes on.
///
/// The body owns the group and may consume it. The wait has no bound: a thread that cannot be
/// interrupted holds it up until its closure returns. Neither a cancel of the group nor its deadline
/// stops the body, which hears of them by the outcomes of the children.
///
/// # Cancel safety
///
/// Dropping the future drops the body and the group, which cancels it without waiting.
///
/// # Panics
///
/// If the body does, with its payload.
///
/// # Examples
///
/// ```
/// use longshore::{Lane, group};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lane = Lane::builder("search").limit(8).build();
/// let first = group::scope(async |mut group| {
///     for shelf in 0..20 {
///         group.offload(&lane, move || (shelf == 7).then_some(shelf));
///     }
///     while let Some(found) = group.next().await {
///         if let Ok(Some(shelf)) = found {
///             return Some(shelf); // the others are not needed any more
///         }
///     }
///     None
/// })
/// .await;
/// assert_eq!(first, Some(7));
/// assert_eq!(lane.stats().running + lane.stats().draining, 0);
/// # }
/// ```
pub async fn scope<T, R, B, F>(body: B) -> R
where
    T: Send + 'static,
    B: FnOnce(Group<T>) -> F,
    F: Future<Output = R>,
{
    Builder::new(unnamed(), None).scope(body).await
}

impl<T> Builder<T> {
    /// As [`scope`], with a group of these options.
    ///
    /// # Panics
    ///
    /// If the body does, with its payload.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use longshore::Group;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let group = Group::<()>::builder("request").timeout(Duration::from_millis(20));
    /// let outcome = group
    ///     .scope(async |mut group| {
    ///         group.spawn(std::future::pending());
    ///         group.next().await
    ///     })
    ///     .await;
    /// assert!(outcome.unwrap().unwrap_err().is_timeout());
    /// # }
    /// ```
    pub async fn scope<R, B, F>(self, body: B) -> R
    where
        T: Send + 'static,
        B: FnOnce(Group<T>) -> F,
        F: Future<Output = R>,
    {
        let group = self.build();
        let shared = group.shared().clone();
        let ran = AssertUnwindSafe(async move { body(group).await })
            .catch_unwind()
            .await;
        // Also if the group was given away.
        shared.token.cancel();
        let mut quiet = Quiet::of(&shared);
        poll_fn(|cx| quiet.poll_over(cx)).await;
        match ran {
            Ok(value) => value,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}
