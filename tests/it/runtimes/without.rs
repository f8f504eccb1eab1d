//! R2: a lane outside of any runtime.

use futures::executor::block_on;
use longshore::Error;
use tokio::runtime::Handle;

use crate::support::{Flavour, Place, Source, assert_books, settles, sources, watched};

/// R2.
#[test]
fn without_a_runtime_the_default_source_says_so_and_the_others_work() {
    watched(|| {
        let lane = Place {
            source: Source::Tokio,
            flavour: Flavour::CurrentThread,
        }
        .lane(1);
        match block_on(lane.offload(|| ())) {
            Err(error @ Error::NoRuntime { .. }) => assert!(error.never_started()),
            other => panic!("expected the want of a runtime, got {other:?}"),
        }
        assert!(matches!(
            lane.try_offload(|| ()),
            Err(Error::NoRuntime { .. })
        ));
        let permit = block_on(lane.reserve()).unwrap();
        assert!(matches!(
            block_on(permit.offload(|| ())),
            Err(Error::NoRuntime { .. })
        ));
        let mut map = lane.map(0..3, |i: u32| i);
        while let Some(told) = block_on(futures::StreamExt::next(&mut map)) {
            assert!(matches!(told, Err(Error::NoRuntime { .. })));
        }
        assert_books(&lane.stats());
        assert_eq!(lane.stats().submitted, 0);
        assert!(matches!(
            block_on(longshore::offload(|| ())),
            Err(Error::NoRuntime { .. })
        ));

        for source in sources()
            .into_iter()
            .filter(|source| *source != Source::Tokio)
        {
            let lane = Place {
                source,
                flavour: Flavour::CurrentThread,
            }
            .lane(2);
            let told = block_on(lane.offload(|| Handle::try_current().is_err()));
            assert!(told.unwrap(), "nor is there one in the job");
            let tasks: Vec<_> = (0..50).map(|i| lane.offload(move || i)).collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(block_on(task).unwrap(), i);
            }
            settles("nothing is left", || lane.stats().workers == 0);
        }
    });
}
