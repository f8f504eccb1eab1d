//! The easy thing first: a lane for those who have not made one yet.

use std::sync::LazyLock;

use super::Lane;
use crate::job::Task;

static DEFAULT: LazyLock<Lane> = LazyLock::new(|| Lane::builder("default").build());

/// The lane of [`offload`]: named `default`, with the defaults of [`Builder`](super::Builder)
/// (64 jobs at once on Tokio's blocking pool, any number waiting, no timeout).
#[must_use]
pub fn default_lane() -> &'static Lane {
    &DEFAULT
}

/// Runs a closure that blocks on a thread where it may, in the process's default lane.
///
/// The first step of a migration. The second is a [`Lane`] for each resource that is called, so
/// that a slow one cannot take the threads of the others.
///
/// # Cancel safety
///
/// Dropping the task cancels the job; see [`Task`] for what becomes of *the waiter* and of *the
/// thread*.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), longshore::Error> {
/// let bytes = longshore::offload(|| std::fs::read("Cargo.toml")).await?;
/// assert!(bytes.is_ok());
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn offload<F, T>(f: F) -> Task<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    DEFAULT.offload(f)
}
