//! The stack of a sleeping thread, taken from another one: `src/stall/stack`, compiled as it is.
//!
//! What is promised: it reaches the beginning of the thread, names the function that blocks and its line,
//! and says less rather than something wrong where that cannot be had.

#![cfg(all(feature = "stall-stacks", target_os = "linux", target_arch = "x86_64"))]

mod blocked;
mod looking;
mod programs;
mod threads;

#[path = "../../src/sync.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the crate's own file, of which little is used here"
)]
mod sync;

#[path = "../../src/stall"]
mod stall {
    #[path = "stack/mod.rs"]
    #[expect(
        unreachable_pub,
        unused_imports,
        reason = "public in the crate, and not here"
    )]
    pub(crate) mod stack;

    /// In the place of the watchdog, which alone may do that.
    pub(crate) fn stack_of(thread: u32, sp: u64, pc: u64) -> Option<stack::Stack> {
        let mut modules = stack::Modules::now().ok()?;
        let walked = stack::capture(thread, sp, pc)?.walk(&mut modules);
        assert_eq!(walked.print(), walked.clone().print());
        Some(walked.stack())
    }

    /// What the report says of it.
    pub(crate) fn blamed(stack: &stack::Stack) -> Option<(String, bool)> {
        stack.blamed()
    }
}
