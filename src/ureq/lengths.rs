//! Where a head says that its body ends: after so many bytes, or after the last of its chunks.
//!
//! If it says both, one of them is a lie, perhaps to have the rest taken for another answer. ureq goes by
//! the chunks, as it has to, and keeps the connection; and where it decompresses the body nobody sees the
//! length afterwards. So this is looked for where the head comes in.

/// What was found in a head, as far as that has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lengths {
    /// How many of its bytes were looked at: lines that are whole.
    read: usize,
    has_begun: bool,
    is_over: bool,
    length: bool,
    coding: bool,
}

impl Lengths {
    /// Looks at a head, as far as it has come. It begins where it began the last time.
    pub(super) fn look(&mut self, head: &[u8]) {
        while !self.is_over {
            let rest = head.get(self.read..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return;
            };
            self.read += end + 1;
            self.look_at_line(rest[..end].trim_ascii_end());
        }
    }

    /// Whether it says two things.
    pub(super) fn are_two(&self) -> bool {
        self.length && self.coding
    }

    fn look_at_line(&mut self, line: &[u8]) {
        // Empty lines before an answer are not its end.
        self.is_over = self.has_begun && line.is_empty();
        self.has_begun |= !line.is_empty();
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        self.length |= name.eq_ignore_ascii_case(b"content-length");
        self.coding |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_head_both_are_found_and_of_a_body_none_however_it_comes() {
        let length = "Content-Length: 5\r\n";
        let coding = "TRANSFER-encoding:chunked\n";
        let other = "X-Content-Length: Transfer-Encoding: 1\r\nTransfer-Encodings: 2\r\n";
        for (head, are_two) in [
            (other.to_owned(), false),
            (format!("{length}{other}"), false),
            (format!("{other}{coding}{coding}"), false),
            (format!("{length}{other}{coding}"), true),
            (format!("{coding}{length}"), true),
            (format!("{length}\r\n{coding}\r\n"), false),
            (format!("{coding}\n{length}\n"), false),
        ] {
            let all = format!("\r\n\nHTTP/1.1 200 OK\r\n{head}\r\nhello\r\n");
            for piece in [1, 2, 3, 40, all.len()] {
                let mut lengths = Lengths::default();
                for come in (1..=all.len()).filter(|come| come % piece == 0) {
                    lengths.look(&all.as_bytes()[..come]);
                }
                lengths.look(all.as_bytes());
                assert_eq!(lengths.are_two(), are_two, "{all:?}, {piece}");
            }
            // What is left of the input when its head is taken out is not looked at.
            let mut lengths = Lengths::default();
            lengths.look(all.as_bytes());
            let found = lengths.are_two();
            lengths.look(format!("{length}{coding}").repeat(9).as_bytes());
            assert_eq!(lengths.are_two(), found, "{all:?}");
        }
    }
}
