//! `Job::current`: which job a thread runs, seen from deep inside of it.

use longshore::{Job, Lane};

use crate::support::{Flavour, Place, is_as_new, watch_over, watched};

everywhere! {
    /// During the closure, and during the drop of what it captured; never before or after.
    async fn the_current_job_is_the_one_that_runs(place: Place) {
        struct Sees(tokio::sync::mpsc::UnboundedSender<Option<String>>);

        impl Drop for Sees {
            fn drop(&mut self) {
                let _ = self.0.send(label());
            }
        }

        let lane = place.lane(1);
        let (seen, mut sees) = tokio::sync::mpsc::unbounded_channel();
        assert_eq!(label(), None);
        for name in ["first", "second"] {
            let at_the_end = Sees(seen.clone());
            let inside = lane.label(name).offload(move || {
                let _at_the_end = at_the_end;
                label()
            });
            assert_eq!(inside.await.unwrap().as_deref(), Some(name));
            assert_eq!(sees.recv().await.unwrap().as_deref(), Some(name));
        }
        // The same one thread, where it is one: a panic leaves nothing behind.
        let panics = lane.label("third").offload(|| panic!("as planned"));
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(lane.offload(label).await.unwrap(), None, "it has no label");
        is_as_new(&lane).await;
    }

    /// It is the same job: it knows when nobody waits for it any more.
    async fn the_current_job_is_cancelled_with_its_task(place: Place) {
        let lane = place.lane(1);
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let (ended, ends) = tokio::sync::oneshot::channel();
        let task = lane.offload(move || {
            let job = Job::current().expect("it runs on a lane");
            let _ = started.send(());
            while !job.is_cancelled() {
                std::thread::yield_now();
            }
            let _ = ended.send(());
        });
        starts.recv().await.unwrap();
        drop(task);
        ends.await.unwrap();
        is_as_new(&lane).await;
    }
}

fn label() -> Option<String> {
    Job::current()?.label().map(str::to_owned)
}

/// A thread that a closure starts does other work, perhaps for other jobs.
#[test]
fn a_thread_that_a_job_starts_has_no_job() {
    watched(|| {
        let lane = watch_over(Lane::builder("starts").limit(1).build());
        Flavour::CurrentThread.runtime().block_on(async {
            let on_another = lane.offload(|| {
                let has_one = || Job::current().is_some();
                (has_one(), std::thread::spawn(has_one).join().unwrap())
            });
            assert_eq!(on_another.await.unwrap(), (true, false));
        });
    });
}

/// A job that waits for its parts on rayon runs other jobs on top of itself.
#[cfg(feature = "rayon")]
#[test]
fn a_job_on_top_of_another_gives_it_back() {
    use std::sync::Arc;

    watched(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = Arc::new(pool.unwrap());
        let lane = watch_over(Lane::builder("parts").limit(2).rayon(pool).build());
        Flavour::CurrentThread.runtime().block_on(async {
            let handle = lane.clone();
            let outer = lane.label("outer").offload(move || {
                // With one thread it is here that the inner one runs, while this one waits.
                let (tell, told) = std::sync::mpsc::channel();
                let inner = handle
                    .label("inner")
                    .offload(move || drop(tell.send(label())));
                inner.detach();
                let inner = loop {
                    match told.try_recv() {
                        Ok(label) => break label,
                        Err(_) => drop(rayon::yield_now()),
                    }
                };
                (inner, label())
            });
            let (inner, after) = outer.await.unwrap();
            assert_eq!(inner.as_deref(), Some("inner"));
            assert_eq!(after.as_deref(), Some("outer"));
        });
    });
}
