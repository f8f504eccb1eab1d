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
pub(super) const BEGINNING: usize = 10;

/// Follows what comes on a connection, from a request to the beginning of its answer. What comes after
/// that is none of its business: for each request there is a new one.
#[derive(Debug, Default)]
pub(super) struct Interim {
    at: At,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes into a status line of which it is not known yet whose it is.
    Beginning(usize),
    /// In an interim answer, with so many bytes in its current line.
    Within(usize),
    /// In the answer itself.
    Beyond,
}

impl Default for At {
    fn default() -> Self {
        Self::Beginning(0)
    }
}

impl Interim {
    /// More has come. Returns how many bytes of it and of what came before belong to interim
    /// answers.
    pub(super) fn heard(&mut self, more: &[u8]) -> usize {
        for &byte in more {
            self.at = match (self.at, byte) {
                (At::Beyond, _) => break,
                // Empty lines before an answer are skipped by ureq as well.
                (At::Beginning(0), b'\r' | b'\n') => At::Beginning(0),
                (At::Beginning(read), _) if read + 1 < BEGINNING => At::Beginning(read + 1),
                (At::Beginning(_), b'1') => At::Within(BEGINNING),
                (At::Beginning(_), _) => At::Beyond,
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

    /// Whether the answer itself has begun. Then the last byte that was counted is the first digit of its
    /// status.
    pub(super) fn is_over(&self) -> bool {
        self.at == At::Beyond
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";

    fn heard(answers: &str) -> Interim {
        let mut interim = Interim::default();
        interim.heard(answers.as_bytes());
        interim
    }

    #[test]
    fn an_answer_ends_it_with_its_first_line() {
        let interim = heard(&ANSWER.repeat(1_000));
        assert_eq!((interim.at, interim.bytes), (At::Beyond, BEGINNING));
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
                assert_eq!(interim.at, At::Beyond);
            }
        }
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
