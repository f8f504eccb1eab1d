//! K12: what nobody would be told of otherwise.

use std::{
    sync::{LazyLock, mpsc},
    time::Duration,
};

use longshore::{Error, Group, Lane, lane::Threads};

use crate::seen::{SUBSCRIBED, lanes, runtimes, warned, warning};

/// K5, K12. A panic that nobody is told of is said here.
#[test]
fn a_late_panic_is_told_with_where_the_job_came_from() {
    for (i, runtime) in runtimes().into_iter().enumerate() {
        for (j, lane) in lanes("late").into_iter().enumerate() {
            runtime.block_on(async {
                let (open, gate) = mpsc::channel::<()>();
                let (say, started) = mpsc::channel();
                let label = format!("late{i}{j}");
                let line = line!() + 1;
                let task = lane.label(label.as_str()).offload(move || {
                    say.send(()).unwrap();
                    let _ = gate.recv();
                    panic!("as planned");
                });
                started.recv().unwrap();
                drop(task);
                open.send(()).unwrap();
                let text = warning("late", &[&label, "panicked after its caller"]);
                assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
            });
        }
    }
}

/// K12.
#[test]
fn a_panic_in_a_hook_is_told() {
    for (i, runtime) in runtimes().into_iter().enumerate() {
        for j in 0..lanes("").len() {
            // A name for each, or the warning of one would do for all.
            let name = format!("hook{i}{j}");
            let lane = lanes(&name).swap_remove(j);
            runtime.block_on(async {
                let (open, gate) = mpsc::channel::<()>();
                let (say, started) = mpsc::channel();
                let task = lane.offload_with(move |job| {
                    let _guard = job.on_cancel(|| panic!("as planned"));
                    say.send(()).unwrap();
                    let _ = gate.recv();
                });
                started.recv().unwrap();
                task.cancel();
                drop(open);
                warning(&name, &["panicked"]);
            });
        }
    }
}

/// K9, K12.
#[test]
fn a_refused_thread_is_told() {
    LazyLock::force(&SUBSCRIBED);
    let threads = Threads::new().stack_size(1 << 46);
    let lane = Lane::builder("refused")
        .limit(1)
        .own_threads(threads)
        .build();
    let told = futures::executor::block_on(lane.offload(|| ()));
    assert!(matches!(told, Err(Error::NoThread { .. })));
    warning("refused", &["no thread"]);
}

/// A job that tells when it has started, and hears of nothing until what is given is dropped.
fn deaf() -> (
    impl FnOnce() + Send + 'static,
    mpsc::Receiver<()>,
    mpsc::Sender<()>,
) {
    let (open, gate) = mpsc::channel::<()>();
    let (say, started) = mpsc::channel();
    let job = move || {
        say.send(()).unwrap();
        let _ = gate.recv();
    };
    (job, started, open)
}

fn lane_of_one_thread(name: &str) -> Lane {
    Lane::builder(name)
        .limit(1)
        .own_threads(Threads::new())
        .build()
}

/// K10, K12.
#[test]
fn a_stuck_job_is_told_when_its_lane_is_shut_down() {
    // A name for each, or the warning of one would do for both.
    for (runtime, name) in runtimes().into_iter().zip(["stuck-one", "stuck-two"]) {
        let lane = lane_of_one_thread(name);
        runtime.block_on(async {
            let (job, started, open) = deaf();
            let _task = lane.label("culprit").offload(job);
            started.recv().unwrap();
            lane.shutdown(Duration::ZERO).await.unwrap_err();
            warning(name, &["culprit", "a job is stuck"]);
            drop(open);
        });
    }
}

#[test]
fn a_stuck_child_is_told_when_its_group_is_shut_down() {
    for (runtime, name) in runtimes().into_iter().zip(["nursery-one", "nursery-two"]) {
        let lane = lane_of_one_thread(name);
        runtime.block_on(async {
            let (job, started, open) = deaf();
            let group = Group::new();
            group.label("deaf").offload(&lane, job);
            started.recv().unwrap();
            group.shutdown(Duration::ZERO).await.unwrap_err();
            let text = warned(name, &["`deaf`", "a child is stuck"]);
            assert!(text.starts_with("target=longshore::group "), "{text}");
            drop(open);
        });
    }
}
