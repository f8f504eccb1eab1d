//! Room in a lane, before there is a job for it.

use std::time::Duration;

use crate::support::{Gate, Place, assert_books, eventually, every_slot_is_free, is_as_new};

everywhere_and_on_workers! {
    async fn a_permit_is_room_that_nobody_else_gets(place: Place) {
        let lane = place.bounded(1, 1);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let permit = lane.reserve().await.unwrap();
        assert!(lane.offload(|| ()).await.unwrap_err().is_full());
        let told = permit.offload(|| 7);
        assert!(lane.offload(|| ()).await.unwrap_err().is_full());
        gate.open();
        running.await.unwrap();
        assert_eq!(told.await.unwrap(), 7);
        is_as_new(&lane).await;
    }

    async fn a_permit_that_is_dropped_gives_its_room_back(place: Place) {
        let lane = place.bounded(1, 0);
        for _ in 0..10 {
            let permit = lane.reserve().await.unwrap();
            assert!(lane.offload(|| ()).await.unwrap_err().is_full());
            drop(permit);
            lane.offload(|| ()).await.unwrap();
            // The slot is free when the outcome is there.
            assert_books(&lane.stats());
        }
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    async fn room_is_given_in_the_order_of_the_calls(place: Place) {
        let lane = place.bounded(1, 0);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        let mut in_line: Vec<_> = (0..10).map(|_| Box::pin(lane.reserve())).collect();
        for reserve in &mut in_line {
            assert!(futures::poll!(reserve).is_pending());
        }
        gate.open();
        running.await.unwrap();
        for (i, mut first) in in_line.into_iter().enumerate() {
            let permit = first.as_mut().await.unwrap();
            assert_eq!(permit.offload(move || i).await.unwrap(), i);
        }
        is_as_new(&lane).await;
    }

    /// C7. Who gives up in line, granted or not, does not keep the room from the next.
    async fn a_waiter_that_gives_up_lets_the_next_one_in(place: Place) {
        let lane = place.bounded(1, 0);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        let mut in_line: Vec<_> = (0..3).map(|_| Box::pin(lane.reserve())).collect();
        for reserve in &mut in_line {
            assert!(futures::poll!(reserve).is_pending());
        }
        let last = in_line.pop().unwrap();
        // One leaves before it was granted anything, the other after.
        drop(in_line.pop());
        gate.open();
        running.await.unwrap();
        eventually("the first has been granted the room", || lane.stats().running == 0).await;
        assert!(lane.offload(|| ()).await.unwrap_err().is_full(), "it is somebody's already");
        drop(in_line);
        let permit = last.await.unwrap();
        assert_eq!(permit.offload(|| 7).await.unwrap(), 7);
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// K2. What frees a place in the queue gives it to the first in line.
    async fn a_job_taken_back_lets_the_next_one_in(place: Place) {
        let lane = place.bounded(1, 1);
        let gate = Gate::new();
        let door = gate.door();
        let running = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let waiting = lane.offload(|| ());
        let late = lane.timeout(Duration::from_millis(20));
        let mut in_line = Box::pin(lane.reserve());
        assert!(futures::poll!(&mut in_line).is_pending());
        drop(waiting);
        let permit = in_line.await.unwrap();
        // And so does a deadline.
        drop(permit);
        let times_out = late.offload(|| ());
        let in_line = lane.reserve();
        let permit = in_line.await.unwrap();
        assert!(times_out.await.unwrap_err().is_timeout());
        drop(permit);
        gate.open();
        running.await.unwrap();
        is_as_new(&lane).await;
    }

    async fn a_permit_of_a_lane_that_was_closed_meanwhile_is_refused(place: Place) {
        let lane = place.bounded(1, 1);
        let permit = lane.reserve().await.unwrap();
        lane.close();
        let told = permit.offload(|| ()).await;
        assert!(matches!(told, Err(longshore::Error::Closed { .. })), "{told:?}");
        is_as_new(&lane).await;
    }

    async fn producers_that_reserve_are_never_refused(place: Place) {
        let lane = place.bounded(2, 2);
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                let lane = lane.clone();
                tokio::spawn(async move {
                    for i in 0..100 {
                        let permit = lane.reserve().await.unwrap();
                        assert_eq!(permit.offload(move || i + producer).await.unwrap(), i + producer);
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.await.unwrap();
        }
        is_as_new(&lane).await;
        let stats = lane.stats();
        assert_eq!((stats.completed, stats.refused), (400, 0));
    }
}
