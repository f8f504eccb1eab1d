//! K19: how soon a thread is free after a cancel. It is woken for it: one that looked every ten
//! milliseconds whether it still has to wait would be late in each of these.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use longshore::Lane;

use super::{
    agent, config, get,
    peers::{Backlog, Peer, site},
};
use crate::support::{Flavour, Place, Source, eventually, everywhere_runs};

const CANCELS: usize = 40;

/// Three quarters of them take no longer. It is a hundred times of what it takes on a machine with
/// nothing else to do; where it has, some times what it takes a thread to hear of anything.
const SOON: Duration = Duration::from_millis(5);
const AS_LONG_AS: u32 = 4;

/// How often it is tried, for one that has much else to do.
const TRIES: usize = 5;

#[test]
fn a_thread_that_waits_for_a_head_is_free_at_once() {
    everywhere_runs(Source::Tokio, Flavour::MultiThread, |place| {
        at(place, "/silent")
    });
}

#[test]
fn a_thread_that_waits_for_more_of_a_body_is_free_at_once() {
    everywhere_runs(Source::Tokio, Flavour::MultiThread, |place| {
        at(place, "/half-body")
    });
}

#[test]
fn a_thread_that_connects_is_free_at_once() {
    everywhere_runs(Source::Tokio, Flavour::MultiThread, |place| async move {
        let backlog = Backlog::new();
        let url = backlog.url("/ok");
        mostly_free_soon(&place.lane(1), &url, |_| backlog.knocking() > 0).await;
    });
}

async fn at(place: Place, path: &str) {
    let peer = Peer::new(site);
    let url = peer.url(path);
    mostly_free_soon(&place.lane(1), &url, |calls| peer.reached() >= calls).await;
}

/// Makes calls that get stuck, one after the other, and cancels each as soon as it is: `is_stuck`
/// is given how many calls there were.
async fn mostly_free_soon(lane: &Lane, url: &str, mut is_stuck: impl FnMut(usize) -> bool) {
    let agent = agent(config().timeout_global(None).build());
    let mut calls = 0;
    let (mut late, messenger) = (Vec::new(), Messenger::new());
    for _ in 0..TRIES {
        let (mut times, mut messages) = (Vec::new(), Vec::new());
        for _ in 0..CANCELS {
            calls += 1;
            let (agent, url, (over, is_over)) = (agent.clone(), url.to_owned(), mpsc::channel());
            let task = lane.offload(move || {
                let outcome = get(&agent, &url);
                over.send(Instant::now()).unwrap();
                outcome
            });
            eventually("the call is stuck", || is_stuck(calls)).await;
            let cancelled = Instant::now();
            drop(task);
            messenger.is_told();
            let mut free = None;
            eventually("its thread is free", || {
                free = free.or_else(|| is_over.try_recv().ok());
                free.is_some() && lane.stats().draining == 0
            })
            .await;
            times.push(free.unwrap().saturating_duration_since(cancelled));
            messages.push(messenger.took());
        }
        let most = |mut times: Vec<Duration>| {
            times.sort();
            times[CANCELS * 3 / 4]
        };
        let (most, message) = (most(times), most(messages));
        if most < SOON.max(AS_LONG_AS * message) {
            return;
        }
        late.push((most, message));
    }
    panic!("a quarter of the threads was late, by so much or more: {late:?}");
}

/// A thread that sleeps until it is told something, which is when the one that is looked at is: both
/// have the same to wait for where others run.
struct Messenger {
    tell: mpsc::Sender<Instant>,
    took: mpsc::Receiver<Duration>,
}

impl Messenger {
    fn new() -> Self {
        let (tell, told) = mpsc::channel::<Instant>();
        let (say, took) = mpsc::channel();
        thread::spawn(move || {
            for begun in told {
                let _ = say.send(begun.elapsed());
            }
        });
        Self { tell, took }
    }

    fn is_told(&self) {
        self.tell.send(Instant::now()).unwrap();
    }

    /// How long that took.
    fn took(&self) -> Duration {
        self.took.recv().unwrap()
    }
}
