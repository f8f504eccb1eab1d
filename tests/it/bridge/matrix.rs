//! K16: where I stand, by which runtime. Each cell works, or says what to do instead.

use std::{
    panic,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use longshore::{
    Bridge,
    bridge::{Driving, Error},
};

use super::{
    rows::{Row, dead},
    seven,
};
use crate::support::{AT_ONCE, Child, Flavour, Gate, in_child, settles, watched};

/// Which runtime is called into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Own,
    OwnWithWorkers,
    Current,
    FromMultiThread,
    FromCurrentThread,
    FromDead,
}

impl Column {
    const ALL: [Self; 6] = [
        Self::Own,
        Self::OwnWithWorkers,
        Self::Current,
        Self::FromMultiThread,
        Self::FromCurrentThread,
        Self::FromDead,
    ];
}

/// What a cell comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Works,
    Refused(Driving),
    NoRuntime,
    ShutDown,
}

impl Told {
    fn of(result: Result<u32, Error>) -> Self {
        match result {
            Ok(7) => Self::Works,
            Err(Error::WouldBlockRuntime { driving, at, .. }) => {
                assert!(at.file().ends_with("matrix.rs"), "{at}");
                Self::Refused(driving)
            }
            Err(Error::NoRuntime { .. }) => Self::NoRuntime,
            Err(Error::ShutDown) => Self::ShutDown,
            other => panic!("{other:?}"),
        }
    }

    fn expected(row: Row, column: Column) -> Self {
        use Flavour::{CurrentThread, MultiThread};
        // Known without waiting, so that it is said everywhere.
        if column == Column::FromDead {
            return Self::ShutDown;
        }
        let current = column == Column::Current;
        match row {
            Row::PlainThread | Row::LaneOutsideOfRuntimes if current => Self::NoRuntime,
            #[cfg(feature = "rayon")]
            Row::RayonThread if current => Self::NoRuntime,
            Row::InDeadRuntime if current => Self::ShutDown,
            Row::TaskOfCurrentThread
            | Row::UnconstrainedTask
            | Row::BlockOn(CurrentThread)
            | Row::SecondBlockOn
            | Row::LocalRuntimeTask
            | Row::LocalSetTask(CurrentThread)
            | Row::LocalSetRunUntil(CurrentThread)
            | Row::InTaskOfBridge
            | Row::OtherRuntimeEntered
            | Row::OtherRuntimeEnteredInTask => Self::Refused(Driving::CurrentThreadRuntime),
            Row::LocalSetTask(MultiThread) | Row::BlockOnInSpawnBlocking(_) => {
                Self::Refused(Driving::LocalSet)
            }
            _ => Self::Works,
        }
    }
}

/// Each way to wait, and all have to be told the same.
fn in_every_way(bridge: Result<Bridge, Error>) -> Told {
    let bridge = match bridge {
        Ok(bridge) => bridge,
        Err(error) => return Told::of(Err(error)),
    };
    let ways = [
        Told::of(bridge.call(one_and_six())),
        Told::of(bridge.call_timeout(Duration::from_secs(8), seven())),
        Told::of(bridge.spawn(seven()).wait()),
        Told::of(bridge.spawn(seven()).wait_timeout(Duration::from_secs(8))),
        Told::of(
            bridge
                .scope(|scope| scope.spawn(seven()).wait())
                .and_then(|told| told),
        ),
        Told::of(
            bridge
                .offload(|bridge| bridge.call(seven()))
                .wait()
                .and_then(|told| told),
        ),
    ];
    assert!(ways.iter().all(|told| *told == ways[0]), "{ways:?}");
    ways[0]
}

/// As [`seven`], and cannot be sent.
async fn one_and_six() -> u32 {
    let one = Rc::new(1);
    seven().await - 1 + *one
}

#[test]
fn each_cell_works_or_says_what_to_do_instead() {
    // The panic hook is the whole process's.
    if !in_child() {
        return Child::new(concat!(
            module_path!(),
            "::each_cell_works_or_says_what_to_do_instead"
        ))
        .passes();
    }
    watched(|| {
        let panics = Arc::new(AtomicUsize::new(0));
        let counted = panics.clone();
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            counted.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));

        let multi = Flavour::MultiThread.runtime();
        let single = Flavour::CurrentThread.runtime();
        let single_handle = single.handle().clone();
        thread::spawn(move || single.block_on(std::future::pending::<()>()));
        let dead = dead();

        for row in Row::all() {
            for column in Column::ALL {
                let (multi, single) = (multi.handle().clone(), single_handle.clone());
                let dead = dead.clone();
                let (tell, told) = mpsc::channel();
                row.act(Box::new(move || {
                    let bridge = match column {
                        Column::Own => Bridge::start(),
                        Column::OwnWithWorkers => Bridge::builder().workers(1).start(),
                        Column::Current => Bridge::current(),
                        Column::FromMultiThread => Ok(Bridge::from(multi)),
                        Column::FromCurrentThread => Ok(Bridge::from(single)),
                        Column::FromDead => Ok(Bridge::from(dead)),
                    };
                    let _ = tell.send(in_every_way(bridge));
                }));
                let told = told
                    .recv_timeout(Duration::from_secs(6))
                    .unwrap_or_else(|error| panic!("{row:?}, {column:?}: {error}"));
                assert_eq!(told, Told::expected(row, column), "{row:?}, {column:?}");
            }
        }
        assert_eq!(
            panics.load(Ordering::SeqCst),
            0,
            "the panic hook was called"
        );
    });
}

/// R3. A refusal costs no time, and nothing was started.
#[test]
fn a_refusal_comes_at_once_and_before_anything_is_polled() {
    watched(|| {
        let bridge = Bridge::start().unwrap();
        Flavour::CurrentThread.runtime().block_on(async {
            let start = Instant::now();
            let told: Result<(), Error> = bridge.call(async { unreachable!("it is not polled") });
            let error = told.unwrap_err();
            assert!(start.elapsed() < AT_ONCE);
            assert!(error.to_string().contains("`.await` the future"), "{error}");
            let told = bridge.scope(|_| unreachable!("it is not called"));
            assert!(matches!(told, Err::<(), _>(error) if error.would_block_runtime()));
            // What the error says is what works.
            assert_eq!(bridge.spawn(async { 7 }).await.unwrap(), 7);
        });
    });
}

/// R4. What waits for nothing needs no driver; what needs one is told that there is none.
#[test]
fn a_runtime_that_nobody_drives_is_an_error_and_not_a_hang() {
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        let bridge = Bridge::from(runtime.handle().clone());
        assert_eq!(bridge.call(async { 7 }).unwrap(), 7);
        assert_eq!(bridge.offload(|_| 7).wait().unwrap(), 7);

        let gate = Gate::new();
        let (told, waits) = thread::scope(|scope| {
            let (bridge, gate, door) = (&bridge, &gate, gate.door());
            let closure = scope.spawn(move || {
                bridge.scope(|started| {
                    drop(started.offload(move |_| door.pass()));
                    settles("it begins", || gate.count() == 1);
                })
            });
            settles("it has begun", || gate.count() == 1);
            let told = scope.spawn(|| bridge.call(seven()));
            let waits = scope.spawn(|| bridge.spawn(seven()).wait());
            let error = bridge
                .call_timeout(Duration::from_millis(5), seven())
                .unwrap_err();
            assert!(error.is_timeout(), "the time is kept elsewhere: {error}");
            let told = (told.join().unwrap(), waits.join().unwrap());
            // Nor does a closure that has begun, and it is waited for for as long as it takes: here
            // for a moment longer than anything that needs a driver.
            thread::sleep(Duration::from_millis(50));
            assert!(!closure.is_finished());
            gate.open();
            closure.join().unwrap().expect("all of it has ended");
            told
        });
        assert!(matches!(told, Err(Error::NotDriven)), "{told:?}");
        assert!(matches!(waits, Err(Error::NotDriven)), "{waits:?}");

        // It is the runtime's matter, not the bridge's: when somebody drives it, it works.
        let waits = thread::spawn(move || bridge.call(seven()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let ended = thread::spawn(move || {
            let told = waits.join().expect("it does not panic");
            let _ = stop.send(());
            told
        });
        let _ = runtime.block_on(stopped);
        assert_eq!(ended.join().unwrap().unwrap(), 7);
    });
}

/// K16. The worker's other tasks go on while one of them waits.
#[test]
fn a_worker_that_waits_is_replaced() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bridge = Bridge::start().unwrap();
        let (ring, rung) = tokio::sync::oneshot::channel();
        // The only worker waits for what its own queue would do.
        let waits = runtime.spawn(async move {
            let other = tokio::spawn(async move { ring.send(7).expect("it is waited for") });
            let told = bridge.call(rung).expect("it may wait").expect("it is sent");
            other.await.expect("it does not panic");
            told
        });
        assert_eq!(runtime.block_on(waits).unwrap(), 7);
    });
}

/// As many tasks wait at once as the runtime can have threads: none is left to keep their time.
#[test]
fn a_runtime_whose_threads_all_wait_is_an_error_and_not_a_hang() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (tell, told) = mpsc::channel();
        // All are there before the first waits.
        runtime.spawn(async move {
            for _ in 0..3 {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let bridge = Bridge::current().expect("it is in one");
                    tell.send(bridge.call(seven())).expect("it is heard");
                });
            }
        });
        let told: Vec<_> = told.iter().collect();
        assert_eq!(told.len(), 3);
        let is_told = |told: &Result<u32, Error>| match told {
            Ok(7) => false,
            Err(Error::NotDriven) => true,
            other => panic!("{other:?}"),
        };
        assert!(told.iter().filter(|told| is_told(told)).count() >= 1);
    });
}

/// What Tokio tells of this place it tells of a worker too, so that it has to be tried.
#[test]
fn a_task_of_one_runtime_in_which_another_is_entered_is_refused() {
    watched(|| {
        let other = Flavour::MultiThread.runtime();
        let handle = other.handle().clone();
        let runtime = Flavour::CurrentThread.runtime();
        let task = runtime.spawn(async move {
            let _entered = handle.enter();
            Bridge::start().expect("a thread").call(seven())
        });
        let told = runtime.block_on(task).expect("it does not panic");
        assert!(told.unwrap_err().would_block_runtime());
    });
}
