//! One at a time, in the order in which they came.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use crate::{
    error::drop_quietly,
    lane::wake,
    sync::{Mutex, MutexGuard},
};

/// Whose turn it is, and who waits for theirs.
#[derive(Debug, Default)]
pub(super) struct Turnstile(Mutex<Line>);

/// The first in line is the one whose turn it is, and has no waker here.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
}

/// A place in the line. The next one's turn comes when it is dropped.
pub(super) struct Turn<'a> {
    turnstile: &'a Turnstile,
    number: u64,
}

impl Turnstile {
    /// Waits until all who came before have left.
    pub(super) async fn enter(&self) -> Turn<'_> {
        let mut turn = self.stand_in_line();
        poll_fn(|cx| turn.poll(cx)).await;
        turn
    }

    fn stand_in_line(&self) -> Turn<'_> {
        let mut line = self.line();
        let number = line.next;
        line.next += 1;
        line.waiting.insert(number, None);
        Turn {
            turnstile: self,
            number,
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock()
    }
}

impl Turn<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut line = self.turnstile.line();
        if line.is_first(self.number) {
            drop(line);
            return Poll::Ready(());
        }
        let before = line.waiting.insert(self.number, Some(waker));
        // Wakers are the user's code, in their drops too: after the lock.
        drop(line);
        drop(before);
        Poll::Pending
    }
}

impl Line {
    fn is_first(&self, number: u64) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(&first, _)| first == number)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (own, next) = {
            let mut line = self.turnstile.line();
            let own = line.waiting.remove(&self.number);
            let next = line.waiting.first_entry();
            (own, next.and_then(|mut next| next.get_mut().take()))
        };
        drop_quietly(own);
        wake(next);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_of_the_line_and_one_at_a_time() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter().now_or_never().expect("nobody is before");
        let (mut second, mut third) = (pin!(turnstile.enter()), pin!(turnstile.enter()));
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        assert!(poll!(&mut third).is_pending());
        let second = second.await;
        assert!(poll!(&mut third).is_pending());
        drop(second);
        drop(third.await);
        assert!(turnstile.line().waiting.is_empty());
    }

    #[tokio::test]
    async fn who_leaves_the_line_lets_the_next_one_in_and_takes_nobodys_turn() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter().await;
        let mut leaving = Box::pin(turnstile.enter());
        let mut granted = Box::pin(turnstile.enter());
        let mut last = pin!(turnstile.enter());
        assert!(poll!(&mut leaving).is_pending());
        assert!(poll!(&mut granted).is_pending());
        assert!(poll!(&mut last).is_pending());
        drop(leaving);
        assert!(poll!(&mut granted).is_pending());
        drop(first);
        // It is its turn, and it never hears of that.
        drop(granted);
        assert!(last.now_or_never().is_some());
        assert!(turnstile.line().waiting.is_empty());
    }
}
