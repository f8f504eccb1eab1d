//! Scopes that may block.

use super::{slot::Slot, strict};

/// Runs a closure that may block this thread: no [`Watch`](super::Watch) and no
/// [`deny`](super::deny) reports what happens in it.
///
/// For what is known and accepted, such as files that are read once at the start. The reason is for
/// whoever reads the code next. What takes long enough to be reported usually had better go behind
/// [`offload`](crate::offload).
///
/// # Panics
///
/// Only if the closure panics.
///
/// # Examples
///
/// ```
/// use longshore::stall;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let manifest = stall::allow("once, at the start", || std::fs::read_to_string("Cargo.toml"))?;
/// assert!(manifest.contains("[package]"));
/// # Ok(())
/// # }
/// ```
pub fn allow<T>(reason: &str, closure: impl FnOnce() -> T) -> T {
    let _ = reason;
    let mut closure = Some(closure);
    let value = Slot::mine(|slot| {
        let _allowed = slot.allow();
        strict::excusing(|| closure.take().map(|closure| closure()))
    });
    match value {
        Some(Some(value)) => value,
        // The thread ends: nobody looks at it any more.
        _ => closure.take().expect("it did not run yet")(),
    }
}
