//! What a thread was in the middle of, copied.

use std::{fs, sync::Arc};

use super::{
    frame::Frame,
    memory::{Copied, Live},
    modules::Modules,
    trace::{Stack, Trace},
    unwind,
};

/// So much of a stack is copied at the most. In a development build, a request of an HTTP client over
/// TLS within a few tasks takes half of it.
const DEPTH: usize = 64 * 1024;

/// A copy of the upper part of a thread's stack. A clone is cheap.
#[derive(Clone, Debug)]
pub(in crate::stall) struct Snapshot(Arc<Copy>);

#[derive(Debug)]
struct Copy {
    stack: Copied,
    pc: u64,
}

/// Copies the stack of a thread of this process that sleeps with these two registers, which are from
/// its `/proc/self/task/<thread>/syscall`.
///
/// It takes some tens of microseconds, copies 64 KiB at the most, and looks up nothing. `None` if the
/// thread does not sleep there any more once the copy is made, if it has ended, or if this process may
/// not look into itself.
///
/// **It may have been awake meanwhile and be back in the same place.** So whoever calls this has to look
/// whether it is still the same sleep afterwards (how often the thread was given a processor, in its
/// `schedstat`, has not changed since before), and throw the snapshot away if it is not.
pub(in crate::stall) fn capture(thread: u32, sp: u64, pc: u64) -> Option<Snapshot> {
    let stack = Copied {
        start: sp,
        bytes: Live::open().ok()?.read(sp, DEPTH)?,
    };
    sleeps_there(thread, sp, pc).then(|| Snapshot(Arc::new(Copy { stack, pc })))
}

/// The last two fields are the stack pointer and the program counter.
fn sleeps_there(thread: u32, sp: u64, pc: u64) -> bool {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    text.is_ok_and(|text| text.trim_end().ends_with(&format!(" {sp:#x} {pc:#x}")))
}

impl Snapshot {
    /// The functions on it. Nothing is looked up before they are asked for.
    pub(in crate::stall) fn stack(&self) -> Stack {
        Stack::of(self.clone())
    }

    /// Looks up the functions, with names and lines.
    pub(super) fn read(&self) -> Trace {
        let Copy { stack, pc } = &*self.0;
        let Ok(mut modules) = Modules::now() else {
            return Trace::default();
        };
        // Less has been read where nothing is mapped behind the stack. Where something is, it was copied as
        // well, and is not reached: the thread begins before it.
        let whole = stack.bytes.len() < DEPTH;
        let (found, end) = unwind::walk(stack, whole, *pc, &mut modules);
        let mut frames = Vec::with_capacity(2 * found.len());
        for function in found {
            let names = function.module.names(function.address);
            frames.extend(names.iter().cloned().map(|name| Frame {
                function: name.function,
                file: name.file,
                line: name.line,
                column: name.column,
                module: function.module.name().to_owned(),
                address: function.address,
                inlined: name.inlined,
                confidence: function.confidence,
            }));
        }
        Trace { frames, end }
    }
}
