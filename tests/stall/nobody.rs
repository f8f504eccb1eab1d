//! Users who have limits, for tests of what happens where no thread can be had.

use std::thread;

use rustix::{
    process::{
        DumpableBehavior, Resource, Rlimit, Uid, getrlimit, getuid, set_dumpable_behavior,
        setrlimit,
    },
    thread::set_thread_uid,
};

const NOBODY: u32 = 65_534;

/// Makes this thread, and with it those that it starts, one of a user who has limits; but the process
/// may be looked into as before.
pub(crate) fn becomes_nobody() {
    if getuid().is_root() {
        // Root has no limits. To the system a user is the thread's, not the process's.
        set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    }
}

/// From here on threads of this one's user start no others.
pub(crate) fn no_more_threads() {
    let none = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Nproc)
    };
    setrlimit(Resource::Nproc, none).unwrap();
    let refused = thread::Builder::new().spawn(|| ());
    assert!(refused.is_err(), "there is no way to have a thread refused");
}

/// Has a test pass in a process of its own, of a user who has limits. It can read its own memory, which
/// threads that [became nobody](becomes_nobody) cannot.
#[cfg(all(feature = "stall-stacks", target_arch = "x86_64"))]
#[track_caller]
pub(crate) fn passes_as_nobody(test: &str) {
    use std::{
        env, fs,
        os::unix::process::CommandExt,
        panic::{self, AssertUnwindSafe},
    };

    use crate::support::{child, child_of, passes};

    if !getuid().is_root() {
        return passes(child(test));
    }
    // Where that user may execute it.
    let copy = env::temp_dir().join(format!("longshore-nobody-{}", std::process::id()));
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let mut command = child_of(copy.clone(), test);
    command.uid(NOBODY);
    let result = panic::catch_unwind(AssertUnwindSafe(|| passes(command)));
    fs::remove_file(&copy).unwrap();
    if let Err(payload) = result {
        panic::resume_unwind(payload);
    }
}
