//! A child that is a future: a task of the runtime that it was spawned from.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::runtime;

use super::{
    child::{Key, Stage},
    core::Shared,
};
use crate::{
    error::{Error, Panic, Phase, call_quietly, catch, drop_quietly},
    job::this_is_of_a_task,
    sync::Arc,
};

/// Makes a task of the future.
pub(super) fn start<F, T>(
    shared: &Arc<Shared<T>>,
    key: Key,
    future: F,
    runtime: &runtime::Handle,
    location: &'static Location<'static>,
) where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let child = Child {
        future: Some(future),
        shared: shared.clone(),
        key,
        location,
        phase: Phase::Waiting,
    };
    // By a runtime that is shutting down it is dropped right here, and says so.
    let abort = runtime.spawn(child).abort_handle();
    shared.started(key, Stage::Future(abort));
}

pin_project! {
    /// The future, and the duty to say when nothing is left of it.
    ///
    /// The runtime drops a task when it has given its output, when it panics and when it is
    /// aborted. The outcome is told of when the future has been dropped, and not before.
    struct Child<F, T>
    where
        T: Send,
        T: 'static,
    {
        #[pin]
        future: Option<F>,
        shared: Arc<Shared<T>>,
        key: Key,
        location: &'static Location<'static>,
        phase: Phase,
    }

    impl<F, T> PinnedDrop for Child<F, T>
    where
        T: Send,
        T: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                call_quietly(|| this.future.set(None));
            }
            this.shared.over(*this.key, *this.phase);
        }
    }
}

impl<F, T> Future for Child<F, T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        this_is_of_a_task(cx.waker());
        let mut this = self.project();
        *this.phase = Phase::Running;
        let polled = catch(this.location, || {
            let future = this.future.as_mut().as_pin_mut();
            future.expect("a task is not polled again").poll(cx)
        });
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(panic),
        };
        // What the future has captured is dropped before anybody hears of its outcome.
        let dropped = catch(this.location, || this.future.set(None));
        let outcome: Result<T, Panic> = match dropped {
            Ok(()) => outcome,
            // The first panic is the one to tell of.
            Err(panic) => match outcome {
                Ok(value) => {
                    drop_quietly(value);
                    Err(panic)
                }
                Err(first) => Err(first),
            },
        };
        this.shared.record(*this.key, outcome.map_err(Error::from));
        Poll::Ready(())
    }
}
