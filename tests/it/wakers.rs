//! R13: wakers are the user's code, and do as they like.

use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use longshore::{Error, Lane, Task, Threads};

use crate::support::{
    Door, Flavour, Gate, Place, eventually, every_slot_is_free, is_as_new, settles, watch_over,
    watched,
};

everywhere! {
    /// R13. A waker is the user's code: it may panic.
    async fn a_waker_that_panics_does_no_harm(place: Place) {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("as planned");
            }
        }
        let lane = place.bounded(1, 0);
        for _ in 0..5 {
            let gate = Gate::new();
            let door = gate.door();
            let mut task = lane.offload(move || door.pass());
            let mut in_line = lane.reserve();
            let waker = Waker::from(Arc::new(Panics));
            let mut context = Context::from_waker(&waker);
            assert!(std::pin::pin!(&mut task).poll(&mut context).is_pending());
            assert!(std::pin::pin!(&mut in_line).poll(&mut context).is_pending());
            gate.open();
            eventually("it is over", || task.is_finished()).await;
            task.await.unwrap();
            let permit = in_line.await.unwrap();
            assert_eq!(permit.offload(|| 7).await.unwrap(), 7);
        }
        is_as_new(&lane).await;
        every_slot_is_free(&lane).await;
    }

    /// R13. And it may call back into the lane, whenever it is cloned, woken or dropped: no lock is
    /// held meanwhile.
    async fn a_waker_may_use_the_lane_that_wakes_it(place: Place) {
        /// Looks at the lane and hands a job in whenever it can.
        struct Busy {
            lane: Lane,
            calls: Arc<AtomicUsize>,
        }
        impl Busy {
            fn use_lane(&self) {
                let _ = (self.lane.stats(), self.lane.jobs());
                drop(self.lane.reserve());
                self.calls.fetch_add(1, Ordering::SeqCst);
            }
        }
        impl Wake for Busy {
            fn wake(self: Arc<Self>) {
                self.use_lane();
            }
        }
        impl Drop for Busy {
            fn drop(&mut self) {
                self.use_lane();
            }
        }
        let lane = place.bounded(1, 1);
        let calls = Arc::new(AtomicUsize::new(0));
        let mut wakers: Vec<Weak<Busy>> = Vec::new();
        let mut waker = || {
            let busy = Arc::new(Busy { lane: lane.clone(), calls: calls.clone() });
            wakers.push(Arc::downgrade(&busy));
            Waker::from(busy)
        };
        let gate = Gate::new();
        let door = gate.door();
        let mut task = lane.offload(move || door.pass());
        gate.arrived(1).await;
        let waiting = lane.offload(|| ());
        let (mut first, mut second) = (lane.reserve(), lane.reserve());
        for _ in 0..3 {
            // Each time with a new waker, so that the one before is dropped wherever it was kept.
            let waker = waker();
            let mut context = Context::from_waker(&waker);
            assert!(std::pin::pin!(&mut task).poll(&mut context).is_pending());
            assert!(std::pin::pin!(&mut first).poll(&mut context).is_pending());
            assert!(std::pin::pin!(&mut second).poll(&mut context).is_pending());
        }
        // One in line goes away, with the waker that it alone had left there.
        let only = waker();
        assert!(std::pin::pin!(&mut second).poll(&mut Context::from_waker(&only)).is_pending());
        drop((only, second));
        let mut shutdown = Box::pin(lane.shutdown(Duration::from_secs(60)));
        let waker_of_shutdown = waker();
        assert!(shutdown.as_mut().poll(&mut Context::from_waker(&waker_of_shutdown)).is_pending());
        drop(waker_of_shutdown);
        assert!(matches!(first.await, Err(Error::Closed { .. })));
        gate.open();
        eventually("both are over", || task.is_finished() && waiting.is_finished()).await;
        task.await.unwrap();
        waiting.await.unwrap();
        assert!(matches!(futures::poll!(shutdown), Poll::Ready(Ok(_)) | Poll::Pending));
        is_as_new(&lane).await;
        eventually("each was dropped", || wakers.iter().all(|waker| waker.strong_count() == 0)).await;
        assert!(calls.load(Ordering::SeqCst) >= wakers.len());
    }
}

/// K4. An outcome that its task has not given is dropped with the task: not by the worker, which still has
/// a hand on it while it calls, and which the next job counts on.
#[test]
fn an_outcome_that_nobody_takes_is_dropped_with_its_task() {
    struct Holds(Door);
    impl Wake for Holds {
        fn wake(self: Arc<Self>) {
            self.0.pass();
        }
    }
    struct Tells(mpsc::Sender<ThreadId>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    watched(|| {
        for leave in [drop, Task::detach] {
            let lane = Lane::builder("holds")
                .limit(1)
                .own_threads(Threads::new())
                .build();
            let (gate, calling, (tells, told)) = (Gate::new(), Gate::new(), mpsc::channel());
            let (door, value) = (gate.door(), Tells(tells));
            let mut task = lane.offload(move || {
                door.pass();
                value
            });
            let waker = Waker::from(Arc::new(Holds(calling.door())));
            let mut context = Context::from_waker(&waker);
            assert!(Pin::new(&mut task).poll(&mut context).is_pending());
            gate.open();
            settles("the worker calls", || calling.count() == 1);
            leave(task);
            assert_eq!(told.try_recv(), Ok(thread::current().id()));
            calling.open();
            settles("the worker is back", || lane.stats().workers == 0);
        }
    });
}

/// R13. A waker may park the thread that calls it, for a reason of its own, and is then woken by what was
/// meant for the worker.
#[test]
fn a_waker_that_parks_takes_no_wake_up_from_its_lane() {
    struct Parks(mpsc::Sender<()>);
    impl Wake for Parks {
        fn wake(self: Arc<Self>) {
            self.0.send(()).expect("the test waits for it");
            thread::park_timeout(Duration::from_secs(10));
        }
    }
    watched(|| {
        // A worker that has missed its call would come when this is over.
        let threads = Threads::new().keep_alive(Duration::from_secs(3_600));
        let lane = Lane::builder("parks").limit(1).own_threads(threads).build();
        let (gate, (says, said)) = (Gate::new(), mpsc::channel());
        let door = gate.door();
        let mut first = lane.offload(move || door.pass());
        let waker = Waker::from(Arc::new(Parks(says)));
        let pending = Pin::new(&mut first).poll(&mut Context::from_waker(&waker));
        assert!(pending.is_pending());
        gate.open();
        said.recv()
            .expect("the worker is in the waker, and idle by the books");
        futures::executor::block_on(lane.offload(|| ())).unwrap();
    });
}

/// A task of brisk jobs looks out for its outcome, when its runtime lets it. Where somebody else's loop
/// blocks the runtime's thread instead, it has to be called.
#[test]
fn a_loop_that_blocks_a_thread_of_the_runtime_is_called() {
    watched(|| {
        Flavour::MultiThread.runtime().block_on(async {
            let lane = Lane::builder("brisk").limit(2).build();
            let task = tokio::spawn(async move {
                for _ in 0..500 {
                    lane.offload(|| ()).await.unwrap();
                }
                for _ in 0..1_000 {
                    let begun = Instant::now();
                    let job = lane.offload(move || {
                        while begun.elapsed() < Duration::from_micros(10) {
                            std::hint::spin_loop();
                        }
                    });
                    futures::executor::block_on(job).unwrap();
                }
            });
            task.await.unwrap();
        });
    });
}

/// Nor does it matter whether the worker has another job to go on with, and how long that takes: it may
/// wait for the very task that waits for the one before.
#[test]
fn an_outcome_that_is_there_does_not_wait_for_the_next_job() {
    watched(|| {
        for short in [10, 20, 30].repeat(8) {
            Flavour::MultiThread.runtime().block_on(async {
                let lane = watch_over(Lane::builder("brisk").limit(1).build());
                let task = tokio::spawn(async move {
                    for _ in 0..100 {
                        lane.offload(|| ()).await.unwrap();
                    }
                    let job = || {
                        let begun = Instant::now();
                        while begun.elapsed() < Duration::from_micros(10) {
                            std::hint::spin_loop();
                        }
                    };
                    let ahead: Vec<_> = (0..short).map(|_| lane.offload(job)).collect();
                    let looked_out_for = lane.offload(job);
                    let (tell, told) = mpsc::channel();
                    let next = lane.offload(move || told.recv_timeout(Duration::from_secs(15)));
                    futures::executor::block_on(looked_out_for).unwrap();
                    tell.send(()).unwrap();
                    next.await.unwrap().expect("told in time");
                    drop(ahead);
                });
                task.await.unwrap();
            });
        }
    });
}

/// R13. A waker may panic when it is dropped: here where its task looks out, again and again with another.
#[test]
fn a_waker_that_panics_in_its_drop_does_no_harm_to_who_looks_out() {
    /// Called in the poll itself, as a task does that looks out where no runtime would poll it again.
    struct Panics(Arc<AtomicUsize>);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("as planned");
        }
    }
    watched(|| {
        let lane = Lane::builder("brisk").limit(1);
        let lane = watch_over(lane.own_threads(Threads::new()).build());
        let calls = Arc::new(AtomicUsize::new(0));
        // Where jobs are brisk, which on a busy machine they may not be at once.
        settles("a task looks out twice", || {
            (0..50).for_each(|_| lane.offload(|| ()).detach());
            settles("they are over", || lane.jobs().is_empty());
            let (gate, before) = (Gate::new(), calls.load(Ordering::SeqCst));
            let door = gate.door();
            let mut task = lane.offload(move || door.pass());
            for _ in 0..3 {
                // The lane has the last that there is of it.
                let waker = Waker::from(Arc::new(Panics(calls.clone())));
                let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
            }
            drop(task);
            calls.load(Ordering::SeqCst) >= before + 2
        });
    });
}
