//! What blocks the threads of a runtime.

#[cfg(feature = "stall-stacks")]
#[expect(
    dead_code,
    unused_imports,
    reason = "what takes a snapshot is not here yet"
)]
mod stack;

#[cfg(feature = "stall-stacks")]
pub use self::stack::{Confidence, End, Frame, Stack};
