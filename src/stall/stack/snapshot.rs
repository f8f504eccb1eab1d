//! What a thread was in the middle of, copied.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    frame::Frame,
    memory::{Copied, Live},
    modules::Modules,
    trace::{End, Stack, Trace},
    unwind::{self, Found},
};

/// So much of a stack is copied at the most. In a development build, a request of an HTTP client over
/// TLS within a few tasks takes half of it.
const DEPTH: usize = 64 * 1024;

/// A copy of the upper part of a thread's stack.
#[derive(Debug)]
pub(in crate::stall) struct Snapshot {
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
    sleeps_there(thread, sp, pc).then_some(Snapshot { stack, pc })
}

/// The last two fields are the stack pointer and the program counter.
fn sleeps_there(thread: u32, sp: u64, pc: u64) -> bool {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    text.is_ok_and(|text| text.trim_end().ends_with(&format!(" {sp:#x} {pc:#x}")))
}

impl Snapshot {
    /// Its functions, without names, which are what takes long. It is done soon after the copy: what
    /// is mapped may be something else later.
    pub(in crate::stall) fn walk(&self, modules: &mut Modules) -> Walked {
        let Self { stack, pc } = self;
        // Less has been read where nothing is mapped behind the stack. Where something is, it was
        // copied as well, and is not reached: the thread begins before it.
        let whole = stack.bytes.len() < DEPTH;
        let (found, end) = unwind::walk(stack, whole, *pc, modules);
        Walked { found, end }
    }
}

/// The functions of a snapshot, as places in files.
#[derive(Clone, Debug)]
pub(in crate::stall) struct Walked {
    found: Vec<Found>,
    end: End,
}

impl Walked {
    /// The same for stacks of the same functions, called from the same places.
    pub(in crate::stall) fn print(&self) -> u64 {
        let mut print = DefaultHasher::new();
        for function in &self.found {
            (Arc::as_ptr(&function.module), function.address).hash(&mut print);
        }
        print.finish()
    }

    /// Nothing is looked up before it is asked for.
    pub(in crate::stall) fn stack(self) -> Stack {
        Stack::of(self)
    }

    pub(super) fn read(&self) -> Trace {
        let mut frames = Vec::with_capacity(2 * self.found.len());
        for function in &self.found {
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
        let end = self.end;
        Trace { frames, end }
    }
}
