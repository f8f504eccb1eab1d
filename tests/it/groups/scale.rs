//! G6, G8, K15: none, and very many.

use std::time::{Duration, Instant};

use longshore::Group;

use super::{is_over, nothing_is_left};
use crate::support::{
    AT_ONCE, Child, Flavour, Gate, Place, in_child, is_as_new, resident, watched,
};

everywhere! {
    /// G6.
    async fn an_empty_group_is_over_at_once(place: Place) {
        let lane = place.lane(1);
        let begun = Instant::now();
        let mut group = Group::<()>::new();
        assert!(group.next().await.is_none() && group.try_next().is_none());
        assert!(group.is_empty() && group.children().is_empty());
        assert!(group.shutdown(Duration::from_secs(3_600)).await.is_ok());
        assert!(group.join_all().await.is_empty());
        assert!(Group::<()>::new().join_all_or_cancel().await.unwrap().is_empty());
        assert!(Group::<Result<(), ()>>::new().try_join_all().await.unwrap().is_empty());
        longshore::group::scope(async |_: Group<()>| {}).await;
        assert!(begun.elapsed() < AT_ONCE);
        is_as_new(&lane).await;
    }

    /// G6, G8. Time in proportion to their number, whichever way it ends.
    async fn tens_of_thousands_of_children_are_no_trouble(place: Place) {
        const MANY: usize = 40_000;
        let lane = place.lane(32);
        let begun = Instant::now();
        let group = Group::new();
        for n in 0..MANY / 2 {
            group.offload(&lane, move || 2 * n);
            group.spawn(async move { 2 * n + 1 });
        }
        let numbers = group.join_all_or_cancel().await.unwrap();
        assert!(numbers.into_iter().eq(0..MANY), "in the order of the calls");
        println!("{MANY} children joined after {:?}", begun.elapsed());

        let gate = Gate::new();
        let group = Group::new();
        let spawner = group.spawner();
        for _ in 0..32 {
            let door = gate.door();
            group.offload(&lane, move || door.pass());
        }
        gate.arrived(32).await;
        for _ in 0..MANY / 2 {
            group.offload(&lane, || unreachable!("all threads are taken"));
            group.spawn(std::future::pending());
        }
        let cancelling = Instant::now();
        drop(group);
        println!("and cancelled in {:?}", cancelling.elapsed());
        gate.open();
        nothing_is_left(&spawner).await;
        is_as_new(&lane).await;
    }
}

/// K15. The result and not much else: a child of which one byte is kept must not keep its kilobytes.
/// In a process of its own, whose memory nobody else uses.
#[test]
fn finished_children_take_little_memory() {
    const MANY: usize = 50_000;
    if !in_child() {
        let test = concat!(module_path!(), "::finished_children_take_little_memory");
        return Child::new(test).passes();
    }
    watched(|| {
        Flavour::CurrentThread.runtime().block_on(async {
            let group = Group::builder("memory").limit(64).build();
            let before = resident();
            for round in 0..MANY {
                let much = [round as u8; 4096];
                let starting = group.spawn(async move { much[round % 4096] });
                starting.await.unwrap();
            }
            is_over(&group).await;
            let each = resident().saturating_sub(before) / MANY;
            assert!(
                each < 256,
                "{each} bytes for each outcome that waits to be taken"
            );
            assert_eq!(group.join_all().await.len(), MANY);
        });
    });
}
