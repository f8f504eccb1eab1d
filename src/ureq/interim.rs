//! What a peer says before it answers: 1xx, one after the other.
//!
//! ureq skips each by itself, and a peer that has no end of them holds its thread for as long as the
//! call may take. So they are counted where they come in, above TLS, and all of them together have
//! a limit. And as ureq takes one that has fields for the answer where it waits for leave to send a body,
//! it is not shown those that are no such leave. What is read here is no more than that: which they are,
//! where one ends, and whether another follows.

/// How many bytes there may be of all interim answers to one request: many thousands of them, or hints
/// as long as anybody sends.
pub(super) const MOST: usize = 1 << 20;

/// `HTTP/1.1 1`: with the first digit of the status it is clear whether more is to come.
pub(super) const BEGINNING: usize = 10;

/// Leave to send a body. There is none that is shorter.
pub(super) const LEAVE: &[u8] = b"HTTP/1.1 100\n\n";

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
            if self.is_over() {
                break;
            }
            self.at = self.at.after(byte);
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

impl At {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Beyond, _) => Self::Beyond,
            // Empty lines before an answer are skipped by ureq as well.
            (Self::Beginning(0), b'\r' | b'\n') => Self::Beginning(0),
            (Self::Beginning(read), _) if read + 1 < BEGINNING => Self::Beginning(read + 1),
            (Self::Beginning(_), b'1') => Self::Within(BEGINNING),
            (Self::Beginning(_), _) => Self::Beyond,
            // An empty line is the end. That lines may end without `\r` is known to ureq as well.
            (Self::Within(0), b'\n') => Self::Beginning(0),
            (Self::Within(_), b'\n') => Self::Within(0),
            (Self::Within(line), b'\r') => Self::Within(line),
            (Self::Within(line), _) => Self::Within(line + 1),
        }
    }
}

/// The interim answers that stand complete at the beginning of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Complete {
    /// How long they are, all of them together.
    pub(super) bytes: usize,
    /// Whether one of them is leave to send a body.
    pub(super) leave: bool,
}

/// Looks for interim answers, up to the first that is not one, or not whole. A change of protocols is none
/// in this sense, as nothing of HTTP follows it.
pub(super) fn complete(input: &[u8]) -> Complete {
    let mut found = Complete::default();
    while let Some((status, length)) = first(&input[found.bytes..]) {
        found.bytes += length;
        found.leave |= status == *b"100";
    }
    found
}

/// The status of the interim answer with which an input begins, and its length.
fn first(input: &[u8]) -> Option<([u8; 3], usize)> {
    let empty = input
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let (line, after) = input[empty..].split_at_checked(BEGINNING + 2)?;
    let status: [u8; 3] = line[BEGINNING - 1..].try_into().ok()?;
    let is_status = line.starts_with(b"HTTP/1.") && status.iter().all(u8::is_ascii_digit);
    // More digits would make it another.
    let is_over = matches!(after.first()?, b' ' | b'\r' | b'\n');
    if status[0] != b'1' || status == *b"101" || !is_status || !is_over {
        return None;
    }
    let mut at = At::Within(line.len());
    for (read, &byte) in after.iter().enumerate() {
        at = at.after(byte);
        if at == At::default() {
            return Some((status, empty + line.len() + read + 1));
        }
    }
    None
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

    #[test]
    fn those_that_are_whole_are_found_up_to_what_is_none() {
        let leave = "HTTP/1.1 100 Continue\r\n\r\n";
        let leave_with_fields = "HTTP/1.1 100 Continue\r\nServer: x\r\n\r\n";
        let hints = "\r\nHTTP/1.1 103 Early Hints\r\nLink: </1>\r\n\r\n";
        let processing = "HTTP/1.0 102\n\n";
        let all = [leave, hints, processing].concat();
        for (whole, leaves) in [
            ("", false),
            (hints, false),
            (processing, false),
            (leave, true),
            (leave_with_fields, true),
            (&all, true),
        ] {
            for after in [
                "",
                ANSWER,
                "\r\n",
                "HTTP/1.1 1",
                "HTTP/1.1 100",
                "HTTP/1.1 100 Continue\r\n",
                "HTTP/1.1 101 Switching Protocols\r\n\r\n",
                "HTTP/1.1 1000 Continue\r\n\r\n",
                "HTTP/1.1 1x0 Continue\r\n\r\n",
                "ICY/1.11 100 Continue\r\n\r\n",
            ] {
                let found = complete((whole.to_owned() + after).as_bytes());
                let expected = Complete {
                    bytes: whole.len(),
                    leave: leaves,
                };
                assert_eq!(found, expected, "{whole:?}, {after:?}");
            }
        }
        assert_eq!(complete(LEAVE).bytes, LEAVE.len());
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
