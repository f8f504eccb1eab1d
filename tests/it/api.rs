//! What the types of the public API are, across threads and in futures.

use std::{cell::Cell, pin::Pin, rc::Rc};

use longshore::{
    Bridge, CancelToken, Error, Group, Job, Lane, Panic, Resource, ResourcePool, Task,
    bridge::{self, Driving, Ended, Scope, Spawned},
    cancel::HookGuard,
    error::{Cancelled, PanicPlace, Phase, Stop, Unavailable},
    group::{self, ChildInfo, Failed, Spawner, Starting},
    job::Canceller,
    lane::{
        Builder, Histogram, Indexed, JobInfo, JobState, Map, Ordered, Permit, Reserve, Shutdown,
        Stats, Stuck, Threads,
    },
    resource::{self, Recycle},
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
        Bridge,
        bridge::Builder,
        bridge::Error,
        Driving,
        Ended,
        Scope<'static>,
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
        Unavailable,
        Recycle,
        // Whatever the object is: it stays where it is.
        Resource<Rc<u8>>,
        ResourcePool<Rc<u8>>,
        resource::Permit<Rc<u8>>,
        resource::Builder<Rc<u8>>,
        Stop,
        Starting,
        ChildInfo,
        group::Shutdown,
        group::Stuck,
        Failed<Error>,
    );
    // Nor does one that cannot be shared to its group.
    is_send::<Group<NotSync>>();
    is_sync::<Group<NotSync>>();
    is_unpin::<Group<NotSync>>();
    is_debug::<Group<NotSync>>();
    is_sync::<Spawner<NotSync>>();
    is_sync::<group::Builder<NotSync>>();
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

    // What a bridge gives is waited for by one thread at a time.
    is_send::<Spawned<NotSync>>();
    is_sync::<Spawned<NotSync>>();
    is_unpin::<Spawned<std::marker::PhantomPinned>>();
    is_debug::<Spawned<Rc<u8>>>();
    is_send::<bridge::Shutdown>();
    is_unpin::<bridge::Shutdown>();
    is_debug::<bridge::Shutdown>();

    is_clone::<Bridge>();
    is_clone::<bridge::Builder>();
    is_clone::<Lane>();
    is_clone::<Resource<Rc<u8>>>();
    is_clone::<ResourcePool<Rc<u8>>>();
    is_clone::<Builder>();
    is_clone::<Threads>();
    is_clone::<Job>();
    is_clone::<CancelToken>();
    is_clone::<Canceller>();
    is_clone::<Stats>();
    is_clone::<Stuck>();
    is_clone::<Spawner<NotSync>>();
    is_clone::<group::Builder<NotSync>>();
    is_clone::<group::Stuck>();
    is_clone::<ChildInfo>();

    is_error::<Error>();
    is_error::<Unavailable>();
    is_error::<bridge::Error>();
    is_error::<Panic>();
    is_error::<Stuck>();
    is_error::<group::Stuck>();
    is_error::<Failed>();
    is_error::<Failed<std::io::Error>>();
    is_error::<Cancelled>();
}

#[test]
fn the_futures_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(_: F) {}
    fn stream<S: Stream + Send>(_: Pin<&mut S>) {}

    let lane = Lane::builder("api").build();
    spawnable(lane.shutdown(std::time::Duration::ZERO));
    spawnable(lane.reserve());
    let resource = Resource::new("api", || Ok::<_, Error>(Rc::new(7)));
    spawnable(resource.shutdown(std::time::Duration::ZERO));
    spawnable(resource.reserve());
    spawnable(async move { resource.with(|it, _| **it).await });
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

    let mut group = Group::<NotSync>::new();
    stream(Pin::new(&mut group));
    spawnable(group.shutdown(std::time::Duration::ZERO));
    spawnable(Group::<NotSync>::new().join_all());
    spawnable(Group::<NotSync>::new().join_all_or_cancel());
    spawnable(Group::<Result<NotSync, Error>>::new().try_join_all());
    let owner = lane.clone();
    spawnable(async move {
        group.offload(&owner, || Cell::new(7)).await?;
        group.next().await.transpose()
    });
    spawnable(group::scope(async move |mut group: Group<NotSync>| {
        group.offload(&lane, || Cell::new(7));
        group.next().await
    }));
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
