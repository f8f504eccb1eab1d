//! Reading the memory of this process where another thread's arguments point to.
//!
//! Through `/proc/self/mem`, which answers an address that is not there with an error.

use std::{fs::File, os::unix::fs::FileExt};

/// The bytes at an address, as many as there are up to `wanted`.
pub(super) fn bytes(address: u64, wanted: usize) -> Option<Vec<u8>> {
    if address == 0 {
        return None;
    }
    let memory = File::open("/proc/self/mem").ok()?;
    let mut bytes = vec![0; wanted];
    let read = memory.read_at(&mut bytes, address).ok()?;
    bytes.truncate(read);
    Some(bytes)
}

/// The text up to the zero at its end.
pub(super) fn text(address: u64) -> Option<Vec<u8>> {
    const LONGEST: usize = 4096;
    let mut bytes = bytes(address, LONGEST)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    bytes.truncate(end);
    Some(bytes)
}

/// Two numbers, as in a `timespec`.
pub(super) fn pair(address: u64) -> Option<(i64, i64)> {
    let bytes = bytes(address, 16)?;
    let number = |at: usize| {
        let eight = bytes.get(at..at + 8)?;
        Some(i64::from_ne_bytes(eight.try_into().ok()?))
    };
    Some((number(0)?, number(8)?))
}

/// The descriptors of the `pollfd`s.
pub(super) fn polled(address: u64, count: u64) -> Option<Vec<i32>> {
    const EACH: usize = 8;
    let count = usize::try_from(count).ok()?.min(64);
    let bytes = bytes(address, count * EACH)?;
    let fds = bytes.chunks_exact(EACH).filter_map(|entry| {
        let four = entry.get(..4)?;
        Some(i32::from_ne_bytes(four.try_into().ok()?))
    });
    Some(fds.collect())
}
