//! What the documentation of `longshore::resource` says of other crates, held against them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_runtime::Runtime;
use deadpool_sync::{InteractError, SyncWrapper};

use super::on_both_flavours;
use crate::support::{Gate, eventually};

#[test]
fn deadpool_sync_runs_what_nobody_waits_for_and_stays_poisoned() {
    on_both_flavours(|| async {
        let wrapper = SyncWrapper::new(Runtime::Tokio1, || Ok::<_, ()>(0_u8)).await;
        let wrapper = wrapper.unwrap();
        let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, counted) = (gate.door(), ran.clone());
        let mut busy = Box::pin(wrapper.interact(move |_| door.pass()));
        assert!(futures::poll!(&mut busy).is_pending());
        gate.arrived(1).await;
        let behind = wrapper.interact(move |_| counted.fetch_add(1, Ordering::SeqCst));
        let both = async { tokio::join!(busy, behind) };
        let left = tokio::time::timeout(Duration::from_millis(20), both).await;
        assert!(left.is_err());
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        gate.open();
        eventually("it runs all the same", || ran.load(Ordering::SeqCst) == 1).await;

        let panicked = wrapper.interact(|_| -> () { panic!("as planned") }).await;
        assert!(matches!(panicked, Err(InteractError::Panic(_))));
        for _ in 0..3 {
            let later = wrapper.interact(|it| *it).await;
            assert!(matches!(later, Err(InteractError::Panic(_))));
        }
    });
}

#[test]
fn tokio_rusqlite_runs_what_nobody_waits_for_and_is_gone_after_a_panic() {
    on_both_flavours(|| async {
        let db = tokio_rusqlite::Connection::open_in_memory().await.unwrap();
        let (gate, ran) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (door, counted) = (gate.door(), ran.clone());
        let busy = db.call_raw(move |_| door.pass());
        let behind = db.call_raw(move |_| counted.fetch_add(1, Ordering::SeqCst));
        let both = async { tokio::join!(busy, behind) };
        let left = tokio::time::timeout(Duration::from_millis(20), both).await;
        assert!(left.is_err());
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        gate.open();
        eventually("it runs all the same", || ran.load(Ordering::SeqCst) == 1).await;

        let panicked = db.call_raw(|_| -> () { panic!("as planned") }).await;
        assert!(matches!(
            panicked,
            Err(tokio_rusqlite::Error::ConnectionClosed)
        ));
        let later = db.call_raw(|_| 7).await;
        assert!(matches!(
            later,
            Err(tokio_rusqlite::Error::ConnectionClosed)
        ));
    });
}
