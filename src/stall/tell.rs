//! Who is told of a stall, and on which thread.
//!
//! What is the user's, a callback or a subscriber, never runs on the watchdog, if a thread can be
//! had: it may take its time or panic, and nobody would be watched meanwhile. Nor are names looked up
//! there, which takes long, so that what depends on the line of the program is decided later as well:
//! whether it is to be left out, and how often it was told already. Each watch has a thread of its
//! own for all that, from its first report on, and asks for one with each report as long as it has none.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

#[cfg(feature = "tracing")]
use tracing::subscriber::NoSubscriber;

use super::{listener::Ignored, report::Stall};
use crate::{error::call_quietly, sync::Mutex};

/// A function that is given reports.
pub(super) type Callback = Box<dyn Fn(&Stall) + Send + Sync>;

/// More sites than this are forgotten, and told of again.
const SITES: usize = 4096;
/// So many reports, and the ends of these, wait for a callback that is slow; who is not done with them is
/// not given more.
const WAITING: usize = 1024;

/// What is not to be told, and the count of what is.
pub(super) type Undecided = (Ignored, Arc<AtomicU64>);

/// What is to be called, and how often.
pub(super) struct Voices {
    speaker: Arc<Speaker>,
    thread: Mutex<Option<mpsc::Sender<Event>>>,
    next: AtomicU64,
}

#[derive(Default)]
pub(super) struct Calls {
    pub(super) on_stall: Option<Callback>,
    pub(super) on_end: Option<Callback>,
}

/// The thread that tells.
struct Speaker {
    calls: Calls,
    /// So many for one site in such a time.
    limit: Option<(u32, Duration)>,
    told: Mutex<Told>,
    /// How many beginnings wait to be told.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Told {
    sites: HashMap<String, Window>,
    /// The stalls that were told and are not over.
    open: HashSet<u64>,
}

struct Window {
    since: Instant,
    told: u32,
}

struct Event {
    number: u64,
    stall: Stall,
    what: What,
}

enum What {
    /// `Some` if it is not known yet whether it is to be told.
    Begun(Option<Undecided>),
    Ended,
}

impl Voices {
    pub(super) fn new(calls: Calls, limit: Option<(u32, Duration)>) -> Self {
        let speaker = Speaker {
            calls,
            limit,
            told: Mutex::default(),
            waiting: AtomicUsize::new(0),
        };
        Self {
            speaker: Arc::new(speaker),
            thread: Mutex::new(None),
            next: AtomicU64::new(0),
        }
    }

    /// Gives the number under which its end is to be told; `None` if too many are waiting.
    pub(super) fn begun(&self, stall: Stall, doubt: Option<Undecided>) -> Option<u64> {
        // One call at a time: the watchdog's.
        if self.speaker.waiting.load(Relaxed) >= WAITING {
            return None;
        }
        self.speaker.waiting.fetch_add(1, Relaxed);
        let number = self.next.fetch_add(1, Relaxed);
        let event = Event {
            number,
            stall,
            what: What::Begun(doubt),
        };
        self.send(event);
        Some(number)
    }

    pub(super) fn ended(&self, number: u64, stall: Stall) {
        self.send(Event {
            number,
            stall,
            what: What::Ended,
        });
    }

    fn send(&self, event: Event) {
        let mut thread = self.thread.lock();
        let event = match &*thread {
            Some(events) => match events.send(event) {
                Ok(()) => return,
                Err(mpsc::SendError(event)) => event,
            },
            None => event,
        };
        let (events, received) = mpsc::channel();
        let speaker = self.speaker.clone();
        // What runs there is the user's, so the stack is of the usual size.
        let started = std::thread::Builder::new()
            .name(String::from("longshore-tell"))
            .spawn(move || {
                for event in received {
                    speaker.hear(&event);
                }
            });
        if started.is_ok() {
            // It has just begun to receive.
            let _ = events.send(event);
            *thread = Some(events);
        } else {
            // Without a thread of its own it is told here, so that it is told at all.
            drop(thread);
            self.speaker.hear(&event);
        }
    }
}

impl Speaker {
    fn hear(&self, event: &Event) {
        let is_wanted = match &event.what {
            What::Ended => self.told.lock().open.remove(&event.number),
            What::Begun(doubt) => {
                self.waiting.fetch_sub(1, Relaxed);
                if let Some((ignored, stalls)) = doubt {
                    if ignored.has(&event.stall) {
                        return;
                    }
                    stalls.fetch_add(1, Relaxed);
                }
                self.may_tell(event)
            }
        };
        if is_wanted {
            self.calls.tell(event);
        }
    }

    fn may_tell(&self, event: &Event) -> bool {
        let limit = match self.limit {
            Some(limit) => Some(limit),
            // Nobody wants the same line on a terminal again and again.
            None if self.calls.prints() => Some((1, Duration::MAX)),
            None => None,
        };
        let site = limit.map(|limit| (event.stall.site(), limit));
        let mut told = self.told.lock();
        let is_wanted = site.is_none_or(|(site, limit)| told.may_tell(site, limit));
        if is_wanted {
            told.open.insert(event.number);
        }
        is_wanted
    }
}

impl Told {
    fn may_tell(&mut self, site: String, (most, per): (u32, Duration)) -> bool {
        let now = Instant::now();
        if self.sites.len() >= SITES && !self.sites.contains_key(&site) {
            self.sites.clear();
        }
        let window = self.sites.entry(site).or_insert(Window {
            since: now,
            told: 0,
        });
        if now.duration_since(window.since) >= per {
            *window = Window {
                since: now,
                told: 0,
            };
        }
        window.told = window.told.saturating_add(1);
        window.told <= most
    }
}

impl fmt::Debug for Voices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voices")
            .field("limit", &self.speaker.limit)
            .finish_non_exhaustive()
    }
}

impl Calls {
    /// Whether reports go to the standard error, for want of anything better. A subscriber that some
    /// other thread has for itself is not told of them.
    fn prints(&self) -> bool {
        #[cfg(feature = "tracing")]
        if !tracing::dispatcher::get_default(|here| here.is::<NoSubscriber>()) {
            return false;
        }
        self.on_stall.is_none() && self.on_end.is_none()
    }

    fn tell(&self, event: &Event) {
        let Event { stall, what, .. } = event;
        let callback = match what {
            What::Begun(_) => &self.on_stall,
            What::Ended => &self.on_end,
        };
        if let Some(callback) = callback {
            call_quietly(|| callback(stall));
        }
        call_quietly(|| trace(event));
        if self.prints() && matches!(what, What::Begun(_)) {
            // A closed standard error would make it panic.
            call_quietly(|| eprintln!("longshore: {stall}"));
        }
    }
}

fn trace(event: &Event) {
    #[cfg(feature = "tracing")]
    {
        let Event { stall, what, .. } = event;
        let call = stall.call.as_ref().map(tracing::field::display);
        let watched_at = stall.watched_at.map(tracing::field::display);
        // Names are not looked up for an event that nobody wants.
        let blame = || stall.blame().map(tracing::field::display);
        match what {
            What::Begun(_) => tracing::warn!(
                target: "longshore::stall",
                worker = stall.worker,
                thread = stall.thread,
                task = stall.task,
                cause = ?stall.cause,
                certainty = ?stall.certainty,
                call,
                blame = blame(),
                watched_at,
                stalled_for = ?stall.stalled_for,
                "{stall}"
            ),
            What::Ended => tracing::warn!(
                target: "longshore::stall",
                worker = stall.worker,
                thread = stall.thread,
                task = stall.task,
                call,
                blame = blame(),
                watched_at,
                total = ?stall.total.unwrap_or(stall.stalled_for),
                "the stall is over"
            ),
        }
    }
    let _ = event;
}
