//! What the types of the public API are, across threads and in futures.

use std::{cell::Cell, pin::Pin, rc::Rc};

use longshore::{
    CancelToken, Error, Group, Job, Lane, Panic, Task,
    cancel::HookGuard,
    error::{Cancelled, PanicPlace, Phase, Stop},
    group::{self, ChildInfo, Failed, Spawner, Starting},
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

    is_clone::<Lane>();
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
