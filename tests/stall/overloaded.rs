//! A machine that is short of processors: it is nobody's stall, and hides none.

use std::{
    fs, hint,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use longshore::{
    Lane,
    stall::{Cause, Certainty, Watch, watched},
};
use tokio::task::{self, JoinHandle, block_in_place};

use crate::{
    successors,
    support::{
        Flavour, Gate, LOOKS, Watched, assert_quiet, compute, in_time, looks, wait_for_looks,
    },
};

/// Keeps all processors busy until it is dropped.
struct Overload {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Overload {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().unwrap().get();
        let threads = (0..=processors)
            .map(|_| {
                let over = over.clone();
                thread::spawn(move || {
                    while !over.load(SeqCst) {
                        compute(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        Self { over, threads }
    }
}

impl Drop for Overload {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A runtime whose threads have a name of their own: those of other tests are none of its workers.
fn named(flavour: Flavour, name: &str, watch: Watch) -> Watched {
    Watched::built_by(flavour.builder().thread_name(name), watch)
}

/// Something that does no harm until the gate is opened.
struct Harmless {
    name: &'static str,
    begin: fn(&Gate) -> Vec<JoinHandle<()>>,
}

const HARMLESS: &[Harmless] = &[
    Harmless {
        name: "idle",
        begin: |_| Vec::new(),
    },
    Harmless {
        name: "busy",
        begin: |gate| (0..8).map(|_| tokio::spawn(busy(gate.clone()))).collect(),
    },
    Harmless {
        name: "busy and watched",
        begin: |gate| {
            let busy = || watched(busy(gate.clone()));
            (0..8).map(|_| tokio::spawn(busy())).collect()
        },
    },
    Harmless {
        name: "spawn_blocking",
        begin: |gate| {
            let closures = (0..4).map(|closure| {
                let gate = gate.clone();
                task::spawn_blocking(move || {
                    if closure == 0 {
                        compute(Duration::from_millis(100));
                    }
                    gate.wait();
                })
            });
            closures.collect()
        },
    },
    Harmless {
        name: "a lane",
        begin: |gate| {
            let lane = Lane::builder("overloaded").limit(2).build();
            let jobs = (0..4).map(|_| {
                let gate = gate.clone();
                let job = lane.offload(move || gate.wait());
                tokio::spawn(watched(async { job.await.unwrap() }))
            });
            jobs.collect()
        },
    },
];

/// There is none on a current-thread runtime.
const IN_PLACE: Harmless = Harmless {
    name: "block_in_place",
    begin: |gate| {
        let tasks = (0..2).map(|task| {
            let gate = gate.clone();
            tokio::spawn(async move {
                block_in_place(|| {
                    if task == 0 {
                        compute(Duration::from_millis(100));
                    }
                    gate.wait();
                });
            })
        });
        tasks.collect()
    },
};

async fn busy(gate: Gate) {
    while !gate.is_open() {
        compute(Duration::from_millis(2));
        task::yield_now().await;
    }
}

impl Harmless {
    #[track_caller]
    fn is_quiet(&self, flavour: Flavour) {
        let watched = named(flavour, self.name, Watch::new());
        let (gate, opener) = Gate::new();
        let (wake, woken) = tokio::sync::oneshot::channel();
        let watching = watched.watching.clone();
        // Where it is looked at from, so that a runtime which is idle stays so.
        let looks = thread::spawn(move || {
            wait_for_looks(&watching, 2 * LOOKS);
            drop(opener);
            wake.send(()).unwrap();
        });
        watched.watching.block_on(&watched.runtime, async {
            let tasks = (self.begin)(&gate);
            woken.await.unwrap();
            for task in tasks {
                task.await.unwrap();
            }
        });
        looks.join().unwrap();
        println!("{} was looked at", self.name);
        assert_quiet(&watched.watching, &watched.begun);
    }
}

on_both! {
    /// All at once, each on a runtime of its own.
    fn what_does_no_harm_is_not_reported(flavour: Flavour) {
        let _overload = Overload::begin();
        let in_place = (flavour == Flavour::MultiThread).then_some(&IN_PLACE);
        thread::scope(|scope| {
            for harmless in HARMLESS.iter().chain(in_place) {
                scope.spawn(move || harmless.is_quiet(flavour));
            }
        });
    }

    fn a_lock_is_found(flavour: Flavour) {
        let _overload = Overload::begin();
        let watched = named(flavour, "a lock", Watch::new());
        watched.is_quiet(looks(&watched.watching, 3));
        let (stall, _) = watched.stall(|gate| gate.wait());
        assert_eq!((stall.cause, stall.certainty), (Cause::LockWait, Certainty::OneCall));
    }

    fn the_first_poll_of_a_fresh_runtime_is_found(flavour: Flavour) {
        let _overload = Overload::begin();
        let watched = Watched::fresh(flavour.builder().thread_name("fresh"), Watch::new());
        let (stall, _) = watched.stall(|gate| gate.wait());
        assert_eq!((stall.cause, stall.certainty), (Cause::LockWait, Certainty::OneCall));
    }

    fn a_sleep_is_found(flavour: Flavour) {
        let _overload = Overload::begin();
        let watched = named(flavour, "asleep", Watch::new());
        let (stall, _) = watched.stall(|gate| {
            gate.sleep_until_open(Duration::from_secs(3));
        });
        assert_eq!((stall.cause, stall.certainty), (Cause::BlockingCall, Certainty::OneCall));
        assert_eq!(stall.call.expect("it is known").syscall, "clock_nanosleep");
    }

    fn a_watched_poll_that_computes_is_found(flavour: Flavour) {
        let _overload = Overload::begin();
        let runtime = named(flavour, "computing", Watch::new());
        let (stall, _) = runtime.stall_of(|gate| watched(async move {
            while !gate.is_open() {
                hint::spin_loop();
            }
        }));
        assert!(matches!(stall.cause, Cause::Cpu { .. }), "{stall:?}");
        assert_eq!(stall.certainty, Certainty::OnePoll);
        assert!(stall.is_at("stall/overloaded.rs"), "{stall}");
    }

    fn a_worker_that_computes_is_found_if_that_is_asked_for(flavour: Flavour) {
        let _overload = Overload::begin();
        let short = Duration::from_millis(50);
        let watch = Watch::new().threshold(short).cpu_threshold(short);
        let watched = named(flavour, "asked for", watch);
        let (stall, _) = watched.stall(|gate| {
            while !gate.is_open() {
                hint::spin_loop();
            }
        });
        assert!(matches!(stall.cause, Cause::Cpu { .. }), "{stall:?}");
        assert_eq!(stall.certainty, Certainty::UpToTicks(61));
    }

    #[cfg(feature = "ureq")]
    fn a_blocking_http_call_is_found(flavour: Flavour) {
        let _overload = Overload::begin();
        let watched = named(flavour, "http", Watch::new());
        let (tell, peer) = std::sync::mpsc::channel();
        let (stall, _) = watched.stall(move |gate| {
            let address = crate::http::slow_server(gate);
            tell.send(address.clone()).unwrap();
            let config = ureq::config::Config::builder().proxy(None).build();
            let agent = ureq::Agent::new_with_config(config);
            agent.get(format!("http://{address}/")).call().unwrap();
        });
        assert_eq!((stall.cause, stall.certainty), (Cause::BlockingCall, Certainty::OneCall));
        let call = stall.call.expect("it is known");
        assert_eq!(call.peer, peer.recv().ok(), "{call:?}");
    }
}

#[test]
fn a_successor_that_stalls_is_found() {
    in_time(|| {
        let _overload = Overload::begin();
        successors::successor_stalls();
    });
}

/// The worker goes on elsewhere, in good health but for the processors that it does not get: at five
/// milliseconds a poll it takes 61 of them until Tokio notes that. (Where they take three seconds nobody can
/// tell: if others keep the machine busy as well, once more, with less to do, as long as there is hope.)
#[test]
fn a_worker_that_was_handed_on_is_not_reported() {
    in_time(|| {
        for overloads in [2, 1, 1, 0, 0, 0] {
            let overload: Vec<_> = (0..overloads).map(|_| Overload::begin()).collect();
            let watched = named(Flavour::MultiThread, "handed on", Watch::new());
            let (polls, took) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
            let test = async {
                let (gate, opener) = Gate::new();
                let mut tasks = (IN_PLACE.begin)(&gate);
                for _ in 0..8 {
                    let (gate, polls, took) = (gate.clone(), polls.clone(), took.clone());
                    tasks.push(tokio::spawn(async move {
                        while !gate.is_open() {
                            let begun = Instant::now();
                            use_processor(Duration::from_millis(5));
                            polls.fetch_add(1, SeqCst);
                            took.fetch_add(begun.elapsed().as_micros() as u64, SeqCst);
                            task::yield_now().await;
                        }
                    }));
                }
                looks(&watched.watching, 4 * LOOKS).await;
                drop(opener);
                for task in tasks {
                    task.await.unwrap();
                }
            };
            watched.watching.block_on(&watched.runtime, test);
            drop(overload);
            let poll = Duration::from_micros(took.load(SeqCst)) / polls.load(SeqCst);
            if 61 * poll < Duration::from_millis(1_500) {
                return assert_quiet(&watched.watching, &watched.begun);
            }
        }
        println!("nobody can tell: others keep the machine too busy");
    });
}

/// Computes until the thread was given so much time on a processor.
fn use_processor(time: Duration) {
    let used = || {
        let account = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let (used, _) = account.split_once(' ').unwrap();
        Duration::from_nanos(used.parse().unwrap())
    };
    let end = used() + time;
    while used() < end {}
}
