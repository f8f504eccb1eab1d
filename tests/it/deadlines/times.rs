//! C9: which times a deadline may be, and which of two holds.

use std::time::Duration;

use longshore::error::Phase;
use tokio::time::Instant;

use super::timed_out;
use crate::support::{Place, assert_books, every_slot_is_free, is_as_new, watch_over};

everywhere_and_on_workers! {
    /// C9.
    async fn a_deadline_of_zero_or_in_the_past_lets_no_job_start(place: Place) {
        let lane = place.lane(1);
        let past = Instant::now() - Duration::from_millis(1);
        let lanes = [
            lane.timeout(Duration::ZERO),
            lane.deadline(Instant::now()),
            lane.deadline(past),
            watch_over(place.builder(1).timeout(Duration::ZERO).build()),
        ];
        for lane in &lanes {
            let told = lane.offload(|| panic!("it must not start")).await;
            let (phase, waited, ran) = timed_out(told);
            assert_eq!((phase, waited, ran), (Phase::Waiting, Duration::ZERO, Duration::ZERO));
            let told = lane.try_offload(|| panic!("it must not start")).unwrap().await;
            assert!(told.unwrap_err().never_started());
            let permit = lane.reserve().await.unwrap();
            assert!(permit.offload(|| panic!("it must not start")).await.unwrap_err().is_timeout());
        }
        let stats = lane.stats();
        assert_books(&stats);
        assert_eq!((stats.timed_out, stats.workers, stats.waiting), (9, 0, 0));
        every_slot_is_free(&lane).await;
    }

    /// C9.
    async fn a_time_too_long_to_be_represented_is_no_limit(place: Place) {
        let lane = place.lane(1);
        for time in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_secs(u64::MAX)] {
            let remaining = lane.timeout(time).offload_with(|job| job.remaining()).await.unwrap();
            // Either there is none, or it is far away.
            assert!(remaining.is_none_or(|left| left > Duration::from_secs(1 << 30)));
            assert_eq!(lane.timeout(time).offload(|| 7).await.unwrap(), 7);
        }
        let builder = place.builder(1).timeout(Duration::MAX).build();
        assert_eq!(builder.offload(|| 7).await.unwrap(), 7);
        is_as_new(&lane).await;
    }

    /// K3. The lane's own, replaced for one call.
    async fn a_timeout_for_one_call_replaces_that_of_the_lane(place: Place) {
        let lane = watch_over(place.builder(1).timeout(Duration::ZERO).build());
        assert!(lane.offload(|| 7).await.unwrap_err().is_timeout());
        assert_eq!(lane.timeout(Duration::MAX).offload(|| 7).await.unwrap(), 7);
        let far = Instant::now() + Duration::from_secs(3_600);
        let told = lane.deadline(far).offload_with(move |job| job.deadline() == Some(far));
        assert!(told.await.unwrap());
        assert!(lane.offload(|| 7).await.unwrap_err().is_timeout());
    }
}
