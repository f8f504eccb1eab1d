//! The stack of a thread that sleeps, seen from another one.
//!
//! No signal is sent and the thread is not stopped. `/proc` says where its stack is and what it will
//! execute next; the stack is copied through `/proc/self/mem`; and what is needed to walk from a function
//! to its caller is in the executable files, put there for panics. So it needs no frame pointers, no
//! debug information and no special build. Names and lines are there as far as the files have them:
//!
//! | built | functions | lines |
//! |---|---|---|
//! | for development, or with `debug = "line-tables-only"` | all, inlined ones too | yes |
//! | as `cargo build --release` does | those that were not inlined | no |
//! | stripped | none: `shop+0x172a27`, for `addr2line` and a file that is not | no |
//!
//! # In three steps
//!
//! ```text
//! watchdog         looks: asleep   capture()   looks: the same sleep   walk()   keeps the stack
//! the thread       ──────────────── asleep ────────────────────────── …
//! whoever reads it                                                                stack.frames()
//! ```
//!
//! [`capture`] copies, and `walk` finds the functions, as places in the files that are mapped by
//! then: the tables of a file are read when one of its functions is first met, and are kept. A
//! [`Stack`] looks for names when it is read: the first time the symbols of the file are looked for,
//! which may take some hundred milliseconds for a large one that was built for development. It stays
//! mapped from then on, with the files of debug information that it names. (Whoever truncates one of
//! those while the program runs ends it with `SIGBUS`, as with any file that is mapped.)
//!
//! # What a snapshot does not have
//!
//! The registers of the sleeping thread, but for two. A function that finds its frame through `rbp` can
//! be left only if `rbp` is known, so it is worked out (`frame_pointer`). Each [`Frame`] says how far it
//! can be relied on ([`Confidence`]).

mod blame;
mod frame;
mod trace;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod cfi;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod elsewhere;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod frame_pointer;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod maps;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod module;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod modules;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod snapshot;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod symbols;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod unwind;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(in crate::stall) use self::elsewhere::{Modules, Snapshot, Walked, capture};
pub use self::{
    frame::{Confidence, Frame},
    trace::{End, Stack},
};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(in crate::stall) use self::{
    modules::Modules,
    snapshot::{Snapshot, Walked, capture},
};
