//! Looking at the polls of what is `watched`.

use super::{
    super::{
        finding::Found,
        proc::Eye,
        slot::{Polled, View},
        subject::Subject,
        traces::{PollTrace, Told, Traces},
        trail::{Seen, Trail},
    },
    doubt::{Doubt, Suspect},
    is_parked,
};

impl Subject {
    pub(super) fn look_at_polls(
        &self,
        seen: &mut Traces,
        now: Seen,
        views: &[&View],
        allowed: &[u32],
    ) {
        self.end_polls(seen, now, views);
        for view in views {
            let now = now.by_now();
            // What has begun since the clock was set cannot be told from what follows before the next
            // look.
            let Some(poll) = view.poll.filter(|poll| poll.since < now.awake) else {
                continue;
            };
            match seen.polls.iter().position(|trace| trace.is(view)) {
                None => seen.polls.push(self.begin_poll(view, poll, now)),
                Some(known) => self.look_at_poll(seen, known, now, view, allowed),
            }
        }
    }

    /// Those that are over.
    pub(super) fn end_polls(&self, seen: &mut Traces, now: Seen, views: &[&View]) {
        let is_over = |trace: &mut PollTrace| !views.iter().any(|view| trace.is(view));
        for trace in seen.polls.extract_if(.., is_over) {
            self.end(trace.told, now);
        }
    }

    fn begin_poll(&self, view: &View, poll: Polled, now: Seen) -> PollTrace {
        let worker = (view.worker).filter(|worker| *worker < self.metrics.num_workers());
        PollTrace {
            thread: view.thread,
            since: poll.since,
            on: worker.map(|worker| (worker, self.progress(worker))),
            eye: None,
            trail: Trail::begin(now),
            others: None,
            told: None,
        }
    }

    fn look_at_poll(
        &self,
        seen: &mut Traces,
        known: usize,
        now: Seen,
        view: &View,
        allowed: &[u32],
    ) {
        let Traces {
            polls,
            names,
            crowd,
            ..
        } = seen;
        let trace = &mut polls[known];
        if trace.told.is_some() {
            return;
        }
        // Not before the second look: most polls are over by then.
        let eye = trace.eye.get_or_insert_with(|| Eye::on(view.thread));
        let look = eye.look();
        let (on, since) = (trace.on, trace.since);
        let is_handed_on = || {
            on.is_some_and(|(worker, then)| {
                let progress = self.progress(worker);
                let left = !self.single && self.workers.has_left(worker, view.thread, since);
                left || progress != then || is_parked(progress)
            })
        };
        let handed_on = is_handed_on();
        if handed_on || allowed.contains(&view.thread) {
            trace.trail = Trail::begin(now);
            trace.others = None;
            if handed_on {
                // Whatever it does from here on, no worker waits for it.
                trace.told = Some(Told::Silent);
            }
            return;
        }
        trace.trail.look(look, now);
        let mut suspect = trace.on.map(|(worker, _)| Suspect {
            worker,
            thread: view.thread,
            trail: &trace.trail,
            before: &mut trace.others,
        });
        if let Some(suspect) = &mut suspect {
            self.note_others(suspect, crowd, now);
        }
        let Some(mut verdict) = trace.trail.verdict(now, self.settings.limits, true) else {
            return;
        };
        match suspect.map_or(Doubt::None, |suspect| self.doubt(suspect, crowd, now)) {
            Doubt::None => {}
            Doubt::Some => return,
            Doubt::Outlasted => verdict.is_of_a_worker_only(),
        }
        // To look at the others may have taken long.
        if is_handed_on() {
            return;
        }
        let found = Found {
            worker: trace.on.map(|(worker, _)| worker),
            thread: Some(view.thread),
            view: Some(view),
        };
        let last = trace.trail.last();
        let stall = found.stall(verdict, now, names, eye, last);
        trace.told = Some(self.tell(stall, now));
    }
}

impl PollTrace {
    /// Whether this is the poll that is seen there.
    fn is(&self, view: &View) -> bool {
        self.thread == view.thread && view.poll.is_some_and(|poll| poll.since == self.since)
    }
}
