//! Waiting for all children at once.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    panic::Location,
};

use super::{Group, outcomes::Told, quiet::Quiet};
use crate::{
    error::{Error, counted, drop_quietly},
    sync::Arc,
};

impl<T: Send + 'static> Group<T> {
    /// Waits until every child is over, threads included, and gives what they came to and nobody has
    /// taken, in the order in which they were put in.
    ///
    /// Children that are put in meanwhile are waited for too. There is no bound on the time: give the
    /// group a deadline, and what cannot be stopped a [`shutdown`](Self::shutdown), which names it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the group, and so cancels it.
    pub fn join_all(self) -> impl Future<Output = Vec<Result<T, Error>>> + Send + use<T> {
        join_all(self)
    }

    /// As [`try_join_all`](Self::try_join_all), for children that cannot fail by what they return:
    /// the first that panics, is refused or is stopped cancels the rest.
    ///
    /// # Errors
    ///
    /// [`Failed`], when everything is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the group, and so cancels it.
    pub fn join_all_or_cancel(
        self,
    ) -> impl Future<Output = Result<Vec<T>, Failed>> + Send + use<T> {
        first_failure_cancels(self, |_| false, Ok)
    }
}

impl<V: Send + 'static, E: Send + 'static> Group<Result<V, E>> {
    /// Waits until every child is over, threads included, and gives their values, in the order in
    /// which they were put in. The first child that returns an `Err`, panics, is refused or is
    /// stopped cancels the rest, whether this is polled or not.
    ///
    /// # Errors
    ///
    /// [`Failed`]: why the first one failed, and how many others did. It comes when everything is
    /// over, as the values do. Values that were there already are dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the group, and so cancels it.
    ///
    /// # Examples
    ///
    /// ```
    /// use longshore::{Group, Lane, group::Cause};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let lane = Lane::builder("parse").limit(2).build();
    /// let group = Group::new();
    /// group.offload(&lane, || "7".parse::<u32>());
    /// group.label("the odd one").offload(&lane, || "seven".parse::<u32>());
    ///
    /// let failed = group.try_join_all().await.unwrap_err();
    /// assert!(matches!(failed.cause, Cause::Returned(_)));
    /// assert_eq!(failed.label.as_deref(), Some("the odd one"));
    /// # }
    /// ```
    ///
    /// With an error that takes in any other, as that of `anyhow`, or a box:
    ///
    /// ```
    /// use longshore::{Group, Lane, group::Failed};
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// async fn sum(lane: &Lane, numbers: [&'static str; 2]) -> Result<u32, BoxError> {
    ///     let group = Group::new();
    ///     for number in numbers {
    ///         group.offload(lane, move || Ok::<_, BoxError>(number.parse::<u32>()?));
    ///     }
    ///     let numbers = group.try_join_all().await.map_err(Failed::into_error)?;
    ///     Ok(numbers.into_iter().sum())
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let lane = Lane::builder("parse").limit(2).build();
    /// assert_eq!(sum(&lane, ["3", "4"]).await.unwrap(), 7);
    /// assert!(sum(&lane, ["3", "four"]).await.is_err());
    /// # }
    /// ```
    pub fn try_join_all(
        self,
    ) -> impl Future<Output = Result<Vec<V>, Failed<E>>> + Send + use<V, E> {
        first_failure_cancels(self, Result::is_err, |returned| returned)
    }
}

/// Why not all children of a group gave a value: the first that failed, and how many others did.
/// From [`Group::try_join_all`] and [`Group::join_all_or_cancel`].
///
/// `Display` says which child it was; why it failed is the [`cause`](Self::cause), and the `source()`
/// where `E` is an error itself.
///
/// It converts by `?` into boxed errors where `E` is an error itself; elsewhere
/// [`into_error`](Self::into_error) makes an `E` of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failed<E = Infallible> {
    /// What the first child came to.
    pub cause: Cause<E>,
    /// What that child was labelled with.
    pub label: Option<Arc<str>>,
    /// Where it was spawned or offloaded.
    pub location: &'static Location<'static>,
    /// How many other children failed by themselves: returned an error, panicked, were refused by
    /// their lane or ran into a time limit of their own, before they could be cancelled, or while.
    /// Those that the group has stopped, by the cancel or by its own deadline, are not counted.
    pub others: usize,
}

/// How a child failed.
#[derive(Debug)]
pub enum Cause<E = Infallible> {
    /// It returned this.
    Returned(E),
    /// It did not return: it panicked, was refused, or was stopped.
    Lost(Error),
}

impl<E> Failed<E> {
    /// The first child's error alone, as the children return it.
    pub fn into_error(self) -> E
    where
        E: From<Error>,
    {
        match self.cause {
            Cause::Returned(error) => error,
            Cause::Lost(error) => error.into(),
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed.cause {
            Cause::Returned(never) => match never {},
            Cause::Lost(error) => error,
        }
    }
}

impl<E> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the child ")?;
        if let Some(label) = &self.label {
            write!(f, "`{label}` ")?;
        }
        write!(f, "put in at {} failed", self.location)?;
        match self.others {
            0 => Ok(()),
            others => write!(f, ", and {} did", counted(others, "other", "others")),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Failed<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Returned(error) => Some(error),
            Cause::Lost(error) => Some(error),
        }
    }
}

/// Whether it was not the group that has stopped the child.
fn failed_by_itself<E>(cause: &Cause<E>, late: bool) -> bool {
    match cause {
        Cause::Returned(_) => true,
        Cause::Lost(Error::Stopped { .. }) => false,
        // Of a job: kept by its lane, on behalf of the group if the group's time was up.
        Cause::Lost(error) if error.is_timeout() => !late,
        Cause::Lost(error) => !error.is_cancelled(),
    }
}

pub(super) async fn join_all<T: Send + 'static>(group: Group<T>) -> Vec<Result<T, Error>> {
    let shared = group.shared();
    let mut quiet = Quiet::of(shared);
    poll_fn(|cx| quiet.poll_over(cx)).await;
    let mut told = Vec::from(shared.state.lock().outcomes.take_all());
    told.sort_unstable_by_key(|told| told.number);
    let outcomes = told.into_iter();
    outcomes
        .map(|told| told.outcome.map_err(|error| *error))
        .collect()
}

/// From here on, what is there already included, the first outcome that is an error, or that `fails` holds for, cancels the group, on
/// the thread that it comes from.
pub(super) fn first_failure_cancels<T, V, E>(
    group: Group<T>,
    fails: fn(&T) -> bool,
    value_of: fn(T) -> Result<V, E>,
) -> impl Future<Output = Result<Vec<V>, Failed<E>>> + Send
where
    T: Send + 'static,
    V: Send,
    E: Send,
{
    let has_failed = group.shared().state.lock().outcomes.cancel_on(fails);
    if has_failed {
        group.cancel();
    }
    values_or_failure(group, value_of)
}

async fn values_or_failure<T: Send + 'static, V, E>(
    group: Group<T>,
    value_of: fn(T) -> Result<V, E>,
) -> Result<Vec<V>, Failed<E>> {
    let shared = group.shared();
    let mut values = Vec::new();
    let mut first: Option<Failed<E>> = None;
    let mut quiet = Quiet::of(shared);
    while let Some(told) = poll_fn(|cx| quiet.poll_rest(cx)).await {
        let Told {
            number,
            label,
            location,
            outcome,
            late,
        } = told;
        let cause = match outcome.map_err(|error| *error).map(value_of) {
            Ok(Ok(value)) => {
                match first {
                    None => values.push((number, value)),
                    Some(_) => {
                        drop_quietly(value);
                    }
                }
                continue;
            }
            Ok(Err(error)) => Cause::Returned(error),
            Err(error) => Cause::Lost(error),
        };
        match &mut first {
            None => {
                first = Some(Failed {
                    cause,
                    label,
                    location,
                    others: 0,
                });
                for (_, value) in std::mem::take(&mut values) {
                    drop_quietly(value);
                }
            }
            Some(first) => {
                first.others += usize::from(failed_by_itself(&cause, late));
                drop_quietly(cause);
            }
        }
    }
    match first {
        Some(failed) => Err(failed),
        None => {
            values.sort_unstable_by_key(|(number, _)| *number);
            Ok(values.into_iter().map(|(_, value)| value).collect())
        }
    }
}
