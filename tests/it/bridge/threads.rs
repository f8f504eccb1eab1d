//! The threads that a bridge starts: when, by which names, and what is said of those that are refused.

use std::{
    thread,
    time::{Duration, Instant},
};

use longshore::{Bridge, bridge::Error};

use super::seven;
use crate::support::{
    AT_ONCE, Child, Flavour, NoMoreThreads, each_in_a_child, in_child, settles, threads_named,
    watched,
};

#[test]
fn the_clock_has_a_thread_only_while_it_is_needed() {
    // All bridges of the process have the one.
    if !in_child() {
        return Child::new(concat!(
            module_path!(),
            "::the_clock_has_a_thread_only_while_it_is_needed"
        ))
        .passes();
    }
    watched(|| {
        let clocks = || threads_named("longshore-clock").len();
        let bridge = Bridge::start().unwrap();
        for _ in 0..2 {
            assert_eq!(bridge.call(seven()).unwrap(), 7);
            assert_eq!(clocks(), 0);
            for _ in 0..3 {
                let (time, begun) = (Duration::from_millis(5), Instant::now());
                let pending = std::future::pending::<()>();
                assert!(bridge.call_timeout(time, pending).unwrap_err().is_timeout());
                // It stays for a second.
                let clocks = clocks();
                let is_late = begun.elapsed() >= Duration::from_secs(1);
                assert!(clocks == 1 || clocks == 0 && is_late, "{clocks}");
            }
            settles("the clock ends", || clocks() == 0);
        }
    });
}

/// W1. The system has no thread to give.
#[test]
fn a_thread_that_is_refused_is_an_error() {
    if !in_child() {
        return Child::new(concat!(
            module_path!(),
            "::a_thread_that_is_refused_is_an_error"
        ))
        .env("RUST_MIN_STACK", &(1_usize << 46).to_string())
        .passes();
    }
    // The test's own thread was started with a stack of its own choosing.
    watched(|| {
        let error = Bridge::start().unwrap_err();
        assert!(matches!(error, Error::NoThread(_)), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    });
}

/// W1. The system has threads for some of the workers, and not for all of them.
#[test]
fn of_the_workers_there_are_all_or_none() {
    let test = concat!(module_path!(), "::of_the_workers_there_are_all_or_none");
    each_in_a_child(test, &[false, true], |in_async| {
        let runtime = Flavour::CurrentThread.runtime();
        let few = NoMoreThreads::from_here_on();
        let start = || Bridge::builder().name("br-two").workers(2).start();
        // One thread more each time: its owner's, the first worker's, the second's.
        let mut refused = 0;
        let bridge = loop {
            few.but(refused);
            let told = match in_async {
                true => runtime.block_on(async { start() }),
                false => start(),
            };
            match told {
                Ok(bridge) => break bridge,
                Err(Error::NoThread(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            settles("those that had started end", || {
                threads_named("br-two").is_empty()
            });
        };
        assert!(refused > 0);
        assert_eq!(bridge.spawn(seven()).wait().unwrap(), 7);
        drop(bridge);
        settles("it ends", || threads_named("br-two").is_empty());
    });
}

/// A name is anything that the program was told, by a user perhaps.
#[test]
fn a_zero_byte_in_a_name_is_no_reason_to_fail() {
    watched(|| {
        let builder = Bridge::builder().name("br\0zero");
        for builder in [builder.clone(), builder.workers(1)] {
            let bridge = builder.clone().start().expect("threads can be had");
            let name = || thread::current().name().map(str::to_owned);
            let names = [
                bridge.spawn(async move { name() }).wait(),
                // On another thread of the same runtime.
                bridge.offload(move |_| name()).wait(),
            ];
            for name in names {
                assert_eq!(name.unwrap().as_deref(), Some("br zero"), "{builder:?}");
            }
        }
    });
}

/// W1. The clock's thread is refused to a call that has asked for no time.
#[test]
fn a_refused_clock_fails_no_call_that_needs_none() {
    let test = concat!(
        module_path!(),
        "::a_refused_clock_fails_no_call_that_needs_none"
    );
    if !in_child() {
        return Child::new(test).passes();
    }
    watched(|| {
        let runtime = Flavour::CurrentThread.runtime();
        let bridge = Bridge::from(runtime.handle().clone());
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let _none = NoMoreThreads::from_here_on();
        assert_eq!(bridge.call(seven()).unwrap(), 7);
        assert_eq!(bridge.spawn(seven()).wait().unwrap(), 7);
        let told = bridge.call_timeout(AT_ONCE, seven());
        assert!(matches!(told, Err(Error::NoThread(_))), "{told:?}");
    });
}
