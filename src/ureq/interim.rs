//! What a peer says before it answers: 1xx, one after the other.
//!
//! ureq skips each by itself, and a peer that has no end of them holds its thread for as long as the
//! call may take. So they are taken out where they come in, above TLS, and all of them together have
//! a limit. And where ureq waits for leave to send a body it takes one that has fields for the answer, as
//! soon as the first of these is there: so it is shown that leave and no other, and of none a part. What is
//! read here is no more than that: which they are, where one ends, and what follows. What is in their
//! fields is not looked at.

/// How many bytes there may be of all interim answers to one request: many thousands of them, or hints
/// as long as anybody sends.
pub(super) const MOST: usize = 1 << 20;

/// Leave to send a body. There is none that is shorter.
pub(super) const LEAVE: &[u8] = b"HTTP/1.1 100\n\n";

/// `HTTP/1.1 `: where the status begins.
const PROTOCOL: usize = 9;

/// `HTTP/1.1 100 `: as much of an answer as says which it is. More digits would make it another.
const BEGINNING: usize = PROTOCOL + 4;

/// What stands at the beginning of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How long the interim answers are that have come whole, all of them together.
    pub(super) whole: usize,
    /// Whether one of them is leave to send a body.
    pub(super) leave: bool,
    /// What follows them.
    pub(super) next: Next,
}

/// What has come, and is not an interim answer that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, or too little to tell.
    Unknown,
    /// A part of an interim answer.
    Part,
    /// The answer, with the first digit of its status. A change of protocols is one: nothing of HTTP
    /// follows it.
    Answer(u8),
    /// Something that is not HTTP. To say so is left to ureq.
    Other,
}

/// Looks for interim answers, up to the first that is none, or not whole.
pub(super) fn look(input: &[u8]) -> Found {
    let (mut whole, mut leave) = (0, false);
    loop {
        match first(&input[whole..]) {
            Ok((status, length)) => {
                whole += length;
                leave |= status == *b"100";
            }
            Err(next) => return Found { whole, leave, next },
        }
    }
}

/// The status of the interim answer with which an input begins, and its length; or what is there instead.
fn first(input: &[u8]) -> Result<([u8; 3], usize), Next> {
    // Empty lines before an answer are skipped by ureq as well.
    let is_end_of_line = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let empty = input.iter().take_while(is_end_of_line).count();
    let line = &input[empty..];
    let known = &line[..line.len().min(BEGINNING)];
    let is_http = known.iter().enumerate().all(|(at, byte)| fits(at, *byte));
    let status = match known.get(PROTOCOL..) {
        _ if !is_http => return Err(Next::Other),
        Some([b'1', b'0', b'1', _]) => return Err(Next::Answer(b'1')),
        Some([b'1', second, third, _]) => [b'1', *second, *third],
        None | Some([] | [b'1', ..]) => return Err(Next::Unknown),
        Some([digit, ..]) => return Err(Next::Answer(*digit)),
    };
    let length = end(&line[BEGINNING - 1..]).ok_or(Next::Part)?;
    Ok((status, empty + BEGINNING - 1 + length))
}

/// Whether a byte can stand there in the beginning of an answer.
fn fits(at: usize, byte: u8) -> bool {
    match at {
        ..7 => byte == b"HTTP/1."[at],
        7 => matches!(byte, b'0' | b'1'),
        8 => byte == b' ',
        9..12 => byte.is_ascii_digit(),
        _ => matches!(byte, b' ' | b'\r' | b'\n'),
    }
}

/// Where a head ends, of which this is the rest: after an empty line. That lines may end without `\r` is
/// known to ureq as well.
fn end(head: &[u8]) -> Option<usize> {
    let mut is_empty = false;
    for (read, byte) in head.iter().enumerate() {
        match byte {
            b'\n' if is_empty => return Some(read + 1),
            b'\n' => is_empty = true,
            b'\r' => {}
            _ => is_empty = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";

    #[test]
    fn those_that_are_whole_are_found_up_to_what_is_none() {
        use Next::{Answer, Other, Part, Unknown};

        let leave = "HTTP/1.1 100 Continue\r\n\r\n";
        let leave_with_fields = "HTTP/1.1 100 Continue\r\nServer: x\r\n\r\n";
        let hints = "\r\nHTTP/1.1 103 Early Hints\r\nLink: </1>\r\nLink: </2>\r\n\r\n";
        let processing = "HTTP/1.0 102\n\n";
        let all = [
            leave,
            hints,
            processing,
            "\r\n\nHTTP/1.1 100 Continue\r\n\n",
        ]
        .concat();
        for (whole, is_leave) in [
            ("", false),
            (hints, false),
            (processing, false),
            (leave, true),
            (leave_with_fields, true),
            (&all, true),
            (&all.repeat(50), true),
        ] {
            for (after, next) in [
                ("", Unknown),
                ("\r\n", Unknown),
                ("HTTP/1.", Unknown),
                ("HTTP/1.1 1", Unknown),
                ("HTTP/1.1 100", Unknown),
                ("HTTP/1.1 100 Continue\r\n", Part),
                ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n", Part),
                ("\nHTTP/1.0 199\r", Part),
                (ANSWER, Answer(b'2')),
                ("HTTP/1.1 4", Answer(b'4')),
                ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Answer(b'1')),
                ("HTTP/1.1 1000 Continue\r\n\r\n", Other),
                ("HTTP/1.1 1x0 Continue\r\n\r\n", Other),
                ("HTTP/1.x 103 Early Hints\r\n\r\n", Other),
                ("HTTP/1.1x103 Early Hints\r\n\r\n", Other),
                ("ICY/1.11 100 Continue\r\n\r\n", Other),
                ("ICY", Other),
            ] {
                let found = look((whole.to_owned() + after).as_bytes());
                let expected = Found {
                    whole: whole.len(),
                    leave: is_leave,
                    next,
                };
                assert_eq!(found, expected, "{whole:?}, {after:?}");
            }
        }
        assert_eq!(look(LEAVE).whole, LEAVE.len());
    }

    #[test]
    fn of_an_input_that_is_cut_those_are_found_that_are_whole() {
        let one = "HTTP/1.1 103 Early Hints\r\nLink: </1>\r\n\r\n";
        let all = one.repeat(3) + ANSWER;
        for cut in 0..all.len() {
            let found = look(&all.as_bytes()[..cut]);
            let whole = (cut / one.len()).min(3) * one.len();
            assert_eq!(found.whole, whole, "{cut}");
            let next = match cut - whole {
                ..10 => Next::Unknown,
                _ if whole == 3 * one.len() => Next::Answer(b'2'),
                10..BEGINNING => Next::Unknown,
                _ => Next::Part,
            };
            assert_eq!(found.next, next, "{cut}");
        }
    }
}
