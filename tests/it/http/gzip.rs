//! What a peer has in gzip, made here: a body of known bytes, and one that is mostly air.

use std::io::{self, Write};

/// A stream of bits, as deflate and Brotli have them: the lowest of a byte first.
#[derive(Default)]
pub(super) struct Bits {
    pub(super) bytes: Vec<u8>,
    hold: u64,
    held: u32,
}

impl Bits {
    pub(super) fn put(&mut self, code: u32, bits: u32) {
        self.hold |= u64::from(code) << self.held;
        self.held += bits;
        while self.held >= 8 {
            self.bytes.push(self.hold as u8);
            self.hold >>= 8;
            self.held -= 8;
        }
    }

    /// A code of a tree, which has its highest bit first.
    fn put_code(&mut self, code: u32, bits: u32) {
        self.put(code.reverse_bits() >> (32 - bits), bits);
    }
}

const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// So many zeros and a few more, and without an end: whoever comes so far has gone too far.
///
/// One literal, and then matches of 258 bytes, 13 bits for each. Eight of them are whole bytes again.
pub(super) struct Zeros {
    start: Vec<u8>,
    again: Vec<u8>,
    times: usize,
}

impl Zeros {
    const MATCHES: usize = 8 * 1_000;

    pub(super) fn new(length: usize) -> Self {
        let mut bits = Bits {
            bytes: HEAD.to_vec(),
            ..Bits::default()
        };
        bits.put(1, 1); // The last block,
        bits.put(1, 2); // with fixed codes.
        bits.put_code(0b0011_0000, 8); // A zero.
        let mut some = || {
            for _ in 0..Self::MATCHES {
                bits.put_code(0b1100_0101, 8); // 258 bytes
                bits.put(0, 5); // from one byte back.
            }
            std::mem::take(&mut bits.bytes)
        };
        Self {
            start: some(),
            again: some(),
            times: length / 258 / Self::MATCHES,
        }
    }

    pub(super) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.start)?;
        for _ in 0..self.times {
            to.write_all(&self.again)?;
        }
        Ok(())
    }
}

/// Bytes in gzip, stored as they are, in two blocks; and where the first of them ends.
pub(super) fn stored(first: &[u8], second: &[u8]) -> (Vec<u8>, usize) {
    // What a block begins with.
    let middle = HEAD.len() + 5 + first.len();
    (blocks(&[first, second]), middle)
}

/// The same in any number of blocks, each of no more than 65,535 bytes.
pub(super) fn blocks(blocks: &[&[u8]]) -> Vec<u8> {
    let mut all = HEAD.to_vec();
    for (block, data) in blocks.iter().enumerate() {
        let length = u16::try_from(data.len()).unwrap();
        all.push(u8::from(block + 1 == blocks.len()));
        all.extend(length.to_le_bytes());
        all.extend((!length).to_le_bytes());
        all.extend(*data);
    }
    let data = blocks.concat();
    let mut checksum = !0_u32;
    for byte in &data {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0xedb8_8320 * (checksum & 1));
        }
    }
    all.extend((!checksum).to_le_bytes());
    let length = u32::try_from(data.len()).unwrap();
    all.extend(length.to_le_bytes());
    all
}
