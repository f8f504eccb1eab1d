//! Whom a stall concerns, if anybody.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    report::Stall,
    strict::{self, Reports},
    tell::Voices,
};

/// Sites that are not reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignored(Arc<[String]>);

impl Ignored {
    pub(super) fn sites(sites: Vec<String>) -> Self {
        Self(sites.into())
    }

    /// Names may have to be looked up for that.
    pub(super) fn has(&self, stall: &Stall) -> bool {
        self.0.iter().any(|site| stall.is_at(site))
    }

    /// As far as that can be told without.
    fn surely_has(&self, stall: &Stall) -> Option<bool> {
        if self.0.iter().any(|site| stall.is_watched_at(site)) {
            return Some(true);
        }
        #[cfg(feature = "stall-stacks")]
        if stall.stack.is_some() && !self.0.is_empty() {
            return None;
        }
        Some(false)
    }
}

/// Where the reports of a watch go.
#[derive(Debug)]
pub(super) struct Listener {
    ignored: Ignored,
    stalls: Arc<AtomicU64>,
    ears: Ears,
}

#[derive(Debug)]
pub(super) enum Ears {
    /// They are kept.
    Kept(Reports),
    Told(Voices),
}

impl Listener {
    pub(super) fn new(ignored: Ignored, ears: Ears) -> Self {
        Self {
            ignored,
            stalls: Arc::default(),
            ears,
        }
    }

    pub(super) fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// How many there were, without those that are ignored.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Relaxed)
    }

    /// A stall has been seen; under which number its end is to be told as well.
    pub(super) fn begun(&self, stall: &Stall) -> Option<u64> {
        let ignored = self.ignored.surely_has(stall);
        if ignored == Some(true) {
            return None;
        }
        match &self.ears {
            Ears::Kept(reports) => {
                self.stalls.fetch_add(1, Relaxed);
                strict::keep(reports, stall.clone());
                None
            }
            Ears::Told(voices) => {
                if ignored == Some(false) {
                    self.stalls.fetch_add(1, Relaxed);
                    return voices.begun(stall.clone(), None);
                }
                let doubt = (self.ignored.clone(), self.stalls.clone());
                voices.begun(stall.clone(), Some(doubt))
            }
        }
    }

    pub(super) fn ended(&self, number: u64, stall: Stall) {
        if let Ears::Told(voices) = &self.ears {
            voices.ended(number, stall);
        }
    }
}
