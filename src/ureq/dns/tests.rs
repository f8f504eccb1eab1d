//! With a function of the test's own for the system.

use std::{
    net::{Ipv6Addr, SocketAddrV6},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::*;

const FOR_EVER: Until = Until::NEVER;

#[test]
fn a_literal_is_its_own_address() {
    for (host, address) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("::1", "::1")] {
        let expected = SocketAddr::new(address.parse().expect("an address"), 0);
        let found = addresses(host, FOR_EVER).expect("a literal needs no lookup");
        assert_eq!(&*found, [expected]);
    }
}

#[test]
fn an_address_that_is_valid_on_one_link_only_is_told_with_its_link() {
    const LINK: u32 = 7;
    let resolver = Resolver::new(|_| {
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        Ok(vec![SocketAddrV6::new(address, 0, 0, LINK).into()])
    });
    // Looked up, and from the book.
    for _ in 0..2 {
        match resolver.addresses("link.test", FOR_EVER).as_deref() {
            Ok([SocketAddr::V6(address)]) => assert_eq!(address.scope_id(), LINK),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lookups_of_one_name_are_one_lookup() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static GATE: Barrier = Barrier::new(2);
    let resolver = Resolver::new(|_| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        GATE.wait();
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    });
    thread::scope(|scope| {
        let callers: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| resolver.addresses("one.test", FOR_EVER)))
            .collect();
        let waiting = || match resolver.book.lock().names.get("one.test") {
            Some(Name::Asked(question)) => question.state.lock().waiting.len(),
            _ => 0,
        };
        while waiting() < 10 {
            thread::yield_now();
        }
        GATE.wait();
        for caller in callers {
            let found = caller.join().expect("it does not panic");
            assert_eq!(found.expect("there is an answer").len(), 1);
        }
    });
    // And the answer is good for a while, here for longer than this thread can be held up.
    match resolver.book.lock().names.get_mut("one.test") {
        Some(Name::Known(_, until)) => *until += Duration::from_secs(3_600),
        _ => panic!("it is remembered"),
    }
    assert!(resolver.addresses("one.test", FOR_EVER).is_ok());
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
}

#[test]
fn an_answer_is_asked_for_again_after_five_seconds() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let resolver = Resolver::new(|_| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    });
    let before = Instant::now();
    let found = resolver.addresses("old.test", FOR_EVER);
    assert!(found.is_ok());
    let after = Instant::now();
    match resolver.book.lock().names.get_mut("old.test") {
        Some(Name::Known(_, until)) => {
            let five = Duration::from_secs(5);
            assert!((before + five..=after + five).contains(until));
            // As if they were over.
            *until = after;
        }
        _ => panic!("it is remembered"),
    }
    let found = resolver.addresses("old.test", FOR_EVER);
    assert!(found.is_ok());
    assert_eq!(ASKED.load(Ordering::SeqCst), 2);
}

/// C3. The thread of the one is free while the lookup still hangs, and the other is told.
#[test]
fn one_of_two_jobs_that_wait_for_an_answer_can_be_cancelled() {
    static GATE: Barrier = Barrier::new(2);
    let resolver: &Resolver = Box::leak(Box::new(Resolver::new(|_| {
        GATE.wait();
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    })));
    let lane = Lane::builder("callers")
        .limit(2)
        .own_threads(Threads::new())
        .build();
    let ask = || lane.offload(|| resolver.addresses("shared.test", FOR_EVER).is_ok());
    let (given_up, kept) = (ask(), ask());
    let waiting = || match resolver.book.lock().names.get("shared.test") {
        Some(Name::Asked(question)) => question.state.lock().waiting.len(),
        _ => 0,
    };
    let until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            thread::yield_now();
        }
    };
    until(&|| waiting() == 2);
    drop(given_up);
    until(&|| lane.stats().draining == 0);
    assert_eq!((lane.stats().running, waiting()), (1, 1));
    GATE.wait();
    assert!(crate::job::block_on(kept).expect("it has its place"));
}

#[test]
fn a_failure_is_told_to_all_and_not_remembered() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let resolver = Resolver::new(|host| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::new(io::ErrorKind::NotFound, host))
    });
    for _ in 0..2 {
        let stop = resolver.addresses("none.test", FOR_EVER).unwrap_err();
        assert!(matches!(stop, Stop::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }
    assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    assert!(resolver.book.lock().names.is_empty());
}

#[test]
fn a_lookup_that_hangs_is_left_at_the_deadline_and_holds_one_thread() {
    static GATE: Barrier = Barrier::new(2);
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let resolver = Resolver::new(|_| {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        GATE.wait();
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    });
    let ask = || {
        let soon = Until::after(Some(Duration::from_millis(1)));
        let stop = resolver.addresses("hangs.test", soon).unwrap_err();
        assert!(matches!(stop, Stop::Timeout));
    };
    // One that was given up before its thread came has not begun, and is asked for again.
    while BEGUN.load(Ordering::SeqCst) == 0 {
        ask();
    }
    for _ in 0..20 {
        ask();
    }
    // What was given up leaves its queue in a moment.
    loop {
        let stats = resolver.lane.stats();
        if (stats.running + stats.draining, stats.waiting) == (1, 0) {
            break;
        }
        thread::yield_now();
    }
    GATE.wait();
}

#[test]
fn however_many_names_hang_four_threads_do() {
    static GATE: Barrier = Barrier::new(THREADS + 1);
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let resolver = Resolver::new(|host| {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        if host.starts_with("hangs") {
            GATE.wait();
        }
        Err(io::ErrorKind::NotFound.into())
    });
    let soon = || Until::after(Some(Duration::from_millis(1)));
    for n in 0..THREADS {
        // As above.
        while INSIDE.load(Ordering::SeqCst) <= n {
            let name = format!("hangs{n}.test");
            assert!(resolver.addresses(&name, soon()).is_err());
        }
    }
    for n in 0..40 {
        assert!(
            resolver
                .addresses(&format!("late{n}.test"), soon())
                .is_err()
        );
    }
    let stats = resolver.lane.stats();
    assert_eq!(stats.running + stats.draining, THREADS);
    assert_eq!(INSIDE.load(Ordering::SeqCst), THREADS);
    GATE.wait();
    while resolver.lane.stats().waiting > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_lookup_that_nobody_wants_any_more_does_not_begin() {
    static GATE: Barrier = Barrier::new(THREADS + 1);
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let resolver = Resolver::new(|host| {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        if host.starts_with("hangs") {
            GATE.wait();
        }
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    });
    let soon = || Until::after(Some(Duration::from_millis(1)));
    for n in 0..THREADS {
        // One that was given up before its thread came has not begun, and is asked for again.
        while BEGUN.load(Ordering::SeqCst) <= n {
            let name = format!("hangs{n}.test");
            assert!(resolver.addresses(&name, soon()).is_err());
        }
    }
    for n in 0..100 {
        assert!(
            resolver
                .addresses(&format!("given{n}.test"), soon())
                .is_err()
        );
        assert_eq!(resolver.lane.stats().waiting, 0);
    }
    assert_eq!(resolver.book.lock().names.len(), THREADS);
    GATE.wait();
    // Asked for again, it is a new question.
    assert!(resolver.addresses("given7.test", FOR_EVER).is_ok());
    assert_eq!(BEGUN.load(Ordering::SeqCst), THREADS + 1);
}

#[test]
fn the_book_does_not_grow_without_end() {
    let resolver = Resolver::new(|_| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]));
    for n in 0..2 * KEPT {
        let found = resolver.addresses(&format!("n{n}.test"), FOR_EVER);
        assert!(found.is_ok());
    }
    assert!(resolver.book.lock().names.len() <= KEPT);
}
