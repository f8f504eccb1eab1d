//! A test that hangs says where, and fails.

use std::{
    cell::RefCell,
    fs,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use longshore::Lane;

/// Longer than any test takes, on a machine with a lot else to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// What is shown of a test that hangs.
pub(super) type Lanes = Arc<Mutex<Vec<Lane>>>;

thread_local! {
    static LANES: RefCell<Option<Lanes>> = const { RefCell::new(None) };
}

/// Shows the lane if this test hangs. Keeps a handle on it until the test is over.
pub(crate) fn watch_over(lane: Lane) -> Lane {
    LANES.with_borrow(|lanes| {
        if let Some(lanes) = lanes {
            lanes.lock().unwrap().push(lane.clone());
        }
    });
    lane
}

/// Those of the test on this thread.
pub(super) fn lanes() -> Option<Lanes> {
    LANES.with_borrow(Clone::clone)
}

/// Has lanes that are made on this thread shown among those of a test on another.
pub(super) fn show(lanes: &Option<Lanes>) {
    LANES.set(lanes.clone());
}

/// Runs a test on a thread of its own and fails, with what is known, if it takes too long.
#[track_caller]
pub(crate) fn watched(test: impl FnOnce() + Send + 'static) {
    let lanes = Lanes::default();
    let theirs = lanes.clone();
    let (done, over) = mpsc::channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    thread::Builder::new()
        .name(name.clone())
        // Whatever a test says of the stacks of others.
        .stack_size(4 << 20)
        .spawn(move || {
            LANES.set(Some(theirs));
            let result = panic::catch_unwind(AssertUnwindSafe(test));
            LANES.set(None);
            // Nobody listens any more if it took too long.
            let _ = done.send(result);
        })
        .expect("a thread for the test can be had");
    match over.recv_timeout(PATIENCE) {
        Ok(Ok(())) => {}
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Err(_) => {
            report(&lanes.lock().unwrap());
            panic!("`{name}` was not over after {PATIENCE:?}");
        }
    }
}

fn report(lanes: &[Lane]) {
    for lane in lanes {
        // On a thread of its own: it may be the lane's lock that everything hangs on.
        let (name, lane) = (lane.name().to_owned(), lane.clone());
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            let _ = say.send(format!("{:#?}\n{:#?}", lane.stats(), lane.jobs()));
        });
        match said.recv_timeout(Duration::from_secs(2)) {
            Ok(text) => eprintln!("lane `{name}`: {text}"),
            Err(_) => eprintln!("lane `{name}`: its lock is held"),
        }
    }
    for task in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let (comm, wchan) = (read("comm"), read("wchan"));
        eprintln!(
            "thread {:?} {} in {wchan}",
            task.file_name(),
            comm.trim_end()
        );
    }
}
