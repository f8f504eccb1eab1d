//! A future whose polls can be seen from outside.

use std::{
    fmt::{self, Write},
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task;

use super::{
    place::Place,
    slot::{self, Poller, Scope},
    strict,
};

/// Makes the polls of a future visible to every [`Watch`](super::Watch) of the runtime that it is
/// first polled on.
///
/// A watch sees by itself that a worker is stuck, and on Linux in which call. This adds what it
/// cannot see: the place in the source (where `watched` was called), the task, and that it was *one*
/// poll ([`Certainty::OnePoll`](super::Certainty::OnePoll)), whether it slept or computed. It is also
/// the only way to see the future that is given to `block_on` of a multi-thread runtime, and the
/// tasks of a `LocalSet` there, which run on no worker.
///
/// It works on every platform, and costs a few nanoseconds a poll; without a watch it does nothing.
///
/// # Cancel safety
///
/// It is as cancel safe as the future: nothing is added but what is written before a poll and taken
/// back after it.
///
/// # Examples
///
/// ```
/// use longshore::stall;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let task = tokio::spawn(stall::watched(async { 6 * 7 }));
/// assert_eq!(task.await?, 42);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn watched<F: Future>(future: F) -> Watched<F> {
    watched_at(Location::caller(), future)
}

pub(super) fn watched_at<F: Future>(place: &'static Location<'static>, future: F) -> Watched<F> {
    Watched {
        future,
        place,
        poller: None,
    }
}

pin_project_lite::pin_project! {
    /// The future of [`watched`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Watched<F> {
        #[pin]
        future: F,
        place: &'static Location<'static>,
        // From the first poll on: what it is polled by is known only then.
        poller: Option<Poller>,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let place = *this.place;
        let poller = *this.poller.get_or_insert_with(|| first(place));
        let future = this.future;
        slot::polling(poller, || {
            if strict::is_wanted() {
                return strict::polling(poller, place, || future.poll(cx));
            }
            future.poll(cx)
        })
    }
}

impl<F> fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("place", &format_args!("{}", self.place))
            .finish_non_exhaustive()
    }
}

#[cold]
fn first(place: &'static Location<'static>) -> Poller {
    Poller {
        place: Place::of(place),
        scope: Scope::current(),
        task: task::try_id().map_or(0, number_of),
    }
}

/// The number of a task, which Tokio shows only as text.
fn number_of(task: task::Id) -> u64 {
    struct Digits(Option<u64>);
    impl Write for Digits {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
                self.0 = self
                    .0
                    .zip(digit)
                    .and_then(|(number, digit)| number.checked_mul(10)?.checked_add(digit));
            }
            Ok(())
        }
    }
    let mut digits = Digits(Some(0));
    let _ = write!(digits, "{task}");
    digits.0.unwrap_or(0)
}
