//! Whether another thread may be the worker: of a runtime whose only worker is blocked.

use std::{cell::RefCell, sync::mpsc};

use tokio::runtime::Runtime;

use super::{
    super::{
        clock::Moment,
        listener::{Ears, Ignored, Listener},
        proc::{Account, Eye, Look, Others, Sleep, this_thread},
        slot::Polled,
        subject::Settings,
        traces::Crowd,
        trail::Limits,
    },
    doubt::{Doubt, Suspect},
    worker::Here,
    *,
};

const MILLIS: Duration = Duration::from_millis(1);

/// Threads that no system has.
const THIS: u32 = u32::MAX - 1;
const THAT: u32 = u32::MAX - 2;

const ASLEEP: &str = "202 0x1 0x0 0x0 0x0 0x0 0x0 0x7ffe 0x7fd";

type Read = Box<dyn FnMut(u32) -> Option<Others>>;

thread_local! {
    static READ: RefCell<Option<Read>> = const { RefCell::new(None) };
}

/// A crowd that is read by a closure of the test.
fn crowd(read: impl FnMut(u32) -> Option<Others> + 'static) -> Crowd {
    READ.set(Some(Box::new(read)));
    Crowd::read_by(|thread| READ.with_borrow_mut(|read| read.as_mut()?(thread)))
}

/// Nobody but this thread, asleep.
fn alone(thread: u32) -> Option<Others> {
    Some(Others::made(Instant::now(), &[(thread, ASLEEP, "5 5 5")]))
}

fn at(start: Instant, time: Duration) -> Seen {
    let awake = u64::try_from(time.as_micros() / 100).expect("it is short");
    Seen {
        at: start + time,
        awake: Moment(10 + awake),
    }
}

struct Scene {
    _runtime: Runtime,
    subject: Arc<Subject>,
    thread: u32,
    go_on: Option<mpsc::Sender<()>>,
}

/// With a threshold of so much.
fn blocked(threshold: Duration) -> Scene {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("there are threads");
    let (go_on, goes_on) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        tell.send(this_thread()).expect("somebody listens");
        let _ = goes_on.recv();
    });
    let thread = told.recv().expect("it runs");
    let (eye, end) = (Eye::on(thread), Instant::now() + 60_000 * MILLIS);
    while !eye.look().is_some_and(|look| look.is_asleep()) {
        assert!(Instant::now() < end, "it is never blocked");
    }
    let limits = Limits {
        threshold,
        coarse: None,
    };
    let listener = Listener::new(Ignored::sites(Vec::new()), Ears::Kept(Default::default()));
    let settings = Settings { limits, listener };
    let subject = Arc::new(Subject::new(runtime.handle(), None, settings));
    Scene {
        _runtime: runtime,
        subject,
        thread,
        go_on: Some(go_on),
    }
}

impl Scene {
    /// Reads that there is nobody, the first time; and from then on once the worker has gone on, if it is
    /// to do so.
    fn crowd(&mut self, goes_on: bool) -> Crowd {
        let (subject, mut go_on) = (self.subject.clone(), self.go_on.take());
        let before = subject.progress(0);
        let mut is_first = true;
        crowd(move |thread| {
            if goes_on && !std::mem::take(&mut is_first) {
                drop(go_on.take());
                let end = Instant::now() + 60_000 * MILLIS;
                while subject.progress(0) == before {
                    assert!(Instant::now() < end, "it does not go on");
                    std::thread::sleep(MILLIS);
                }
            }
            alone(thread)
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.go_on = None;
        READ.set(None);
    }
}

fn asleep() -> Look {
    Look {
        state: State::Asleep(Sleep::Somewhere { on_a_lock: true }),
        account: Account::default(),
    }
}

#[test]
fn a_worker_that_goes_on_while_the_others_are_read_is_not_told() {
    for goes_on in [false, true] {
        let mut scene = blocked(100 * MILLIS);
        let start = Instant::now();
        let here = Here {
            worker: 0,
            progress: scene.subject.progress(0),
            moved: false,
            thread: Some(THIS),
        };
        let mut seen = Traces {
            crowd: scene.crowd(goes_on),
            ..Traces::default()
        };
        let trail = Trail::begin(at(start, Duration::ZERO));
        seen.workers.push(WorkerTrace {
            trail: Some(trail),
            ..WorkerTrace::default()
        });
        for time in 0..20 {
            let now = at(start, 10 * time * MILLIS);
            let trail = seen.workers[0].trail.as_mut().expect("it was begun");
            trail.look(Some(asleep()), now);
            scene.subject.judge(&mut seen, &here, None, now);
            if scene.subject.progress(0) != here.progress {
                break;
            }
        }
        assert_eq!(seen.workers[0].told.is_some(), !goes_on);
        drop(scene);
    }
}

#[test]
fn nor_is_a_poll_that_ends_meanwhile() {
    for goes_on in [false, true] {
        let mut scene = blocked(100 * MILLIS);
        let start = Instant::now();
        let mut seen = Traces {
            crowd: scene.crowd(goes_on),
            ..Traces::default()
        };
        let view = View {
            thread: scene.thread,
            name: None,
            scope: scene.subject.scope(),
            worker: Some(0),
            task: None,
            allowed: false,
            poll: Some(Polled {
                place: 1,
                since: Moment(1),
            }),
        };
        let before = scene.subject.progress(0);
        for time in 0..100 {
            let now = at(start, 10 * time * MILLIS);
            scene.subject.look_at_polls(&mut seen, now, &[&view], &[]);
            if scene.subject.progress(0) != before {
                break;
            }
        }
        assert_eq!(seen.polls[0].told.is_some(), !goes_on);
        drop(scene);
    }
}

/// Whether it is in doubt that a thread that sleeps from now on is blocked, asked at one time after the other.
fn asked(scene: &Scene, crowd: &mut Crowd) -> impl FnMut(Duration) -> Doubt {
    let start = Instant::now();
    let mut trail = Trail::begin(at(start, Duration::ZERO));
    let mut before = None;
    move |time| {
        let now = at(start, time);
        trail.look(Some(asleep()), now);
        let suspect = Suspect {
            worker: 0,
            thread: THIS,
            trail: &trail,
            before: &mut before,
        };
        scene.subject.doubt(suspect, crowd, now)
    }
}

/// That takes long where there are thousands.
#[test]
fn as_long_as_it_is_in_doubt_the_others_are_read_now_and_then() {
    thread_local! {
        static TIMES: RefCell<u32> = const { RefCell::new(0) };
    }
    let scene = blocked(400 * MILLIS);
    let mut crowd = crowd(|thread| {
        TIMES.with_borrow_mut(|times| *times += 1);
        let both = [(thread, ASLEEP, "5 5 5"), (THAT, "running", "5 5 5")];
        Some(Others::made(Instant::now(), &both))
    });
    let mut doubts = asked(&scene, &mut crowd);
    assert!(matches!(doubts(400 * MILLIS), Doubt::Some));
    for look in 0..10 {
        let time = 500 * MILLIS + look * 10 * MILLIS;
        assert!(matches!(doubts(time), Doubt::Some));
    }
    assert_eq!(TIMES.take(), 2);
}

/// As where there are no descriptors left: it may be that one of them is busy.
#[test]
fn where_the_others_cannot_be_seen_nothing_is_said_for_a_second() {
    for once in [false, true] {
        let scene = blocked(100 * MILLIS);
        let mut is_first = once;
        let mut crowd = crowd(move |thread| {
            std::mem::take(&mut is_first)
                .then(|| alone(thread))
                .flatten()
        });
        let mut doubt = asked(&scene, &mut crowd);
        for time in [100, 200, 1000] {
            assert!(matches!(doubt(time * MILLIS), Doubt::Some), "{time}");
        }
        assert!(matches!(doubt(1100 * MILLIS), Doubt::None));
    }
}
