//! The ranking of what is left.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use longshore::stall::{Watch, Watching, watched};

use crate::support::{Flavour, Gate, PATIENCE, Watched};
#[cfg(all(feature = "stall-stacks", target_arch = "x86_64"))]
use crate::{
    nobody::{no_more_threads, passes_as_nobody},
    support::{in_child, in_time},
};

/// What it costs to look names up is then left to who reads them, and not to those that look or to
/// whoever ends the watch.
#[test]
#[cfg(all(feature = "stall-stacks", target_arch = "x86_64"))]
fn a_profile_that_has_no_thread_of_its_own_is_given_without_looking_names_up() {
    if !in_child() {
        let name = "::a_profile_that_has_no_thread_of_its_own_is_given_without_looking_names_up";
        return passes_as_nobody(&format!("{}{name}", module_path!()));
    }
    #[inline(never)]
    fn naps() {
        thread::sleep(Duration::from_millis(4));
        std::hint::black_box(());
    }
    #[inline(never)]
    fn calls() {
        naps();
        std::hint::black_box(());
    }
    in_time(|| {
        let watched = Watched::new(Flavour::MultiThread);
        no_more_threads();
        let (gate, opener) = Gate::new();
        let naps = watched.runtime.spawn(async move {
            while !gate.is_open() {
                naps();
                tokio::time::sleep(Duration::from_millis(1)).await;
                calls();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        // Two ways lead to that line, and that they do is seen by their names only.
        let both = |profile: &longshore::stall::Profile| {
            let of_naps = profile
                .rows
                .iter()
                .filter(|row| row.blame().is_some_and(|blame| blame.contains("naps")));
            of_naps.count() >= 2
        };
        // On a machine that has other things to do, one may not be seen for a while.
        loop {
            let profile = watched.watching.profile_for(Duration::from_secs(1));
            if both(&watched.runtime.block_on(profile)) {
                break;
            }
        }
        drop(opener);
        watched.runtime.block_on(naps).unwrap();
    });
}

fn patient() -> Watch {
    Watch::new().threshold(Duration::from_secs(10))
}

on_both! {
    /// None of these is long, and all are found: the one that takes most of the time first.
    fn short_calls_are_ranked_by_the_time_they_take(flavour: Flavour) {
        // A call that is held up may be long all the same, and is no stall here.
        let watched_runtime = Watched::with(flavour, patient());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for peer in listener.incoming() {
                let Ok(mut peer) = peer else { return };
                thread::spawn(move || {
                    while peer.read_exact(&mut [0]).is_ok() {
                        thread::sleep(Duration::from_millis(20));
                        let _ = peer.write_all(b"x");
                    }
                });
            }
        });
        let (gate, opener) = Gate::new();
        let watching = watched_runtime.watching.clone();
        let profile = watched_runtime.is_quiet(async {
            let asked = gate.clone();
            let asks = tokio::spawn(watched(async move {
                let mut peer = TcpStream::connect(address).unwrap();
                while !asked.is_open() {
                    peer.write_all(b"x").unwrap();
                    peer.read_exact(&mut [0]).unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }));
            let naps = tokio::spawn(async move {
                while !gate.is_open() {
                    thread::sleep(Duration::from_millis(4));
                    // Much less of the time than the other's calls take.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            let profile = watching.profile_for(Duration::from_secs(2)).await;
            drop(opener);
            asks.await.unwrap();
            naps.await.unwrap();
            profile
        });
        assert!(profile.lasted >= Duration::from_secs(2));
        let first = &profile.rows[0];
        let call = first.call.as_ref().expect("it is named");
        assert_eq!(call.peer, Some(address.to_string()), "{profile}");
        assert!(first.watched_at.is_some(), "{profile}");
        let nap = profile.rows.iter().find(|row| {
            row.call.as_ref().is_some_and(|call| call.syscall == "clock_nanosleep")
        });
        let nap = nap.unwrap_or_else(|| panic!("{profile}"));
        assert!(nap.blocked < first.blocked, "{profile}");
        assert_eq!(nap.watched_at, None);
    }

    /// What there is by then is given, at once.
    fn a_profile_ends_with_its_watch(flavour: Flavour) {
        for _ in 0..20 {
            let Watched { runtime, watching, begun: _begun, ended: _ended } = Watched::new(flavour);
            let forever = watching.profile_for(Duration::MAX);
            crate::support::wait_for_looks(&watching, 1);
            drop(watching);
            let profile = runtime.block_on(forever);
            assert!(profile.rows.is_empty(), "{profile}");
        }
    }

    /// Whom its end wakes may ask for the next, then and there.
    fn a_waker_may_ask_for_another_profile(flavour: Flavour) {
        struct Again(Arc<Watching>, mpsc::Sender<()>);
        impl Wake for Again {
            fn wake(self: Arc<Self>) {
                drop(self.0.profile_for(Duration::ZERO));
                let _ = self.1.send(());
            }
        }
        let watched = Watched::new(flavour);
        let (say, said) = mpsc::channel();
        let waker = Waker::from(Arc::new(Again(watched.watching.clone(), say)));
        let mut profile = pin!(watched.watching.profile_for(Duration::from_millis(20)));
        assert!(profile.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        said.recv_timeout(PATIENCE).expect("the watchdog goes on");
        crate::support::wait_for_looks(&watched.watching, 2);
    }

    fn a_runtime_that_does_not_block_has_an_empty_profile(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let watching = watched.watching.clone();
        let profile = watched.is_quiet(async {
            let blocking = tokio::task::spawn_blocking(|| thread::sleep(Duration::from_millis(300)));
            let profile = watching.profile_for(Duration::from_millis(300)).await;
            blocking.await.unwrap();
            profile
        });
        assert!(profile.rows.is_empty(), "{profile}");
        assert!(profile.to_string().ends_with("nothing was seen to block a worker"));
    }

    /// What blocks is told by its line, whoever calls it.
    #[cfg(all(feature = "stall-stacks", target_arch = "x86_64"))]
    fn rows_are_lines_of_the_program(flavour: Flavour) {
        #[inline(never)]
        fn naps(line: &std::sync::atomic::AtomicU32) {
            line.store(line!() + 1, std::sync::atomic::Ordering::Relaxed);
            thread::sleep(Duration::from_millis(4));
            std::hint::black_box(line);
        }
        #[inline(never)]
        fn calls(line: &std::sync::atomic::AtomicU32) {
            naps(line);
            std::hint::black_box(line);
        }
        let watched = Watched::with(flavour, patient());
        let watching = watched.watching.clone();
        let line = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let theirs = line.clone();
        let (gate, opener) = Gate::new();
        let profile = watched.is_quiet(async {
            let naps = tokio::spawn(async move {
                while !gate.is_open() {
                    naps(&theirs);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    calls(&theirs);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            let profile = loop {
                let profile = watching.profile_for(Duration::from_secs(1)).await;
                if !profile.rows.is_empty() {
                    break profile;
                }
            };
            drop(opener);
            naps.await.unwrap();
            profile
        });
        let line = line.load(std::sync::atomic::Ordering::Relaxed);
        let place = format!("stall/profiles.rs:{line}");
        let of_naps = profile.rows.iter().filter(|row| {
            row.blame().is_some_and(|blame| blame.contains("naps") && blame.contains(&place))
        });
        let of_naps: Vec<_> = of_naps.collect();
        assert_eq!(of_naps.len(), 1, "{place} in {profile}");
        assert!(2 * of_naps[0].blocked > profile.blocked(), "{profile}");
    }
}
