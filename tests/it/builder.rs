//! What a lane may be made of. (What it may not is in `tests/panic_places.rs`.)

use std::time::Duration;

use longshore::{Lane, lane::default_lane};

use crate::support::{Place, assert_books, is_as_new};

everywhere! {
    async fn the_largest_values_are_values_like_others(place: Place) {
        // Rayon pools are made with as many threads as the limit says.
        let lane = match place.lingers() {
            true => place.builder(usize::MAX),
            false => place.builder(4),
        };
        let lane = lane.queue(usize::MAX).timeout(Duration::MAX).build();
        let tasks: Vec<_> = (0..100).map(|i| lane.try_offload(move || i).unwrap()).collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), i);
        }
        let permit = lane.reserve().await.unwrap();
        assert_eq!(permit.offload(|| 7).await.unwrap(), 7);
        is_as_new(&lane).await;
    }

    async fn a_builder_can_be_used_for_several_lanes(place: Place) {
        let builder = place.builder(1).queue(0);
        let (first, second) = (builder.clone().build(), builder.build());
        let permit = first.reserve().await.unwrap();
        assert!(first.offload(|| ()).await.unwrap_err().is_full());
        assert_eq!(second.offload(|| 7).await.unwrap(), 7);
        drop(permit);
        assert_eq!((first.stats().refused, second.stats().refused), (1, 0));
    }

    async fn handles_with_other_options_are_the_same_lane(place: Place) {
        let lane = place.lane(1);
        let labelled = lane.label("one").timeout(Duration::from_secs(60));
        let other = labelled.label("two");
        let label = |lane: &Lane| lane.offload_with(|job| job.label().map(str::to_owned));
        assert_eq!(label(&lane).await.unwrap(), None);
        assert_eq!(label(&labelled).await.unwrap().as_deref(), Some("one"));
        assert_eq!(label(&other).await.unwrap().as_deref(), Some("two"));
        assert_eq!(other.name(), lane.name());
        assert_eq!(lane.stats().completed, 3);
        assert_books(&other.stats());
    }

    async fn a_job_knows_what_it_was_handed_in_with(place: Place) {
        let lane = place.lane(1);
        let line = line!() + 1;
        let told = lane.offload_with(|job| (job.location().line(), job.deadline(), job.remaining()));
        assert_eq!(told.await.unwrap(), (line, None, None));
        let limited = lane.timeout(Duration::from_secs(60));
        let told = limited.offload_with(|job| (job.deadline().is_some(), job.remaining()));
        let (has_deadline, remaining) = told.await.unwrap();
        let remaining = remaining.unwrap();
        assert!(has_deadline && remaining <= Duration::from_secs(60));
        assert!(remaining > Duration::from_secs(30));
    }
}

/// The default lane is one for the whole process.
#[test]
fn the_default_lane_is_there_without_being_made() {
    crate::support::watched(|| {
        let runtime = crate::support::Flavour::CurrentThread.runtime();
        runtime.block_on(async {
            assert_eq!(longshore::offload(|| 7).await.unwrap(), 7);
            assert_eq!(default_lane().name(), "default");
            assert!(default_lane().stats().completed >= 1);
        });
    });
}
