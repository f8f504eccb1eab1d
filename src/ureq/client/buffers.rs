//! Buffers that come back when whoever read them drops them.

use bytes::Bytes;

use super::hand_over::FULL;
use crate::sync::{Arc, Mutex, Weak};

/// Chunks of less than this, or of less than half a buffer, are copied, rather than that they hold
/// on to all of it.
const SMALL: usize = 4 << 10;

type Spares = Mutex<Vec<Box<[u8]>>>;

/// Makes chunks of what is read, of a size at the most.
pub(super) struct Buffers {
    spares: Arc<Spares>,
    size: usize,
    /// How many bytes are still to come, where that is known.
    left: Option<u64>,
    current: Box<[u8]>,
}

impl Buffers {
    /// `size` is that of a full buffer; `expected` is how many bytes there will be in all, where
    /// that is known.
    pub(super) fn new(size: usize, expected: Option<u64>) -> Self {
        Self {
            spares: Arc::default(),
            size,
            left: expected,
            current: Box::default(),
        }
    }

    /// Where to read the next bytes to; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.current.is_empty() {
            let spare = self.spares.lock().pop();
            self.current = spare.unwrap_or_else(|| vec![0; self.wanted()].into());
        }
        &mut self.current
    }

    fn wanted(&self) -> usize {
        let left = self.left.and_then(|left| usize::try_from(left).ok());
        // Where all has come there is still the end to be read.
        left.map_or(self.size, |left| left.clamp(1, self.size))
    }

    /// What was read last, `count` bytes of the room, and how much memory it holds on to.
    pub(super) fn chunk(&mut self, count: usize) -> (Bytes, usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        if count < SMALL || count < self.current.len() / 2 {
            return (Bytes::copy_from_slice(&self.current[..count]), count);
        }
        let size = self.current.len();
        let chunk = Bytes::from_owner(Chunk {
            buffer: std::mem::take(&mut self.current),
            count,
            spares: Arc::downgrade(&self.spares),
        });
        (chunk, size)
    }
}

/// A buffer while it is in the hands of the user.
struct Chunk {
    buffer: Box<[u8]>,
    count: usize,
    spares: Weak<Spares>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.count]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Some(spares) = self.spares.upgrade() else {
            return;
        };
        let mut spares = spares.lock();
        // As many as may be in use at once.
        if (spares.len() + 1) * self.buffer.len() <= FULL {
            spares.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_its_chunk_is_dropped() {
        let mut buffers = Buffers::new(64 << 10, None);
        let first = buffers.room().as_ptr();
        let (chunk, _) = buffers.chunk(64 << 10);
        assert_eq!(chunk.as_ptr(), first);
        assert_ne!(buffers.room().as_ptr(), first, "it is in use");
        let (second, _) = buffers.chunk(64 << 10);
        drop(chunk);
        assert_eq!(buffers.room().as_ptr(), first);
        drop(second);
    }

    #[test]
    fn a_small_chunk_does_not_hold_on_to_a_buffer() {
        let mut buffers = Buffers::new(64 << 10, None);
        let room = buffers.room().as_ptr();
        let (chunk, weight) = buffers.chunk(100);
        assert_ne!(chunk.as_ptr(), room);
        assert_eq!(weight, 100);
        assert_eq!(buffers.room().as_ptr(), room);
    }

    #[test]
    fn a_body_that_is_known_to_be_small_gets_a_small_buffer() {
        assert_eq!(Buffers::new(64 << 10, Some(100)).room().len(), 100);
        assert_eq!(Buffers::new(64 << 10, Some(0)).room().len(), 1);
        let mut buffers = Buffers::new(64 << 10, Some(5_000));
        assert_eq!(buffers.room().len(), 5_000);
        let (_in_use, _) = buffers.chunk(5_000);
        assert_eq!(buffers.room().len(), 1, "for the end of it");
        assert_eq!(
            Buffers::new(64 << 10, Some(u64::MAX)).room().len(),
            64 << 10
        );
    }

    #[test]
    fn a_chunk_outlives_its_buffers() {
        let mut buffers = Buffers::new(8 << 10, None);
        buffers.room().fill(7);
        let (chunk, weight) = buffers.chunk(6 << 10);
        assert_eq!(weight, 8 << 10);
        drop(buffers);
        assert_eq!(&chunk[..], &[7; 6 << 10]);
    }
}
