//! K8, K1: who has which slot while jobs wait for jobs.

use std::{sync::mpsc, thread, time::Duration};

use futures::{executor, future::select};
use longshore::{Job, Lane, Task, lane::Threads};
use rustix::thread::gettid;
use tokio::sync::oneshot;

use crate::support::{
    Child, Flavour, Gate, Meter, NoMoreThreads, Place, assert_books, eventually, in_child,
    is_as_new, settles, sleeps, watch_over, watched,
};

/// Waits for a job, but no longer than until it is told to go on.
fn wait_a_while<T>(job: &Job, task: &mut Task<T>, go_on: oneshot::Receiver<()>) {
    let waited = job.block_on(async {
        let _ = select(task, go_on).await;
    });
    waited.expect("nobody cancels it");
}

everywhere! {
    /// A job that would go on stands in line, as the job that has its slot goes on. When that one
    /// lends the slot itself, it is not the one in line that gets it.
    async fn a_slot_that_is_lent_for_one_job_goes_to_that_job(place: Place) {
        let (lane, meter) = (place.lane(1), Meter::default());
        let (inner, inside) = (lane.clone(), meter.clone());
        let (in_line, stands_in_line) = mpsc::channel();
        let (go_on, told) = oneshot::channel();
        let begun = Gate::new();
        let door = begun.door();
        let outer = lane.offload_with(move |job| {
            let (last, metered) = (inner.clone(), inside.clone());
            let mut kept = inner.offload(move || {
                door.pass();
                let outer = stands_in_line.recv().expect("it is told");
                settles("it stands in line", || sleeps(outer));
                let inside = metered.clone();
                let nested = last.offload(move || {
                    let _inside = inside.enter();
                    // Long enough for somebody else to be seen inside.
                    thread::sleep(Duration::from_millis(20));
                });
                executor::block_on(nested).expect("it has a slot");
                drop(metered.enter());
            });
            let waited = job.block_on(async {
                let _ = select(&mut kept, told).await;
                // It stands in line next, and sleeps there.
                in_line.send(gettid()).unwrap();
            });
            waited.expect("nobody cancels it");
            let entered = inside.enter();
            thread::sleep(Duration::from_millis(20));
            drop(entered);
            job.block_on(kept).expect("nobody cancels it").expect("it has a slot");
        });
        begun.arrived(1).await;
        begun.open();
        go_on.send(()).unwrap();
        outer.await.unwrap();
        assert_eq!(meter.peak(), 1);
        is_as_new(&lane).await;
        assert_eq!(lane.stats().completed, 3);
    }

    /// A job that takes a free slot leaves its own to whoever has that, for good: what that one
    /// gives back in the end is a slot like any other.
    async fn a_slot_that_is_not_taken_back_is_counted_once(place: Place) {
        let lane = place.lane(2);
        let inner = lane.clone();
        let (go_on, told) = oneshot::channel();
        let [beside, first, second, stranger] = std::array::from_fn(|_| Gate::new());
        let door = beside.door();
        let other_slot = lane.offload(move || door.pass());
        beside.arrived(1).await;
        let (one, two) = (first.door(), second.door());
        let outer = lane.offload_with(move |job| {
            let mut kept = inner.offload(move || one.pass());
            wait_a_while(job, &mut kept, told);
            job.block_on(inner.offload(move || two.pass())).expect("nobody cancels it").unwrap();
            job.block_on(kept).expect("nobody cancels it").unwrap();
        });
        // It has the slot of the one that waits for it.
        first.arrived(1).await;
        assert_eq!(lane.stats().lent, 1);
        beside.open();
        other_slot.await.unwrap();
        go_on.send(()).unwrap();
        second.arrived(1).await;
        first.open();
        eventually("the first is over", || lane.stats().completed == 2).await;
        let door = stranger.door();
        let other = lane.offload(move || door.pass());
        // Of two slots, one is in use: by the second, on behalf of who waits for it.
        stranger.arrived(1).await;
        assert_books(&lane.stats());
        stranger.open();
        other.await.unwrap();
        second.open();
        outer.await.unwrap();
        is_as_new(&lane).await;
    }

    /// K8. A job that takes a free slot and leaves its own to another may take the room that was
    /// reserved when there was less to do. The permit is good for all that.
    async fn a_permit_is_good_although_a_job_has_gone_on_meanwhile(place: Place) {
        let lane = place.bounded(2, 1);
        let inner = lane.clone();
        let (go_on, told) = oneshot::channel();
        let [beside, borrows, goes_on] = std::array::from_fn(|_| Gate::new());
        let door = beside.door();
        let other_slot = lane.offload(move || door.pass());
        beside.arrived(1).await;
        let (one, two) = (borrows.door(), goes_on.door());
        let outer = lane.offload_with(move |job| {
            let mut kept = inner.offload(move || one.pass());
            wait_a_while(job, &mut kept, told);
            two.pass();
            job.block_on(kept).expect("nobody cancels it").unwrap();
        });
        // It has the slot of the one that waits for it.
        borrows.arrived(1).await;
        beside.open();
        other_slot.await.unwrap();
        let first = lane.reserve().await.unwrap();
        let second = lane.reserve().await.unwrap();
        assert!(lane.offload(|| ()).await.unwrap_err().is_full());
        go_on.send(()).unwrap();
        goes_on.arrived(1).await;
        let tasks = [first.offload(|| 1), second.offload(|| 2)];
        assert!(lane.offload(|| ()).await.unwrap_err().is_full(), "nobody else gets in");
        assert_books(&lane.stats());
        borrows.open();
        goes_on.open();
        for (task, value) in tasks.into_iter().zip([1, 2]) {
            assert_eq!(task.await.unwrap(), value);
        }
        outer.await.unwrap();
        is_as_new(&lane).await;
        assert_eq!(lane.stats().refused, 2);
    }

    /// In somebody else's loop nobody sees the cancel but the job that is waited for.
    async fn a_cancel_reaches_the_job_that_is_waited_for_in_a_foreign_loop(place: Place) {
        let lane = place.lane(1);
        let (inner, blocked) = (lane.clone(), Gate::new());
        let door = blocked.door();
        let outer = lane.offload(move || {
            let nested = inner.offload_with(move |job| {
                let interrupt = door.clone();
                let _guard = job.on_cancel(move || interrupt.open());
                door.pass();
            });
            executor::block_on(nested).is_err()
        });
        blocked.arrived(1).await;
        drop(outer);
        is_as_new(&lane).await;
        assert_eq!(lane.stats().cancelled, 2);
    }
}

/// Tokio's pool is full. Who waits for a job that had no slot hears when there is one, though the
/// thread for it never comes.
#[test]
fn who_can_run_a_job_is_told_when_it_has_a_slot() {
    watched(|| {
        let runtime = Flavour::MultiThread
            .builder()
            .max_blocking_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let [outer, inner] = [2, 1].map(|limit| {
                let name = format!("full{limit}");
                watch_over(Lane::builder(name).limit(limit).build())
            });
            // It has the other of the two threads.
            let (begin, begins) = mpsc::channel::<()>();
            let to = inner.clone();
            let second = outer.offload_with(move |job| {
                begins.recv().expect("it is told");
                job.block_on(to.offload(|| 7)).unwrap().unwrap()
            });
            let gate = Gate::new();
            let door = gate.door();
            let to = inner.clone();
            let first = outer.offload_with(move |job| {
                let held = to.offload(move || door.pass());
                job.block_on(async {
                    held.await.expect("it runs aside");
                    second.await
                })
            });
            gate.arrived(1).await;
            begin.send(()).unwrap();
            eventually("both wait", || outer.stats().suspended == 2).await;
            assert_eq!(inner.stats().waiting, 1);
            gate.open();
            assert_eq!(first.await.unwrap().unwrap().unwrap(), 7);
        });
    });
}

/// The only thread of a pool waits for a job of its own lane, in somebody else's loop; the lane
/// would let that start.
#[cfg(feature = "rayon")]
#[test]
fn the_last_thread_of_a_pool_can_wait_in_a_foreign_loop() {
    watched(|| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let lane = watch_over(
            Lane::builder("narrow")
                .limit(2)
                .rayon(std::sync::Arc::new(pool))
                .build(),
        );
        let inner = lane.clone();
        let told = lane.offload(move || executor::block_on(inner.offload(|| 1)));
        assert_eq!(executor::block_on(told).unwrap().unwrap(), 1);
    });
}

/// K9. The only thread that a lane could have waits for a job of its own lane, in somebody else's
/// loop; the lane would let that start, and asks for no thread again.
#[test]
fn the_last_thread_of_a_lane_can_wait_in_a_foreign_loop() {
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::the_last_thread_of_a_lane_can_wait_in_a_foreign_loop"
        );
        return Child::new(test).passes();
    }
    watched(|| {
        let lane = Lane::builder("alone").limit(2).own_threads(Threads::new());
        let lane = watch_over(lane.build());
        let inner = lane.clone();
        let told = lane.offload(move || {
            let _none = NoMoreThreads::from_here_on();
            executor::block_on(inner.offload(|| 1))
        });
        assert_eq!(executor::block_on(told).unwrap().unwrap(), 1);
    });
}
