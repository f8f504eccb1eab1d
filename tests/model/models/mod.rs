//! The models. Each is a promise, checked over some thousands of schedules.
//!
//! A file is a piece of the protocol; `lanes` has what they hand jobs to, and `signals` what their jobs
//! meet at.

mod cancelling;
mod circles;
mod deadlines;
mod ending;
mod lanes;
mod line;
mod looking_out;
mod nested;
mod running;
mod signals;
mod trouble;

use std::{collections::BTreeMap, sync::Mutex};

use crate::{error::Error, lane::pace::say_brisk, sync::Arc};

/// Runs a model over random schedules and over those with few preemptions, which find what takes
/// a particular switch at a particular place.
///
/// Inside of a runtime, since that is where jobs come from and where the inbox opens.
fn check(brisk: bool, model: impl Fn() + Send + Sync + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let _context = runtime.enter();
    let model = Arc::new(model);
    say_brisk(brisk);
    let random = model.clone();
    shuttle::check_random(move || random(), 1_500);
    shuttle::check_pct(move || model(), 1_500, 3);
}

/// Each model with lanes whose jobs count as brisk, and with others.
fn check_both(model: impl Fn() + Clone + Send + Sync + 'static) {
    check(false, model.clone());
    check(true, model);
}

/// How often a race was seen to end in each way, over all schedules. One that only ever ends in the same
/// way is none, and a model of it shows nothing.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Ends {
    fn saw(&self, end: &'static str) {
        *self.0.lock().unwrap().entry(end).or_default() += 1;
    }

    /// A job that ran `ran` times was told this: its value, or that it was stopped, which `is_stopped`
    /// knows. One that was stopped while it waited has not run.
    fn saw_told(&self, told: Result<i32, Error>, ran: usize, is_stopped: fn(&Error) -> bool) {
        match told {
            Ok(seven) => {
                assert_eq!((seven, ran), (7, 1));
                self.saw("a value");
            }
            Err(error) if is_stopped(&error) && error.never_started() => {
                assert_eq!(ran, 0);
                self.saw("waiting");
            }
            Err(error) if is_stopped(&error) => {
                assert_eq!(ran, 1);
                self.saw("running");
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn were(&self, ends: &[&str]) {
        let seen = self.0.lock().unwrap();
        assert!(ends.iter().all(|end| seen.contains_key(end)), "{seen:?}");
    }
}
