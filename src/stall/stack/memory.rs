//! Memory of this process, read as a file. What is not mapped gives an error, not a crash.

use std::{fs::File, io, os::unix::fs::FileExt};

/// All of it, as it is now.
#[derive(Debug)]
pub(super) struct Live(File);

impl Live {
    /// Fails in a process that may not look into itself, because it has given up being *dumpable*.
    pub(super) fn open() -> io::Result<Self> {
        File::open("/proc/self/mem").map(Self)
    }

    /// At most `length` bytes, and fewer where what is mapped ends before.
    pub(super) fn read(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut read = 0;
        // The kernel copies page by page, and may be interrupted between two.
        while read < length {
            let at = address.checked_add(read as u64)?;
            match self.0.read_at(&mut bytes[read..], at) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        bytes.truncate(read);
        (read > 0).then_some(bytes)
    }

    /// `N` bytes, all of them.
    pub(super) fn array<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.array(address).map(u64::from_le_bytes)
    }
}

/// A part of it, as it was when it was copied.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

impl Copied {
    /// The first address that was not copied.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let eight = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(eight.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mapped_is_not_read() {
        let live = Live::open().expect("a test may look into itself");
        assert_eq!(live.read(0, 8), None);
        assert_eq!(live.read(u64::MAX - 3, 8), None);
        assert_eq!(live.read(1 << 63, 8), None);
        assert_eq!(live.word(8), None);
    }

    #[test]
    fn a_copy_has_words_as_far_as_it_goes() {
        let copied = Copied {
            start: 0x1000,
            bytes: (0..24).collect(),
        };
        assert_eq!(copied.word(0x1008), Some(0x0f0e_0d0c_0b0a_0908));
        assert_eq!(copied.word(0x1010).map(|word| word & 0xff), Some(16));
        for address in [0, 0xfff, 0x1011, 0x1018, u64::MAX] {
            assert_eq!(copied.word(address), None, "{address:#x}");
        }
    }
}
