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
mod nested;
mod running;
mod signals;
mod trouble;

use crate::{lane::pace::say_brisk, sync::Arc};

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
