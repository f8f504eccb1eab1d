//! A panic, kept: its message, where it came from, and the payload to raise it again.

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    panic::{self, AssertUnwindSafe, Location},
    sync::{Mutex, Once, PoisonError},
};

thread_local! {
    /// Where this thread panicked last, written by the hook of [`locate_panics`].
    static LAST_PLACE: RefCell<Option<PanicPlace>> = const { RefCell::new(None) };
}

/// A panic of a job's closure, as its caller receives it.
///
/// Dropping it drops the payload; a payload that panics in its own `Drop` is contained.
pub struct Panic {
    inner: Box<Inner>,
}

struct Inner {
    message: String,
    /// What panicked, as the message names it.
    culprit: &'static str,
    offloaded_at: &'static Location<'static>,
    place: Option<PanicPlace>,
    /// A mutex only so that the error is `Sync`, as boxed errors have to be.
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Panic {
    pub(crate) fn new(
        payload: Box<dyn Any + Send>,
        offloaded_at: &'static Location<'static>,
    ) -> Self {
        let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            String::from("(the payload is not a string)")
        };
        Self {
            inner: Box::new(Inner {
                message,
                // A job, as a rule; in a group or a bridge it may be a future.
                culprit: "what was handed in",
                offloaded_at,
                place: take_place(),
                payload: Mutex::new(Some(payload)),
            }),
        }
    }

    /// The same, of a resource's maker.
    pub(crate) fn of_a_maker(mut self) -> Self {
        self.inner.culprit = "the maker given";
        self
    }

    /// The same, of a service, or of the policy for its calls.
    #[cfg(feature = "fetch")]
    pub(crate) fn of_a_fetcher(mut self) -> Self {
        self.inner.culprit = "a call of the fetcher made";
        self
    }

    /// What the panic said; a fixed text if its payload is not a string.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Where the job was handed in; of a maker, where that was given; of a fetcher's service, where
    /// the fetcher was made.
    #[must_use]
    pub fn offloaded_at(&self) -> &'static Location<'static> {
        self.inner.offloaded_at
    }

    /// Where the panic happened.
    ///
    /// `None` unless [`locate_panics`] was called: only the process's panic hook is told the
    /// place, and a library does not replace that unasked.
    #[must_use]
    pub fn place(&self) -> Option<&PanicPlace> {
        self.inner.place.as_ref()
    }

    /// Raises the panic again, on this thread, with its first payload and without calling the
    /// panic hook a second time.
    ///
    /// # Panics
    ///
    /// Always: that is its purpose.
    pub fn resume(self) -> ! {
        let payload = self.take_payload();
        panic::resume_unwind(payload.unwrap_or_else(|| Box::new(self.inner.message.clone())))
    }

    fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        self.inner
            .payload
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        if let Some(payload) = self.take_payload() {
            drop_quietly(payload);
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.inner.culprit, self.inner.offloaded_at)?;
        if let Some(place) = &self.inner.place {
            write!(f, " panicked at {place}: {}", self.inner.message)
        } else {
            write!(f, " panicked: {}", self.inner.message)
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("message", &self.inner.message)
            .field("offloaded_at", &self.inner.offloaded_at)
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Panic {}

/// The file, line and column of a panic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PanicPlace {
    file: String,
    line: u32,
    column: u32,
}

impl PanicPlace {
    /// The source file, as the compiler was given it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column, counted from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl fmt::Display for PanicPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Lets [`Panic::place`] tell where a panic happened, from now on and for the whole process.
///
/// Adds to the process's panic hook: the hook that was set before still runs, after ours. Call it
/// once, early in `main`, and after anything else that sets a hook; more calls do nothing.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// longshore::locate_panics();
///
/// let error = longshore::offload(|| -> u32 { panic!("no such invoice") }).await.unwrap_err();
/// let longshore::Error::Panicked(panic) = error else { unreachable!() };
/// assert_eq!(panic.message(), "no such invoice");
/// assert!(panic.place().is_some());
/// # }
/// ```
pub fn locate_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|at| PanicPlace {
                file: at.file().to_owned(),
                line: at.line(),
                column: at.column(),
            });
            // A thread that is being torn down has no thread-locals any more.
            let _ = LAST_PLACE.try_with(|last| last.replace(place));
            before(info);
        }));
    });
}

/// Where this thread panicked last, if it can still tell: the destructors of other thread-locals may
/// run after this one's.
fn take_place() -> Option<PanicPlace> {
    LAST_PLACE.try_with(RefCell::take).unwrap_or_default()
}

/// Runs a closure and keeps its panic.
pub(crate) fn catch<T>(
    offloaded_at: &'static Location<'static>,
    closure: impl FnOnce() -> T,
) -> Result<T, Panic> {
    // What an earlier panic left here, caught by the user's own code, is not this one's place.
    take_place();
    panic::catch_unwind(AssertUnwindSafe(closure))
        .map_err(|payload| Panic::new(payload, offloaded_at))
}

/// A panic on its way to whoever has to hear of it, held up while something is put in order.
pub(crate) struct Caught {
    payload: Box<dyn Any + Send>,
    place: Option<PanicPlace>,
}

impl Caught {
    /// Sends it on its way again. What has panicked in between does not change where it came from.
    pub(crate) fn resume(self) -> ! {
        let _ = LAST_PLACE.try_with(|last| last.replace(self.place));
        panic::resume_unwind(self.payload)
    }

    /// Lets it go no further.
    pub(crate) fn forget(self) {
        drop_quietly(self.payload);
    }
}

/// Runs a closure in the middle of another and keeps its panic for a moment.
pub(crate) fn catch_for_later<T>(closure: impl FnOnce() -> T) -> Result<T, Caught> {
    panic::catch_unwind(AssertUnwindSafe(closure)).map_err(|payload| Caught {
        payload,
        place: take_place(),
    })
}

/// Drops a value of the user's, which may panic while it is dropped; `true` if it did.
///
/// A payload that panics in turn is forgotten: there is nobody left to tell.
pub(crate) fn drop_quietly<T>(value: T) -> bool {
    match panic::catch_unwind(AssertUnwindSafe(|| drop(value))) {
        Ok(()) => false,
        Err(payload) => {
            if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            true
        }
    }
}

/// Runs a callback of the user's that must not be able to unwind through us.
///
/// `true` if it panicked.
pub(crate) fn call_quietly(callback: impl FnOnce()) -> bool {
    match panic::catch_unwind(AssertUnwindSafe(callback)) {
        Ok(()) => false,
        Err(payload) => {
            drop_quietly(payload);
            true
        }
    }
}
