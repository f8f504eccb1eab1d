//! The flag and the hooks of one job or token.
//!
//! Invariants, each with a test below:
//!
//! 1. The flag goes up once and stays up. It is written under the lock and read without it.
//! 2. Every hook runs at most once: whoever takes it out of the map runs it.
//! 3. A hook never runs, nor goes on running, after its guard was dropped. The guard waits for a
//!    hook that runs on another thread; on the hook's own thread it must not, or would wait for
//!    itself.
//! 4. A hook that is registered after the cancel runs at once, on the thread that registers it.
//! 5. No hook runs, and none is dropped, under the lock.
//! 6. What is below something is cancelled in its turn among the hooks, by a loop: however long a chain
//!    is, it takes no more of the stack.

use std::{collections::BTreeMap, fmt, sync::atomic::Ordering};

use crate::{
    error::call_quietly,
    sync::{self, Arc, AtomicBool, Condvar, Mutex, ThreadId, Weak},
};

enum Hook {
    Call(Box<dyn FnOnce() + Send>),
    /// Something that is cancelled with this.
    Below(Weak<dyn Cancels>),
}

/// The cancellation state of one job or token.
///
/// Small, since every job has one and few have hooks.
#[derive(Default)]
pub(crate) struct Cancel {
    flag: AtomicBool,
    hooks: Mutex<Option<Box<Hooks>>>,
    /// Signalled when a hook has run while somebody may be waiting for that.
    ran: Condvar,
}

#[derive(Default)]
struct Hooks {
    next: u64,
    registered: BTreeMap<u64, Hook>,
    /// The hook that runs at this moment, and on which thread.
    running: Option<(u64, ThreadId)>,
}

impl Cancel {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Raises the flag and runs the hooks, in the order in which they were registered.
    ///
    /// Only the first call does anything. Returns how many hooks panicked.
    pub(crate) fn cancel(&self) -> usize {
        let mut panics = 0;
        if !self.raise() {
            return panics;
        }
        // Those that are being cancelled, each below the one before it.
        let mut below: Vec<Arc<dyn Cancels>> = Vec::new();
        loop {
            let last = below.last().map_or(self, |last| last.cancels());
            if let Some(next) = last.run_hooks(&mut panics) {
                below.push(next);
            } else if below.pop().is_none() {
                return panics;
            }
        }
    }

    /// `false` if the flag was up.
    fn raise(&self) -> bool {
        let _hooks = self.hooks.lock();
        !self.flag.swap(true, Ordering::AcqRel)
    }

    /// Runs the hooks up to the first that leads to something below, whose flag it raises; `None` if there
    /// are no more.
    fn run_hooks(&self, panics: &mut usize) -> Option<Arc<dyn Cancels>> {
        let mut hooks = self.hooks.lock();
        while let Some(some) = hooks.as_deref_mut()
            && let Some((id, hook)) = some.registered.pop_first()
        {
            match hook {
                Hook::Call(hook) => {
                    some.running = Some((id, sync::current().id()));
                    drop(hooks);
                    *panics += usize::from(call_quietly(hook));
                    hooks = self.hooks.lock();
                    if let Some(some) = hooks.as_deref_mut() {
                        some.running = None;
                    }
                    self.ran.notify_all();
                }
                Hook::Below(below) => {
                    drop(hooks);
                    let raised = below.upgrade().filter(|below| below.cancels().raise());
                    if raised.is_some() {
                        return raised;
                    }
                    hooks = self.hooks.lock();
                }
            }
        }
        None
    }

    /// Registers a hook; given back if the cancel came first.
    fn register(&self, hook: Hook) -> Result<u64, Hook> {
        let mut hooks = self.hooks.lock();
        if self.is_cancelled() {
            return Err(hook);
        }
        let hooks = hooks.get_or_insert_default();
        let id = hooks.next;
        hooks.next += 1;
        hooks.registered.insert(id, hook);
        Ok(id)
    }

    /// Takes a hook back; returns when it can no longer be running.
    fn unregister(&self, id: u64) {
        let mut hooks = self.hooks.lock();
        let taken_back = hooks
            .as_deref_mut()
            .and_then(|hooks| hooks.registered.remove(&id));
        if taken_back.is_none() {
            let me = sync::current().id();
            let runs_elsewhere = |hooks: &Option<Box<Hooks>>| {
                let running = hooks.as_deref().and_then(|hooks| hooks.running);
                running.is_some_and(|(running, on)| running == id && on != me)
            };
            while runs_elsewhere(&hooks) {
                hooks = self.ran.wait(hooks);
            }
        }
        drop(hooks);
        // Dropping what the hook captured is the user's code, hence after the lock.
        drop(taken_back);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// Whatever owns a [`Cancel`], so that a guard can keep it alive without a second allocation.
pub(crate) trait Cancels: Send + Sync {
    fn cancels(&self) -> &Cancel;
}

/// Registers `hook` with `owner` for as long as the guard lives.
pub(crate) fn on_cancel(
    owner: Arc<dyn Cancels>,
    hook: impl FnOnce() + Send + 'static,
) -> HookGuard {
    HookGuard::of(owner, Hook::Call(Box::new(hook)))
}

/// Has `below` cancelled with `owner` for as long as the guard lives.
pub(crate) fn cancelled_with(owner: Arc<dyn Cancels>, below: Weak<dyn Cancels>) -> HookGuard {
    HookGuard::of(owner, Hook::Below(below))
}

/// Takes its hook back when it is dropped.
///
/// After the drop the hook does not run, and is not still running: if a cancel is just running it
/// on another thread, the drop waits for it to return. (Dropping the guard inside the hook itself
/// does not wait.) Hooks must therefore be quick, which they have to be in any case, since they
/// run on the thread that cancels.
#[must_use = "the hook is taken back as soon as the guard is dropped: bind it to a name, not to `_`"]
pub struct HookGuard {
    registered: Option<(Arc<dyn Cancels>, u64)>,
}

impl HookGuard {
    fn of(owner: Arc<dyn Cancels>, hook: Hook) -> Self {
        let registered = match owner.cancels().register(hook) {
            Ok(id) => Some((owner, id)),
            Err(Hook::Call(hook)) => {
                call_quietly(hook);
                None
            }
            Err(Hook::Below(below)) => {
                if let Some(below) = below.upgrade() {
                    below.cancels().cancel();
                }
                None
            }
        };
        Self { registered }
    }
}

impl Drop for HookGuard {
    fn drop(&mut self) {
        if let Some((owner, id)) = self.registered.take() {
            owner.cancels().unregister(id);
        }
    }
}

impl fmt::Debug for HookGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookGuard")
            .field("registered", &self.registered.is_some())
            .finish()
    }
}
