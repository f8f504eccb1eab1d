//! Whether anybody waits for more of a body, as its worker sees it.
//!
//! A peer may send a little all the time, so that there is never a pause to ask in. So it is kept across
//! reads when somebody was last seen who waits. That a waker is here is a sign of that, but one that a
//! future may have left that is gone: it is doubted where nobody has been heard of for long.

use std::time::{Duration, Instant};

/// After how long whoever seems to wait is asked whether he still does.
const LONG: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Interest {
    /// Somebody has asked for more since the worker has looked.
    asked: bool,
    /// When the worker has seen last that somebody had.
    asked_at: Option<Instant>,
    /// When it has seen last that somebody waits, or seems to.
    wanted_at: Option<Instant>,
}

/// What the worker sees when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Somebody waits, or has asked a moment ago.
    Wanted,
    /// Somebody seems to wait, and should be woken to say so.
    Doubted,
    /// Nobody has waited for so long.
    Unwanted(Duration),
}

impl Interest {
    /// Somebody asks for more.
    pub(super) fn asks(&mut self) {
        self.asked = true;
    }

    /// Somebody seems to wait, and is woken: he has time to have his turn.
    pub(super) fn seems_there(&mut self, now: Instant) {
        self.wanted_at = Some(now);
    }

    /// The worker looks: is there a waker?
    pub(super) fn look(&mut self, has_waker: bool, now: Instant) -> Seen {
        if std::mem::take(&mut self.asked) {
            (self.asked_at, self.wanted_at) = (Some(now), Some(now));
            return Seen::Wanted;
        }
        let asked_at = *self.asked_at.get_or_insert(now);
        let wanted_at = *self.wanted_at.get_or_insert(now);
        if !has_waker {
            return Seen::Unwanted(now.saturating_duration_since(wanted_at));
        }
        self.wanted_at = Some(now);
        if now.saturating_duration_since(asked_at) < LONG {
            return Seen::Wanted;
        }
        self.asked_at = Some(now);
        Seen::Doubted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn whoever_has_not_waited_for_a_while_is_not_there() {
        let (mut interest, start) = (Interest::default(), Instant::now());
        assert_eq!(interest.look(false, start), Seen::Unwanted(Duration::ZERO));
        assert_eq!(
            interest.look(false, start + 10 * MS),
            Seen::Unwanted(10 * MS)
        );
        interest.asks();
        assert_eq!(interest.look(false, start + 70 * MS), Seen::Wanted);
        assert_eq!(interest.look(true, start + 90 * MS), Seen::Wanted);
        // He was woken, and has not had his turn yet.
        assert_eq!(interest.look(false, start + 91 * MS), Seen::Unwanted(MS));
        assert_eq!(
            interest.look(false, start + 140 * MS),
            Seen::Unwanted(50 * MS)
        );
    }

    #[test]
    fn whoever_has_not_been_heard_of_for_long_is_asked_and_given_time() {
        let (mut interest, start) = (Interest::default(), Instant::now());
        interest.asks();
        assert_eq!(interest.look(true, start), Seen::Wanted);
        assert_eq!(interest.look(true, start + LONG - MS), Seen::Wanted);
        assert_eq!(interest.look(true, start + LONG), Seen::Doubted);
        assert_eq!(interest.look(false, start + LONG + MS), Seen::Unwanted(MS));
        interest.asks();
        assert_eq!(interest.look(true, start + LONG + 2 * MS), Seen::Wanted);
        assert_eq!(interest.look(true, start + LONG * 2 + MS), Seen::Wanted);
    }
}
