//! What the types are, across threads and in futures.

use std::{fmt::Debug, rc::Rc};

use longshore::stall::{
    BlockingCall, Cause, Certainty, Deny, Profile, ProfileFor, Row, Stall, Watch, Watched,
    Watching, watched,
};

fn is_free<T: Send + Sync + Unpin + Debug + 'static>() {}
fn is_send<T: Send>(_: &T) {}

#[test]
fn the_types_can_be_sent_shared_and_moved() {
    is_free::<BlockingCall>();
    is_free::<Cause>();
    is_free::<Certainty>();
    is_free::<Deny>();
    is_free::<Profile>();
    is_free::<ProfileFor>();
    is_free::<Row>();
    is_free::<Stall>();
    is_free::<Watching>();
    #[cfg(feature = "stall-stacks")]
    {
        is_free::<longshore::stall::Confidence>();
        is_free::<longshore::stall::End>();
        is_free::<longshore::stall::Frame>();
        is_free::<longshore::stall::Stack>();
    }
    is_free::<Watched<std::future::Ready<u8>>>();
    is_send(&Watch::new());
}

/// A future of a `LocalSet`, which may not be sent, can be watched there.
#[test]
fn what_may_not_be_sent_can_be_watched() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    let value = Rc::new(7);
    let given = local.block_on(&runtime, async move {
        tokio::task::spawn_local(watched(async move { *value }))
            .await
            .unwrap()
    });
    assert_eq!(given, 7);
}
