//! What the types of the public API are, across threads and in futures.

use std::{cell::Cell, pin::Pin, rc::Rc};

use longshore::{
    CancelToken, Error, Job, Lane, Panic, Task,
    cancel::HookGuard,
    error::{Cancelled, PanicPlace, Phase},
    job::Canceller,
    lane::{
        Builder, Histogram, Indexed, JobInfo, JobState, Map, Ordered, Permit, Reserve, Shutdown,
        Stats, Stuck, Threads,
    },
};

use futures::stream::{Empty, Stream};

fn is_send<T: Send>() {}
fn is_sync<T: Sync>() {}
fn is_unpin<T: Unpin>() {}
fn is_static<T: 'static>() {}
fn is_clone<T: Clone>() {}
fn is_debug<T: std::fmt::Debug>() {}
fn is_error<T: std::error::Error>() {}

/// A result that may be sent, and not shared.
type NotSync = Cell<u8>;
type Items = Empty<NotSync>;

#[test]
fn the_types_can_be_sent_shared_and_moved_as_far_as_is_promised() {
    macro_rules! all {
        ($($type:ty),* $(,)?) => {$(
            is_send::<$type>();
            is_sync::<$type>();
            is_unpin::<$type>();
            is_static::<$type>();
            is_debug::<$type>();
        )*};
    }
    all!(
        Lane,
        Builder,
        Threads,
        Job,
        CancelToken,
        Canceller,
        HookGuard,
        Permit,
        Reserve,
        Stats,
        Histogram,
        JobInfo,
        JobState,
        Shutdown,
        Stuck,
        Error,
        Panic,
        PanicPlace,
        Phase,
        Cancelled,
    );
    // A result that cannot be shared between threads makes no difference to its task.
    is_send::<Task<NotSync>>();
    is_sync::<Task<NotSync>>();
    is_debug::<Task<Rc<u8>>>();
    // Nothing is pinned in a task, whatever it resolves to.
    is_unpin::<Task<std::marker::PhantomPinned>>();

    is_send::<Map<Items, fn(NotSync) -> NotSync, NotSync>>();
    is_send::<Ordered<Items, fn(NotSync) -> NotSync, NotSync>>();
    is_send::<Indexed<Items, fn(NotSync) -> NotSync, NotSync>>();
    is_unpin::<Map<Items, fn(NotSync) -> NotSync, NotSync>>();
    is_unpin::<Ordered<Items, fn(NotSync) -> NotSync, NotSync>>();
    is_unpin::<Indexed<Items, fn(NotSync) -> NotSync, NotSync>>();
    is_debug::<Map<Items, fn(NotSync) -> NotSync, NotSync>>();

    is_clone::<Lane>();
    is_clone::<Builder>();
    is_clone::<Threads>();
    is_clone::<Job>();
    is_clone::<CancelToken>();
    is_clone::<Canceller>();
    is_clone::<Stats>();
    is_clone::<Stuck>();

    is_error::<Error>();
    is_error::<Panic>();
    is_error::<Stuck>();
    is_error::<Cancelled>();
}

#[test]
fn the_futures_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(_: F) {}
    fn stream<S: Stream + Send>(_: Pin<&mut S>) {}

    let lane = Lane::builder("api").build();
    spawnable(lane.shutdown(std::time::Duration::ZERO));
    spawnable(lane.reserve());
    let later = lane.clone();
    spawnable(async move {
        let value = later.offload(|| Cell::new(7)).await?;
        let permit = later.reserve().await?;
        permit
            .offload_with(move |job| (job.is_cancelled(), value.get()))
            .await
    });
    let mut map = lane.map([1, 2], |n| n);
    stream(Pin::new(&mut map));
}

#[test]
fn an_error_can_be_boxed_and_asked_for_again() {
    fn fails(lane: &Lane) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        lane.try_offload(|| ())?.detach();
        Ok(())
    }
    let lane = Lane::builder("api").build();
    lane.close();
    let error = fails(&lane).unwrap_err();
    assert!(matches!(
        error.downcast_ref::<Error>(),
        Some(Error::Closed { .. })
    ));
    let io: std::io::Error = Cancelled.into();
    assert_ne!(
        io.kind(),
        std::io::ErrorKind::Interrupted,
        "which would be tried again"
    );
}

#[cfg(feature = "fetch")]
#[test]
fn the_types_of_the_fetcher_go_as_far_as_its_service() {
    use longshore::fetch::{
        BadUrl, Counts, Error, ErrorKind, Event, Events, Fetched, Fetcher, Fetches, Ordered,
        Progress, Retry, TimeLimit,
    };

    macro_rules! all {
        ($($type:ty),* $(,)?) => {$(
            is_send::<$type>();
            is_sync::<$type>();
            is_unpin::<$type>();
            is_static::<$type>();
            is_debug::<$type>();
        )*};
    }
    all!(
        BadUrl,
        Counts,
        Error,
        ErrorKind,
        Event,
        Events,
        Fetched<u8>,
        Fetcher<u8>,
        Progress,
        Retry,
        TimeLimit,
    );
    // A service may be sent and not shared, and so may its stream.
    is_send::<Fetcher<NotSync>>();
    is_debug::<Fetcher<Rc<u8>>>();
    is_send::<Fetches<Items, NotSync>>();
    is_send::<Ordered<Items, NotSync>>();
    is_unpin::<Fetches<Items, NotSync>>();
    is_unpin::<Ordered<Items, NotSync>>();
    is_debug::<Fetches<Items, Rc<u8>>>();
    is_clone::<Fetcher<u8>>();
    is_clone::<Progress>();
    is_clone::<Retry>();
    is_error::<Error>();
    is_error::<BadUrl>();
}
