//! Buffers that come back when whoever read them drops them.

use bytes::Bytes;

use crate::sync::{Arc, Mutex, Weak};

/// How many buffers wait for their next use.
const SPARE: usize = 4;

/// Chunks that fill less than this are copied, rather than that they hold on to a whole buffer.
const SMALL: usize = 4 << 10;

type Spares = Mutex<Vec<Box<[u8]>>>;

/// Makes chunks of what is read, of a size at the most.
pub(super) struct Buffers {
    spares: Arc<Spares>,
    size: usize,
    current: Box<[u8]>,
}

impl Buffers {
    /// `size` is that of a full buffer; `expected` is how many bytes there will be in all, where
    /// that is known.
    pub(super) fn new(size: usize, expected: Option<u64>) -> Self {
        let first = expected
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map_or(size, |bytes| bytes.clamp(1, size));
        Self {
            spares: Arc::default(),
            size,
            current: vec![0; first].into(),
        }
    }

    /// Where to read the next bytes to; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.current.is_empty() {
            let spare = self.spares.lock().pop();
            self.current = spare.unwrap_or_else(|| vec![0; self.size].into());
        }
        &mut self.current
    }

    /// What was read last, `count` bytes of the room.
    pub(super) fn chunk(&mut self, count: usize) -> Bytes {
        if count < SMALL || count < self.current.len() / 4 {
            return Bytes::copy_from_slice(&self.current[..count]);
        }
        Bytes::from_owner(Chunk {
            buffer: std::mem::take(&mut self.current),
            count,
            spares: Arc::downgrade(&self.spares),
        })
    }

    /// Lets go of what is only kept to be quicker, for a pause.
    pub(super) fn rest(&mut self) {
        self.current = Box::default();
        let spares = std::mem::take(&mut *self.spares.lock());
        drop(spares);
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
        if spares.len() < SPARE {
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
        let chunk = buffers.chunk(64 << 10);
        assert_eq!(chunk.as_ptr(), first);
        assert_ne!(buffers.room().as_ptr(), first, "it is in use");
        let second = buffers.chunk(64 << 10);
        drop(chunk);
        assert_eq!(buffers.room().as_ptr(), first);
        drop(second);
    }

    #[test]
    fn a_small_chunk_does_not_hold_on_to_a_buffer() {
        let mut buffers = Buffers::new(64 << 10, None);
        let room = buffers.room().as_ptr();
        assert_ne!(buffers.chunk(100).as_ptr(), room);
        assert_eq!(buffers.room().as_ptr(), room);
    }

    #[test]
    fn a_body_that_is_known_to_be_small_gets_a_small_buffer() {
        assert_eq!(Buffers::new(64 << 10, Some(100)).room().len(), 100);
        assert_eq!(Buffers::new(64 << 10, Some(0)).room().len(), 1);
        assert_eq!(
            Buffers::new(64 << 10, Some(u64::MAX)).room().len(),
            64 << 10
        );
    }

    #[test]
    fn a_chunk_outlives_its_buffers() {
        let mut buffers = Buffers::new(8 << 10, None);
        buffers.room().fill(7);
        let chunk = buffers.chunk(8 << 10);
        drop(buffers);
        assert_eq!(&chunk[..], &[7; 8 << 10]);
    }
}
