//! Who is told of a stall, and on which thread.
//!
//! What is the user's, a callback or a subscriber, never runs on the watchdog: it may take its time or
//! panic, and nobody would be watched meanwhile. Each watch has a thread of its own for that, from its
//! first report on.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        mpsc::{self, TrySendError},
    },
    time::{Duration, Instant},
};

#[cfg(feature = "tracing")]
use tracing::subscriber::NoSubscriber;

use super::{report::Stall, strict::Reports};
use crate::{error::call_quietly, sync::Mutex};

/// A function that is given reports.
pub(super) type Callback = Box<dyn Fn(&Stall) + Send + Sync>;

/// More sites than this are forgotten, and told of again.
const SITES: usize = 4096;
/// So many reports wait for a callback that is slow; who is not done with these is not given more.
const WAITING: usize = 1024;

/// Where the reports of a watch go.
#[derive(Debug)]
pub(super) enum Listener {
    /// They are kept.
    Kept(Reports),
    Told(Voices),
}

impl Listener {
    /// A stall has been seen; whether its end is to be told as well.
    pub(super) fn begun(&self, stall: &Stall) -> bool {
        match self {
            Self::Kept(reports) => {
                reports.lock().push(stall.clone());
                false
            }
            Self::Told(voices) => voices.begun(stall),
        }
    }

    pub(super) fn ended(&self, stall: Stall) {
        if let Self::Told(voices) = self {
            voices.send(Event::Ended(stall));
        }
    }
}

/// What is to be called, and how often.
pub(super) struct Voices {
    calls: Arc<Calls>,
    /// So many for one site in such a time.
    limit: Option<(u32, Duration)>,
    sites: Mutex<HashMap<String, Window>>,
    thread: Mutex<Option<mpsc::SyncSender<Event>>>,
}

#[derive(Default)]
pub(super) struct Calls {
    pub(super) on_stall: Option<Callback>,
    pub(super) on_end: Option<Callback>,
}

struct Window {
    since: Instant,
    told: u32,
}

enum Event {
    Begun(Stall),
    Ended(Stall),
}

impl Voices {
    pub(super) fn new(calls: Calls, limit: Option<(u32, Duration)>) -> Self {
        Self {
            calls: Arc::new(calls),
            limit,
            sites: Mutex::default(),
            thread: Mutex::new(None),
        }
    }

    fn begun(&self, stall: &Stall) -> bool {
        if !self.may_tell(stall) {
            return false;
        }
        self.send(Event::Begun(stall.clone()))
    }

    fn may_tell(&self, stall: &Stall) -> bool {
        let limit = match self.limit {
            Some(limit) => limit,
            // Nobody wants the same line on a terminal again and again.
            None if self.calls.prints() => (1, Duration::MAX),
            None => return true,
        };
        let mut sites = self.sites.lock();
        let (site, now) = (stall.site(), Instant::now());
        if sites.len() >= SITES && !sites.contains_key(&site) {
            sites.clear();
        }
        let window = sites.entry(site).or_insert(Window {
            since: now,
            told: 0,
        });
        if now.duration_since(window.since) >= limit.1 {
            *window = Window {
                since: now,
                told: 0,
            };
        }
        window.told += 1;
        window.told <= limit.0
    }

    /// False if too many are waiting.
    fn send(&self, event: Event) -> bool {
        let mut thread = self.thread.lock();
        let event = match &*thread {
            Some(events) => match events.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Full(_)) => return false,
                Err(TrySendError::Disconnected(event)) => event,
            },
            None => event,
        };
        let (events, received) = mpsc::sync_channel(WAITING);
        let calls = self.calls.clone();
        // What runs there is the user's, so the stack is of the usual size.
        let started = std::thread::Builder::new()
            .name(String::from("longshore-tell"))
            .spawn(move || {
                for event in received {
                    calls.tell(&event);
                }
            });
        if started.is_ok() {
            // It has just begun to receive.
            let _ = events.try_send(event);
            *thread = Some(events);
        } else {
            // Without a thread of its own it is told here, so that it is told at all.
            drop(thread);
            self.calls.tell(&event);
        }
        true
    }
}

impl fmt::Debug for Voices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voices")
            .field("limit", &self.limit)
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
        self.on_stall.is_none()
    }

    fn tell(&self, event: &Event) {
        let callback = match event {
            Event::Begun(_) => &self.on_stall,
            Event::Ended(_) => &self.on_end,
        };
        let (Event::Begun(stall) | Event::Ended(stall)) = event;
        if let Some(callback) = callback {
            call_quietly(|| callback(stall));
        }
        call_quietly(|| trace(event));
        if self.prints() && matches!(event, Event::Begun(_)) {
            // A closed standard error would make it panic.
            call_quietly(|| eprintln!("longshore: {stall}"));
        }
    }
}

fn trace(event: &Event) {
    #[cfg(feature = "tracing")]
    match event {
        Event::Begun(stall) => tracing::warn!(
            target: "longshore::stall",
            worker = stall.worker,
            thread = stall.thread,
            task = stall.task,
            cause = ?stall.cause,
            certainty = ?stall.certainty,
            call = stall.call.as_ref().map(tracing::field::display),
            watched_at = stall.watched_at.map(tracing::field::display),
            stalled_for = ?stall.stalled_for,
            "{stall}"
        ),
        Event::Ended(stall) => tracing::warn!(
            target: "longshore::stall",
            worker = stall.worker,
            thread = stall.thread,
            task = stall.task,
            watched_at = stall.watched_at.map(tracing::field::display),
            total = ?stall.total.unwrap_or(stall.stalled_for),
            "the stall is over"
        ),
    }
    let _ = event;
}
