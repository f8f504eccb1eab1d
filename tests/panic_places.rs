//! Where panics happen. In a binary of its own, since `locate_panics` is for the whole process.

use longshore::{
    Error, Lane,
    error::{Panic, locate_panics},
    lane::Threads,
};

fn panic_of<T: Send + std::fmt::Debug + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Panic {
    locate_panics();
    let threads = Threads::new();
    let lane = Lane::builder("places")
        .limit(1)
        .own_threads(threads)
        .build();
    match futures::executor::block_on(lane.offload(call)) {
        Err(Error::Panicked(panic)) => panic,
        other => panic!("it must panic, and gave {other:?}"),
    }
}

#[track_caller]
fn assert_place(panic: &Panic, line: u32) {
    let place = panic.place().expect("panics are located");
    assert_eq!((place.file(), place.line()), (file!(), line), "{panic}");
    assert!(place.column() > 0);
    assert!(panic.to_string().contains(&place.to_string()), "{panic}");
}

#[test]
fn a_panic_tells_where_it_happened() {
    let line = line!() + 1;
    let panic = panic_of(|| -> u32 { panic!("here") });
    assert_place(&panic, line);
    assert_eq!(panic.message(), "here");
}

#[test]
fn the_place_of_an_earlier_panic_is_not_taken_for_that_of_a_later_job() {
    locate_panics();
    let lane = Lane::builder("places")
        .limit(1)
        .own_threads(Threads::new())
        .build();
    let caught = lane.offload(|| std::panic::catch_unwind(|| panic!("caught")).is_err());
    assert!(futures::executor::block_on(caught).unwrap());
    // The panic hook is not called for this one, so that nobody is told where it was.
    let silent = lane.offload(|| -> u32 { std::panic::resume_unwind(Box::new("silent")) });
    match futures::executor::block_on(silent) {
        Err(Error::Panicked(panic)) => assert!(panic.place().is_none(), "{panic}"),
        other => panic!("it must panic, and gave {other:?}"),
    }
}

/// Bad values of the builders name the value and what it should have been, at the caller's line.
#[test]
fn a_value_out_of_range_panics_at_the_line_that_gives_it() {
    let line = line!() + 1;
    let panic = panic_of(|| Lane::builder("mail").limit(0));
    assert_place(&panic, line);
    assert!(
        panic.message().contains("`limit`") && panic.message().contains('0'),
        "{panic}"
    );
    assert!(
        panic.message().contains("mail") && panic.message().contains("at least 1"),
        "{panic}"
    );

    for bytes in [0, 1, 16 * 1024 - 1] {
        let line = line!() + 1;
        let panic = panic_of(move || Threads::new().stack_size(bytes));
        assert_place(&panic, line);
        assert!(panic.message().contains("`stack_size`"), "{panic}");
        assert!(panic.message().contains("16384") && panic.message().contains(&bytes.to_string()));
    }

    let line = line!() + 3;
    let panic = panic_of(|| {
        let lane = Lane::builder("mail").build();
        let map = lane.map(0..3, |n: u32| n).concurrency(0);
        format!("{map:?}")
    });
    assert_place(&panic, line);
    assert!(panic.message().contains("`concurrency`"), "{panic}");
}

/// And what is just in range is not out of it.
#[test]
fn the_smallest_values_are_values_like_others() {
    let threads = Threads::new().stack_size(16 * 1024);
    let lane = Lane::builder("")
        .limit(1)
        .queue(0)
        .own_threads(threads)
        .build();
    assert_eq!(
        (lane.name(), lane.stats().limit, lane.stats().queue),
        ("", 1, Some(0))
    );
}
