//! What no library can contain, shown in processes of their own.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use longshore::{Lane, lane::Threads};

use crate::support::{Child, PanicOnDrop, in_child};

/// W8. A second panic while the first unwinds ends the process. That is Rust's rule.
#[test]
fn a_captured_value_that_panics_while_the_closure_does_ends_the_process() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    if !in_child() {
        let test = concat!(
            module_path!(),
            "::a_captured_value_that_panics_while_the_closure_does_ends_the_process"
        );
        let status = Child::new(test).output().status;
        assert_eq!(status.signal(), Some(6), "{status}");
        return;
    }
    let lane = Lane::builder("bomb")
        .limit(1)
        .own_threads(Threads::new())
        .build();
    let bomb = Bomb;
    let task = lane.offload(move || {
        let _bomb = bomb;
        panic!("first");
    });
    let _ = futures::executor::block_on(task);
}

/// W8, R9. Lanes that nobody ends do not keep a process from ending: not a default lane, nor one
/// with threads that would stay for an hour, nor one whose job never returns.
#[test]
fn a_process_ends_whatever_its_lanes_are_doing() {
    let test = concat!(
        module_path!(),
        "::a_process_ends_whatever_its_lanes_are_doing"
    );
    if !in_child() {
        // The harness of the child returns from its `main` with the jobs on their threads.
        return Child::new(test).passes();
    }
    let threads = Threads::new().keep_alive(Duration::from_secs(3_600));
    let lane = Box::leak(Box::new(
        Lane::builder("left").limit(2).own_threads(threads).build(),
    ));
    futures::executor::block_on(lane.offload(|| ())).unwrap();
    lane.offload(|| {
        loop {
            std::thread::park();
        }
    })
    .detach();
    let runtime = Box::leak(Box::new(tokio::runtime::Runtime::new().unwrap()));
    runtime.block_on(async {
        longshore::offload(|| ()).await.unwrap();
        longshore::offload(|| drop(PanicOnDrop("result")))
            .await
            .unwrap_err();
    });
}
