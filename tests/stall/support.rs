//! What the tests share.

use std::{
    env, fs,
    process::{Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use longshore::stall::{Stall, Watch, Watching};
use tokio::runtime::{Builder, Runtime, RuntimeFlavor};

/// How long "in the end" may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// So many looks, 10 ms apart or more, are more than twice the default threshold.
pub(crate) const LOOKS: u64 = 40;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flavour {
    CurrentThread,
    MultiThread,
}

impl Flavour {
    pub(crate) fn builder(self) -> Builder {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        if self == Self::MultiThread {
            builder.worker_threads(2);
        }
        builder.enable_all().thread_name(name());
        builder
    }
}

/// One that no other runtime has, or threads of other tests that compute might be its workers. In letters,
/// since threads whose names differ in digits may be of one runtime.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let letters = (0..4).map(|at| char::from(b'a' + ((number >> (4 * at)) & 0xf) as u8));
    format!("stall-{}", letters.collect::<String>())
}

/// Makes a test for each flavour of a function that is given it.
macro_rules! on_both {
    ($( $(#[$meta:meta])* fn $name:ident($flavour:ident: Flavour) $body:block )*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            fn body($flavour: Flavour) $body

            #[test]
            fn on_current_thread() {
                $crate::support::in_time(|| body(Flavour::CurrentThread));
            }

            #[test]
            fn on_multi_thread() {
                $crate::support::in_time(|| body(Flavour::MultiThread));
            }
        }
    )*};
}

/// Runs a test on a thread of its own, and fails if it is not over in time.
#[track_caller]
pub(crate) fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match over.recv_timeout(2 * PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it was not over in time"),
        // It is over, one way or the other.
        _ => {
            if let Err(payload) = thread.join() {
                std::panic::resume_unwind(payload);
            }
        }
    }
}

/// Something that threads wait for until it is opened; it opens when it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// Opens a gate when it is dropped, so that a test that fails does not hang.
pub(crate) struct Opener(Gate);

impl Gate {
    pub(crate) fn new() -> (Self, Opener) {
        let gate = Self::default();
        (gate.clone(), Opener(gate))
    }

    /// Blocks the thread.
    pub(crate) fn wait(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    /// Blocks the thread in one sleep after the other.
    pub(crate) fn sleep_until_open(&self, length: Duration) {
        while !self.is_open() {
            thread::sleep(length);
        }
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A runtime that is watched, and what is said of it.
pub(crate) struct Watched {
    pub(crate) runtime: Runtime,
    pub(crate) watching: Arc<Watching>,
    pub(crate) begun: mpsc::Receiver<Stall>,
    pub(crate) ended: mpsc::Receiver<Stall>,
}

impl Watched {
    pub(crate) fn new(flavour: Flavour) -> Self {
        Self::with(flavour, Watch::new())
    }

    pub(crate) fn with(flavour: Flavour, watch: Watch) -> Self {
        Self::built_by(&mut flavour.builder(), watch)
    }

    /// Its workers have their threads, and have been idle once.
    pub(crate) fn built_by(builder: &mut Builder, watch: Watch) -> Self {
        let fresh = Self::fresh(builder, watch);
        let metrics = fresh.runtime.metrics();
        // That of a current-thread runtime is whoever drives it.
        if fresh.runtime.handle().runtime_flavor() == RuntimeFlavor::MultiThread {
            settles("the workers are idle", || {
                (0..metrics.num_workers()).all(|worker| metrics.worker_park_count(worker) > 0)
            });
        }
        fresh
    }

    /// As it is at its very beginning.
    pub(crate) fn fresh(builder: &mut Builder, watch: Watch) -> Self {
        let (watch, begun, ended) = listen(watch);
        let (runtime, watching) = watch.build(builder).unwrap();
        Self {
            runtime,
            watching: Arc::new(watching),
            begun,
            ended,
        }
    }

    /// Runs something on a worker that blocks it until the gate is opened, and opens it when that was
    /// reported. Gives the report and what was said at the end.
    #[track_caller]
    pub(crate) fn stall(&self, blocks: impl FnOnce(Gate) + Send + 'static) -> (Stall, Stall) {
        self.stall_of(|gate| async { blocks(gate) })
    }

    /// The same of a task that runs this future.
    #[track_caller]
    pub(crate) fn stall_of<F>(&self, task: impl FnOnce(Gate) -> F + Send) -> (Stall, Stall)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (gate, opener) = Gate::new();
        thread::scope(|scope| {
            let (watching, runtime) = (&self.watching, &self.runtime);
            scope.spawn(move || {
                watching.block_on(runtime, async move {
                    tokio::spawn(task(gate)).await.unwrap();
                    // The end of a stall is seen at the latest when the worker parks.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                });
            });
            let begun = self.begun.recv_timeout(PATIENCE);
            drop(opener);
            let begun = begun.expect("a stall is reported");
            let ended = self.ended.recv_timeout(PATIENCE);
            (begun, ended.expect("its end is reported"))
        })
    }

    /// Runs a future while it is looked at, and asserts that nothing was said.
    #[track_caller]
    pub(crate) fn is_quiet<T>(&self, future: impl Future<Output = T>) -> T {
        let value = self.watching.block_on(&self.runtime, future);
        assert_quiet(&self.watching, &self.begun);
        value
    }
}

impl Watched {
    /// As [`Watched::is_quiet`], after so many reports.
    #[track_caller]
    pub(crate) fn is_quiet_since(&self, stalls: u64, future: impl Future<Output = ()>) {
        self.watching.block_on(&self.runtime, future);
        assert_eq!(self.watching.stalls(), stalls);
    }
}

/// Has the reports sent here.
pub(crate) fn listen(watch: Watch) -> (Watch, mpsc::Receiver<Stall>, mpsc::Receiver<Stall>) {
    let (tell, begun) = mpsc::channel();
    let (tell_end, ended) = mpsc::channel();
    let watch = watch
        .on_stall(move |stall| drop(tell.send(stall.clone())))
        .on_end(move |stall| drop(tell_end.send(stall.clone())));
    (watch, begun, ended)
}

#[track_caller]
pub(crate) fn assert_quiet(watching: &Watching, begun: &mpsc::Receiver<Stall>) {
    // Without the stack of each, which is long.
    let say = |stall: Stall| (stall.to_string(), stall.certainty, stall.stalled_for);
    let said: Vec<_> = begun.try_iter().map(say).collect();
    assert!(said.is_empty(), "{said:#?}");
    assert_eq!(watching.stalls(), 0);
}

/// Waits, without blocking the runtime, until the detector has looked so many times more.
pub(crate) async fn looks(watching: &Watching, looks: u64) {
    let (until, end) = (watching.looks() + looks, at_least(looks));
    while watching.looks() < until || Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The same, on a thread that may be blocked.
pub(crate) fn wait_for_looks(watching: &Watching, looks: u64) {
    let (until, end) = (watching.looks() + looks, at_least(looks));
    settles("it looks", || {
        watching.looks() >= until && Instant::now() >= end
    });
}

/// It looks more often while another test has a shorter threshold.
fn at_least(looks: u64) -> Instant {
    Instant::now() + Duration::from_millis(10 * looks)
}

#[track_caller]
pub(crate) fn settles(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it never came true: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// How many threads of the process have names that begin so.
pub(crate) fn threads_named(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with(prefix))
        .count()
}

/// Computes for so long.
pub(crate) fn compute(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

const MARK: &str = "LONGSHORE_STALL_CHILD";

/// True in a process that [`child`] made.
pub(crate) fn in_child() -> bool {
    env::var_os(MARK).is_some()
}

/// A command that runs one test of this binary in a process of its own. `test` is
/// `concat!(module_path!(), "::name")`.
pub(crate) fn child(test: &str) -> Command {
    child_of(env::current_exe().unwrap(), test)
}

/// The same of another copy of this binary.
pub(crate) fn child_of(binary: std::path::PathBuf, test: &str) -> Command {
    let (_, test) = test.split_once("::").expect("a path begins with the crate");
    let mut command = Command::new(binary);
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end, and asserts that the test passed there.
#[track_caller]
pub(crate) fn passes(mut command: Command) {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(output.status.success(), "{}\n{text}", output.status);
    assert!(text.contains("1 passed"), "it ran no test:\n{text}");
}

/// A future that is watched from here.
pub(crate) fn elsewhere<F: Future>(future: F) -> impl Future<Output = F::Output> {
    longshore::stall::watched(future)
}
