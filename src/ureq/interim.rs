//! What a peer says before it answers: 1xx, one after the other.
//!
//! ureq skips each by itself, and a peer that has no end of them holds its thread for as long as the
//! call may take. So they are counted where they come in, above TLS, and all of them together have
//! a limit. What is read here is only where one ends and whether another follows: what they say is for
//! ureq to make sense of.

/// How many bytes there may be of all interim answers to one request: many thousands of them, or hints
/// as long as anybody sends.
pub(super) const MOST: usize = 1 << 20;

/// `HTTP/1.1 1`: with the first digit of the status it is clear whether more is to come.
const BEGINNING: usize = 10;

/// Follows what comes on a connection, from a request to the beginning of its answer.
#[derive(Debug, Default)]
pub(super) struct Interim {
    at: At,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Nothing was asked yet, or the answer itself has begun.
    #[default]
    Elsewhere,
    /// So many bytes into a status line of which it is not known yet whose it is.
    Beginning(usize),
    /// In an interim answer, with so many bytes in its current line.
    Within(usize),
}

impl Interim {
    /// Something of a request is sent. The interim answers go on where they were if this is its body,
    /// for which the peer was asked for leave.
    pub(super) fn asked(&mut self) {
        if self.at == At::Elsewhere {
            *self = Self {
                at: At::Beginning(0),
                bytes: 0,
            };
        }
    }

    /// More has come. Returns how many bytes of it and of what came before belong to interim
    /// answers.
    pub(super) fn heard(&mut self, more: &[u8]) -> usize {
        for &byte in more {
            self.at = match (self.at, byte) {
                (At::Elsewhere, _) => break,
                // Empty lines before an answer are skipped by ureq as well.
                (At::Beginning(0), b'\r' | b'\n') => At::Beginning(0),
                (At::Beginning(read), _) if read + 1 < BEGINNING => At::Beginning(read + 1),
                (At::Beginning(_), b'1') => At::Within(BEGINNING),
                (At::Beginning(_), _) => At::Elsewhere,
                // An empty line is the end. That lines may end without `\r` is known to ureq as well.
                (At::Within(0), b'\n') => At::Beginning(0),
                (At::Within(_), b'\n') => At::Within(0),
                (At::Within(line), b'\r') => At::Within(line),
                (At::Within(line), _) => At::Within(line + 1),
            };
            self.bytes += 1;
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";

    fn heard(answers: &str) -> Interim {
        let mut interim = Interim::default();
        interim.asked();
        interim.heard(answers.as_bytes());
        interim
    }

    #[test]
    fn an_answer_ends_it_with_its_first_line() {
        let interim = heard(&ANSWER.repeat(1_000));
        assert_eq!((interim.at, interim.bytes), (At::Elsewhere, BEGINNING));
    }

    #[test]
    fn one_after_the_other_is_counted_until_the_answer() {
        for one in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </1>\r\nLink: </2>\r\n\r\n",
            "HTTP/1.1 102 Processing\n\n",
            "\r\n\nHTTP/1.1 100 Continue\r\n\n",
        ] {
            for count in [1, 2, 50] {
                let storm = one.repeat(count);
                assert_eq!(heard(&storm).bytes, storm.len());
                let interim = heard(&(storm.clone() + ANSWER));
                assert_eq!(interim.bytes, storm.len() + BEGINNING, "{one:?}");
                assert_eq!(interim.at, At::Elsewhere);
            }
        }
    }

    #[test]
    fn the_next_request_begins_anew_and_a_body_does_not() {
        let mut interim = heard("HTTP/1.1 100 Cont");
        interim.asked();
        assert_eq!(interim.heard(b"inue\r\n\r\n"), 25);
        interim.heard(ANSWER.as_bytes());
        interim.asked();
        assert_eq!(interim.heard(b"HTTP/1.1 1"), BEGINNING);
    }

    #[test]
    fn nothing_is_counted_that_nobody_asked_for() {
        assert_eq!(Interim::default().heard(b"HTTP/1.1 100 Continue\r\n"), 0);
    }

    proptest! {
        /// However it is cut into pieces on its way.
        #[test]
        fn the_pieces_in_which_it_comes_make_no_difference(
            cuts in proptest::collection::vec(1_usize..40, 0..40),
            count in 0_usize..5,
        ) {
            let whole = "HTTP/1.1 103 Early Hints\r\nLink: </1>\r\n\r\n".repeat(count) + ANSWER;
            let mut pieces = Interim::default();
            pieces.asked();
            let mut rest = whole.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.heard(piece);
                rest = after;
            }
            pieces.heard(rest);
            let at_once = heard(&whole);
            prop_assert_eq!((pieces.at, pieces.bytes), (at_once.at, at_once.bytes));
        }
    }
}
