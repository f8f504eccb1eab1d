//! Asking for a runtime to be watched.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::runtime::{self, Handle, Runtime};

use super::{
    deny::Deny,
    listener::{Ears, Ignored, Listener},
    report::Stall,
    slot::Scope,
    strict::Reports,
    subject::{Settings, Subject},
    tell::{Callback, Calls, Voices},
    trail::Limits,
    watching::Watching,
    workers::Workers,
};

const THRESHOLD: Duration = Duration::from_millis(100);
const CPU_THRESHOLD: Duration = Duration::from_secs(1);

/// How a runtime is to be watched: from when on a thread counts as stalled, and who is told.
///
/// Every [`Watch`] sees its own runtime only. However many there are in a process, one thread, called
/// `longshore-stall`, looks for all of them, every 10 ms (every millisecond, at the most, for
/// thresholds below 100 ms).
///
/// # Examples
///
/// ```
/// use std::{sync::mpsc, thread, time::Duration};
///
/// use longshore::stall::Watch;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (tell, told) = mpsc::channel();
/// let (runtime, _watching) = Watch::new()
///     .threshold(Duration::from_millis(20))
///     .on_stall(move |stall| drop(tell.send(stall.to_string())))
///     .build(tokio::runtime::Builder::new_multi_thread().worker_threads(1))?;
///
/// runtime.spawn(async { thread::sleep(Duration::from_secs(1)) }); // forgotten
///
/// let line = told.recv_timeout(Duration::from_secs(5))?;
/// assert!(line.starts_with("worker 0 blocked "), "{line}");
/// # Ok(())
/// # }
/// ```
#[must_use = "a watch does nothing until it is attached or built"]
pub struct Watch {
    threshold: Duration,
    /// `None` if nothing was said.
    cpu: Option<Option<Duration>>,
    ignored: Vec<String>,
    limit: Option<(u32, Duration)>,
    calls: Calls,
    on_park: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Watch {
    /// A watch with a threshold of 100 ms that tells `tracing`, or else the standard error.
    pub fn new() -> Self {
        Self {
            threshold: THRESHOLD,
            cpu: None,
            ignored: Vec::new(),
            limit: None,
            calls: Calls::default(),
            on_park: None,
        }
    }

    /// How long a thread may sleep in one poll, or compute in one that is
    /// [`watched`](super::watched), before it counts as stalled.
    ///
    /// A stall is reported within twice this time. Defaults to 100 ms.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn threshold(mut self, threshold: Duration) -> Self {
        assert!(
            !threshold.is_zero(),
            "a threshold of zero would report every poll"
        );
        self.threshold = threshold;
        self
    }

    /// How long a worker may compute without Tokio noting any progress.
    ///
    /// Such a report may be about many polls and not one: [`UpToTicks`](super::Certainty::UpToTicks).
    /// With the default, a second, it means that the worker's polls took 16 ms each on average, 4 ms
    /// at the least, and that it looked for no events all that time. A worker that is just busy is
    /// reported if this is too low. Defaults to 1 s, and to never in [`deny`](super::deny).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn cpu_threshold(mut self, threshold: Duration) -> Self {
        assert!(
            !threshold.is_zero(),
            "a threshold of zero would report every poll"
        );
        self.cpu = Some(Some(threshold));
        self
    }

    /// Does not report workers that compute, other than in one poll that is
    /// [`watched`](super::watched).
    pub fn without_cpu(mut self) -> Self {
        self.cpu = Some(None);
        self
    }

    /// What is called with each stall when it is seen, while the thread is still stuck.
    ///
    /// It runs on a thread of its own, called `longshore-tell`, one report after the other: it may
    /// block, and if it panics that is contained. Of those that have to wait for it meanwhile, 1,024
    /// do, and more are left out. Reports go there and, with the feature `tracing`, to the subscriber
    /// as events of level `WARN` with the target `longshore::stall`. With neither, and nothing given
    /// to [`on_end`](Self::on_end), each site is printed once to the standard error. If the system has
    /// no thread for that, it runs on the one that looks, which does not look meanwhile.
    ///
    /// A callback that holds the [`Watching`] keeps it, and so the watch, for ever.
    pub fn on_stall(mut self, call: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.calls.on_stall = Some(Box::new(call) as Callback);
        self
    }

    /// What is called with each stall that was reported when it is over, with its
    /// [`total`](Stall::total): that of a [`watched`](super::watched) poll is over with the poll, any
    /// other of one call with the call (a process that is stopped and goes on ends it as well), and
    /// all others when the worker goes on.
    pub fn on_end(mut self, call: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.calls.on_end = Some(Box::new(call) as Callback);
        self
    }

    /// Does not report what is at this site, as in [`Stall::is_at`]: the end of the path of a source
    /// file, with or without a line. Can be called several times.
    ///
    /// It is the place that is allowed, and not a kind of call: reading a file at the start is one
    /// thing, reading one for each request another. A place is known for what is
    /// [`watched`](super::watched), and with the feature `stall-stacks` the line that is to
    /// [blame](Stall::blame), if it is certain; for anything else there is [`allow`](super::allow()).
    pub fn ignore(mut self, site: impl Into<String>) -> Self {
        self.ignored.push(site.into());
        self
    }

    /// At most so many reports of one site in so much time. Defaults to no limit, and to one for ever
    /// where they are printed.
    pub fn report_limit(mut self, reports: u32, per: Duration) -> Self {
        self.limit = Some((reports, per));
        self
    }

    /// The hook that [`build`](Self::build) would otherwise replace: Tokio keeps one
    /// [`on_thread_park`](runtime::Builder::on_thread_park), and the watch
    /// needs it. Nothing else uses this.
    pub fn on_thread_park(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_park = Some(Box::new(hook));
        self
    }

    /// Watches a runtime that is there already.
    ///
    /// Its workers are learnt by spawning tasks that do nothing, as many as there are workers, for as
    /// long as one that works is unknown. This waits for that, blocking, as a rule a few
    /// milliseconds, and 250 ms at the most, if workers are stuck already. Until it is learnt, of a
    /// worker it is known that it is stuck, and not in what. One more task stays for as long as it is
    /// watched, to notice its end.
    ///
    /// **On a current-thread runtime** it cannot be seen from outside whether anybody drives it. Called
    /// from within its `block_on` (as in an `async fn main`), this takes the runtime to be driven by this
    /// thread until the [`Watching`] is dropped, so drop it before `block_on` returns. Called from
    /// elsewhere, it sees nothing but what is [`watched`](super::watched) or run in
    /// [`Watching::block_on`].
    ///
    /// # Errors
    ///
    /// If the watchdog's thread cannot be started.
    pub fn attach(mut self, handle: &Handle) -> io::Result<Watching> {
        let settings = self.settings(Some(CPU_THRESHOLD));
        Watching::begin(Arc::new(Subject::new(handle, None, settings)))
    }

    /// Builds a runtime that is watched from its first poll on.
    ///
    /// Sets [`on_thread_park`](runtime::Builder::on_thread_park), and so replaces one that was set
    /// before: give yours to [`on_thread_park`](Self::on_thread_park) instead. All other hooks are
    /// left as they are. Blocks for a moment, some milliseconds, until every worker has said which
    /// thread it is on.
    ///
    /// What is said of current-thread runtimes at [`attach`](Self::attach) goes for this as well: use
    /// [`Watching::block_on`].
    ///
    /// # Errors
    ///
    /// If the runtime cannot be built, or the watchdog's thread cannot be started.
    pub fn build(mut self, builder: &mut runtime::Builder) -> io::Result<(Runtime, Watching)> {
        let workers = Arc::new(Workers::default());
        let theirs = workers.clone();
        let on_park = self.on_park.take();
        builder.on_thread_park(move || {
            theirs.learn();
            if let Some(on_park) = &on_park {
                on_park();
            }
        });
        let runtime = builder.build()?;
        // The builder keeps the hook, and may build another.
        workers.belong_to(Scope::of(runtime.handle().id()));
        let settings = self.settings(Some(CPU_THRESHOLD));
        let subject = Subject::new(runtime.handle(), Some(workers), settings);
        Ok((runtime, Watching::begin(Arc::new(subject))?))
    }

    /// Keeps the reports, and panics with them when the guard is dropped: [`deny`](super::deny()) with
    /// other settings.
    ///
    /// Callbacks and [`report_limit`](Self::report_limit) are not used.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, and if the watchdog's thread cannot be started.
    #[track_caller]
    pub fn deny(mut self) -> Deny {
        let reports = Reports::default();
        let limits = self.limits(None);
        let ignored = Ignored::sites(std::mem::take(&mut self.ignored));
        let settings = Settings {
            limits,
            listener: Listener::new(ignored, Ears::Kept(reports.clone())),
        };
        let handle = Handle::current();
        let subject = Arc::new(Subject::new(&handle, None, settings));
        let watching = Watching::begin(subject).expect("the watchdog's thread can be started");
        Deny::new(watching, reports)
    }

    fn limits(&self, cpu: Option<Duration>) -> Limits {
        Limits {
            threshold: self.threshold,
            // Never less than what is asked of a sleep.
            coarse: self.cpu.unwrap_or(cpu).map(|cpu| cpu.max(self.threshold)),
        }
    }

    fn settings(&mut self, cpu: Option<Duration>) -> Settings {
        let ignored = Ignored::sites(std::mem::take(&mut self.ignored));
        let calls = std::mem::take(&mut self.calls);
        let voices = Voices::new(calls, self.limit);
        Settings {
            limits: self.limits(cpu),
            listener: Listener::new(ignored, Ears::Told(voices)),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("threshold", &self.threshold)
            .field("cpu", &self.cpu)
            .field("ignored", &self.ignored)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
