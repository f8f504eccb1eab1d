//! The bytes between a connection and ureq: no more than are needed, and none while it waits.

/// What a connection has room for.
///
/// `input` holds what has come and was not used yet; `output` what is to be sent, from its
/// beginning. Both are empty vectors until they are needed.
#[derive(Debug)]
pub(super) struct Space {
    input: Vec<u8>,
    /// What is used of `input` ends at `start`, what has come at `end`.
    start: usize,
    end: usize,
    output: Vec<u8>,
    sizes: Sizes,
    /// What the input is made when it is needed next.
    input_size: usize,
    /// The last look at the input used some of it. If not, it is incomplete as it is.
    progress: bool,
}

/// How large the two may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The input, to begin with.
    pub(super) input: usize,
    /// The input, where a large body or a large head needs it.
    pub(super) largest_input: usize,
    pub(super) output: usize,
}

/// The size of a buffer to begin with, and for good where nothing large is read.
const SMALL: usize = 16 * 1024;

/// What the input may grow to: as much as ureq's own is from the beginning.
const LARGE: usize = 128 * 1024;

/// What ureq needs beyond the head of a response to see that it is not too large.
pub(super) const MARGIN: usize = 1024;

impl Sizes {
    /// Those that suit a configuration of ureq's.
    pub(super) fn of(config: &ureq::config::Config) -> Self {
        let head = config.max_response_header_size().saturating_add(MARGIN);
        Self {
            input: config.input_buffer_size().min(SMALL),
            largest_input: config.input_buffer_size().max(head).max(LARGE),
            // The head of a request has to fit.
            output: config.output_buffer_size(),
        }
    }
}

impl Space {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self {
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::new(),
            sizes,
            input_size: sizes.input,
            progress: false,
        }
    }

    /// Gives the memory back, if nothing is in it that is still wanted.
    pub(super) fn release(&mut self) {
        if self.unused().is_empty() {
            self.input = Vec::new();
            self.output = Vec::new();
            (self.start, self.end) = (0, 0);
            self.input_size = self.sizes.input;
        }
    }

    /// Gives back what a large head or a fast body has made it grow to.
    pub(super) fn shrink(&mut self) {
        if self.input.len() > self.sizes.input {
            self.release();
        }
    }

    /// What has come and was not used.
    pub(super) fn unused(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Whether it is worth looking at what has come before there is more.
    pub(super) fn is_usable(&self) -> bool {
        self.progress && !self.unused().is_empty()
    }

    pub(super) fn consume(&mut self, amount: usize) {
        assert!(amount <= self.unused().len(), "used what has not come");
        self.progress = amount > 0;
        self.start += amount;
    }

    /// Where to put what comes: at least one byte, unless the input is as large as it may be.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.make_room(1);
        &mut self.input[self.end..]
    }

    /// So much has come, into the room.
    ///
    /// A room that was filled to its end was too small for a body that is on its way: the next is
    /// larger.
    pub(super) fn filled(&mut self, amount: usize) {
        assert!(
            amount <= self.input.len() - self.end,
            "more has come than there was room for"
        );
        self.end += amount;
        if self.end == self.input.len() && amount == self.input_size {
            self.input_size = (2 * self.input_size).min(self.sizes.largest_input);
        }
    }

    /// Where to put what is to be sent.
    pub(super) fn output(&mut self) -> &mut [u8] {
        self.output.resize(self.sizes.output, 0);
        &mut self.output
    }

    /// The beginning of the output, which was written there before.
    pub(super) fn written(&self, amount: usize) -> &[u8] {
        &self.output[..amount]
    }

    /// Room of at least `least` bytes that are nobody's, and the output.
    pub(super) fn scratch_and_output(&mut self, least: usize) -> (&mut [u8], &mut [u8]) {
        self.output.resize(self.sizes.output, 0);
        if self.input.len() - self.end < least {
            self.compact();
            let wanted = self.end + least.max(self.input_size);
            self.input.resize(wanted, 0);
        }
        (&mut self.input[self.end..], &mut self.output)
    }

    fn make_room(&mut self, least: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.input.len() < self.input_size {
            self.input.resize(self.input_size, 0);
        }
        if self.input.len() - self.end < least {
            self.compact();
        }
        if self.input.len() - self.end < least {
            let larger = (2 * self.input.len()).min(self.sizes.largest_input);
            self.input.resize(larger.max(self.input.len()), 0);
        }
    }

    /// Moves what was not used to the beginning.
    fn compact(&mut self) {
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const SIZES: Sizes = Sizes {
        input: 4,
        largest_input: 32,
        output: 8,
    };

    fn come(space: &mut Space, data: &[u8]) {
        let room = space.room();
        let amount = data.len().min(room.len());
        room[..amount].copy_from_slice(&data[..amount]);
        space.filled(amount);
    }

    #[test]
    fn it_takes_no_memory_until_it_is_used_nor_after_it_was() {
        let mut space = Space::new(SIZES);
        assert_eq!((space.input.capacity(), space.output.capacity()), (0, 0));
        come(&mut space, b"abc");
        space.output()[0] = 1;
        space.release();
        assert_eq!(space.unused(), b"abc", "still wanted");
        space.consume(3);
        space.release();
        assert_eq!((space.input.capacity(), space.output.capacity()), (0, 0));
    }

    #[test]
    fn a_head_that_is_larger_than_the_input_makes_it_grow_to_its_limit_and_no_further() {
        let mut space = Space::new(SIZES);
        let mut all = Vec::new();
        for byte in 0..32 {
            come(&mut space, &[byte]);
            all.push(byte);
        }
        assert_eq!(space.unused(), all);
        assert!(space.room().is_empty());
    }

    #[test]
    fn a_fast_body_is_given_larger_reads() {
        let mut space = Space::new(SIZES);
        for expected in [4, 8, 16, 32, 32] {
            let room = space.room().len();
            assert_eq!(room, expected);
            space.filled(room);
            space.consume(room);
        }
        space.shrink();
        assert_eq!(space.room().len(), 4, "the next may be small again");
    }

    #[test]
    fn scratch_does_not_overwrite_what_has_come() {
        let mut space = Space::new(SIZES);
        come(&mut space, b"abc");
        let (scratch, output) = space.scratch_and_output(10);
        assert!(scratch.len() >= 10 && output.len() == 8);
        scratch.fill(b'x');
        output.fill(b'y');
        assert_eq!(space.unused(), b"abc");
        assert_eq!(space.written(2), b"yy");
    }

    proptest! {
        /// Against a queue: what goes in comes out, in order, whatever is done in between.
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((0_u8..4, 0_usize..40), 1..200)) {
            let mut space = Space::new(SIZES);
            let mut queue = VecDeque::new();
            let mut next = 0_u8;
            for (what, amount) in steps {
                match what {
                    0 => {
                        let room = space.room();
                        let amount = amount.min(room.len());
                        for byte in &mut room[..amount] {
                            *byte = next;
                            queue.push_back(next);
                            next = next.wrapping_add(1);
                        }
                        space.filled(amount);
                    }
                    1 => {
                        let amount = amount.min(queue.len());
                        space.consume(amount);
                        queue.drain(..amount);
                    }
                    2 => space.scratch_and_output(amount).0.fill(0xff),
                    _ => space.release(),
                }
                prop_assert!(space.unused().iter().eq(queue.iter()));
            }
        }
    }
}
