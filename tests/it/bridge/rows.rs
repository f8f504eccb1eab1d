//! The places from which a bridge is used.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use longshore::{Bridge, Lane, lane::Threads};
use tokio::{
    runtime::{Handle, LocalRuntime, Runtime},
    task::{self, LocalSet, coop::unconstrained},
};

use crate::support::Flavour;

/// What is done in such a place.
pub(super) type Deed = Box<dyn FnOnce() + Send>;

/// Where I stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    PlainThread,
    LaneOnTokio(Flavour),
    LaneOnThreads(Flavour),
    LaneOutsideOfRuntimes,
    #[cfg(feature = "rayon")]
    LaneOnRayon,
    #[cfg(feature = "rayon")]
    RayonThread,
    SpawnBlocking(Flavour),
    /// A closure of `spawn_blocking` that has gone back into async code by itself.
    BlockOnInSpawnBlocking(Flavour),
    TaskOfMultiThread,
    /// In `block_in_place`, and in the `block_on` that is often found in there.
    BlockInPlace,
    BlockOnInPlace,
    TaskOfCurrentThread,
    /// Without a budget.
    UnconstrainedTask,
    BlockOn(Flavour),
    /// While another thread drives the runtime.
    SecondBlockOn,
    LocalRuntimeTask,
    LocalSetTask(Flavour),
    LocalSetInPlace,
    LocalSetRunUntil(Flavour),
    /// A future that a call of a bridge polls: from a plain thread, and from a worker.
    InCall,
    InCallOnWorker,
    InTaskOfBridge,
    InTaskOfBridgeWithWorkers,
    InOffload,
    InDeadRuntime,
    OtherRuntimeEntered,
    /// A task of a multi-thread runtime that has entered a current-thread one.
    OtherRuntimeEnteredInTask,
}

impl Row {
    pub(super) fn all() -> Vec<Self> {
        use Flavour::{CurrentThread, MultiThread};
        let mut rows = vec![
            Self::PlainThread,
            Self::LaneOutsideOfRuntimes,
            #[cfg(feature = "rayon")]
            Self::LaneOnRayon,
            #[cfg(feature = "rayon")]
            Self::RayonThread,
            Self::TaskOfMultiThread,
            Self::BlockInPlace,
            Self::BlockOnInPlace,
            Self::TaskOfCurrentThread,
            Self::UnconstrainedTask,
            Self::SecondBlockOn,
            Self::LocalRuntimeTask,
            Self::LocalSetInPlace,
            Self::InCall,
            Self::InCallOnWorker,
            Self::InTaskOfBridge,
            Self::InTaskOfBridgeWithWorkers,
            Self::InOffload,
            Self::InDeadRuntime,
            Self::OtherRuntimeEntered,
            Self::OtherRuntimeEnteredInTask,
        ];
        for flavour in [CurrentThread, MultiThread] {
            rows.extend([
                Self::LaneOnTokio(flavour),
                Self::LaneOnThreads(flavour),
                Self::SpawnBlocking(flavour),
                Self::BlockOnInSpawnBlocking(flavour),
                Self::BlockOn(flavour),
                Self::LocalSetTask(flavour),
                Self::LocalSetRunUntil(flavour),
            ]);
        }
        rows
    }

    /// Does it there, on a thread other than this one, which it does not wait for.
    pub(super) fn act(self, deed: Deed) {
        thread::spawn(move || self.act_here(deed));
    }

    fn act_here(self, deed: Deed) {
        let single = || Flavour::CurrentThread.runtime();
        let multi = || Flavour::MultiThread.runtime();
        match self {
            Self::PlainThread => deed(),
            Self::LaneOnTokio(flavour) => {
                let lane = Lane::builder("row").limit(1).build();
                flavour.runtime().block_on(on_lane(&lane, deed));
            }
            Self::LaneOnThreads(flavour) => {
                flavour.runtime().block_on(on_lane(&own_threads(), deed));
            }
            Self::LaneOutsideOfRuntimes => {
                futures::executor::block_on(on_lane(&own_threads(), deed));
            }
            #[cfg(feature = "rayon")]
            Self::LaneOnRayon => {
                let lane = Lane::builder("row").limit(1).rayon(pool()).build();
                multi().block_on(on_lane(&lane, deed));
            }
            #[cfg(feature = "rayon")]
            Self::RayonThread => pool().install(deed),
            Self::SpawnBlocking(flavour) => on(&flavour.runtime(), task::spawn_blocking, deed),
            Self::BlockOnInSpawnBlocking(flavour) => {
                let back = || Handle::current().block_on(async { deed() });
                on(&flavour.runtime(), task::spawn_blocking, back);
            }
            Self::TaskOfMultiThread => in_task(&multi(), async { deed() }),
            Self::BlockInPlace => in_task(&multi(), async { task::block_in_place(deed) }),
            Self::BlockOnInPlace => in_task(&multi(), async {
                task::block_in_place(|| Handle::current().block_on(async { deed() }));
            }),
            Self::TaskOfCurrentThread => in_task(&single(), async { deed() }),
            Self::UnconstrainedTask => in_task(&single(), unconstrained(async { deed() })),
            Self::BlockOn(flavour) => flavour.runtime().block_on(async { deed() }),
            Self::SecondBlockOn => second_block_on(deed),
            Self::LocalRuntimeTask => {
                let runtime = LocalRuntime::new().expect("a runtime can be had");
                let task = runtime.spawn_local(async { deed() });
                runtime.block_on(task).expect("it does not panic");
            }
            Self::LocalSetTask(flavour) => {
                let set = LocalSet::new();
                set.spawn_local(async { deed() });
                flavour.runtime().block_on(set);
            }
            Self::LocalSetInPlace => in_task(&multi(), async {
                task::block_in_place(|| {
                    let set = LocalSet::new();
                    set.spawn_local(async { deed() });
                    Handle::current().block_on(set);
                });
            }),
            Self::LocalSetRunUntil(flavour) => {
                let set = LocalSet::new();
                flavour.runtime().block_on(set.run_until(async { deed() }));
            }
            Self::InCall => started().call(async { deed() }).expect("it may wait"),
            Self::InCallOnWorker => in_task(&multi(), async {
                started().call(async { deed() }).expect("it may wait");
            }),
            Self::InTaskOfBridge => {
                let bridge = started();
                bridge.spawn(async { deed() }).wait().expect("it runs");
            }
            Self::InTaskOfBridgeWithWorkers => {
                let bridge = Bridge::builder().workers(1).start();
                let task = bridge.expect("a thread").spawn(async { deed() });
                task.wait().expect("it runs");
            }
            Self::InOffload => {
                let task = started().offload(|_| deed());
                task.wait().expect("it runs");
            }
            Self::InDeadRuntime => {
                let dead = dead();
                let _entered = dead.enter();
                deed();
            }
            Self::OtherRuntimeEntered => {
                let other = multi();
                single().block_on(async {
                    let _entered = other.enter();
                    deed();
                });
            }
            Self::OtherRuntimeEnteredInTask => {
                let other = single();
                let handle = other.handle().clone();
                in_task(&multi(), async move {
                    let _entered = handle.enter();
                    deed();
                });
            }
        }
    }
}

/// The handle of a runtime that has shut down.
pub(super) fn dead() -> Handle {
    let runtime = Flavour::MultiThread.runtime();
    let handle = runtime.handle().clone();
    runtime.shutdown_timeout(Duration::from_secs(1));
    handle
}

fn started() -> Bridge {
    Bridge::start().expect("a thread can be had")
}

fn own_threads() -> Lane {
    Lane::builder("row")
        .limit(1)
        .own_threads(Threads::new())
        .build()
}

#[cfg(feature = "rayon")]
fn pool() -> Arc<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    Arc::new(pool.expect("a pool can be had"))
}

async fn on_lane(lane: &Lane, deed: Deed) {
    lane.offload(deed).await.expect("it runs");
}

fn on<F: FnOnce() + Send>(
    runtime: &Runtime,
    spawn: impl FnOnce(F) -> task::JoinHandle<()>,
    deed: F,
) {
    runtime.block_on(async { spawn(deed).await.expect("it does not panic") });
}

fn in_task(runtime: &Runtime, future: impl Future<Output = ()> + Send + 'static) {
    let task = runtime.spawn(future);
    runtime.block_on(task).expect("it does not panic");
}

fn second_block_on(deed: Deed) {
    let runtime = Arc::new(Flavour::CurrentThread.runtime());
    let (driving, is_driven) = mpsc::channel();
    let (over, until_over) = tokio::sync::oneshot::channel::<()>();
    let driver = {
        let runtime = runtime.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                driving.send(()).expect("it is waited for");
                let _ = until_over.await;
            });
        })
    };
    is_driven.recv().expect("it comes to that");
    runtime.block_on(async { deed() });
    drop(over);
    driver.join().expect("it does not panic");
}
