//! Cancellation: a flag, and hooks that interrupt what a thread blocks in.
//!
//! A blocking thread cannot be stopped from outside; it can be *asked* (the flag, which its code
//! looks at) and what it blocks in can be *interrupted* (the hooks: shut a socket, interrupt a
//! query, kill a child process). Every job has both; a [`CancelToken`] is the same thing on its own,
//! for cancelling many jobs at once.

mod hooks;
mod token;

pub(crate) use self::hooks::{Cancel, Cancels, on_cancel};
pub use self::{hooks::HookGuard, token::CancelToken};
