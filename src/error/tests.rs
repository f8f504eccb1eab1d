//! Of every error that there is, those of the other files of this folder included.

use std::error::Error as _;

use super::*;

fn every_variant() -> Vec<Error> {
    let lane: Arc<str> = Arc::from("billing");
    vec![
        Error::QueueFull {
            lane: lane.clone(),
            running: 1,
            draining: 1,
            limit: 2,
            waiting: 3,
            queue: 3,
        },
        Error::TimedOut {
            lane: lane.clone(),
            phase: Phase::Running,
            waited: Duration::from_millis(2),
            ran: Duration::from_millis(1),
        },
        Error::Cancelled {
            lane: lane.clone(),
            phase: Phase::Waiting,
        },
        Error::Panicked(Panic::new(Box::new("boom"), std::panic::Location::caller())),
        Error::NoThread {
            lane: lane.clone(),
            cause: Arc::new(io::Error::from_raw_os_error(11)),
        },
        Error::Closed { lane: lane.clone() },
        Error::NoRuntime { lane: lane.clone() },
        Unavailable::new(lane.clone(), Arc::new(io::Error::from_raw_os_error(111))).into(),
        Error::InUse { lane: lane.clone() },
        Error::WouldDeadlock { lane: lane.clone() },
        stopped(Stop::Cancelled, Phase::Running),
        stopped(Stop::TimedOut, Phase::Waiting),
        stopped(Stop::Closed, Phase::Waiting),
        stopped(Stop::NoRuntime, Phase::Running),
    ]
}

fn stopped(cause: Stop, phase: Phase) -> Error {
    Error::Stopped {
        group: Arc::from("report"),
        cause,
        phase,
    }
}

#[test]
fn a_child_stopped_by_its_group_is_told_so_in_the_words_of_a_job() {
    let told = |cause| {
        let error = stopped(cause, Phase::Running);
        assert!(error.to_string().contains("`report`"), "{error}");
        (error.is_cancelled(), error.is_timeout())
    };
    assert_eq!(told(Stop::Cancelled), (true, false));
    assert_eq!(told(Stop::TimedOut), (false, true));
    assert_eq!(told(Stop::Closed), (false, false));
    assert_eq!(told(Stop::NoRuntime), (false, false));
}

#[test]
fn no_message_in_a_chain_repeats_another() {
    for error in every_variant() {
        let mut messages = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            messages.push(cause.to_string());
            source = cause.source();
        }
        for (i, message) in messages.iter().enumerate() {
            assert!(!message.is_empty());
            for other in &messages[i + 1..] {
                assert!(!message.contains(other.as_str()), "{messages:?}");
            }
        }
    }
}

#[test]
fn a_full_lane_says_how_many_it_has_room_for() {
    let full = |limit, queue, waiting| {
        let error = Error::QueueFull {
            lane: Arc::from("billing"),
            running: 0,
            draining: 0,
            limit,
            waiting,
            queue,
        };
        error.to_string()
    };
    assert_eq!(
        full(1, 0, 1),
        "lane `billing` is full, with room for 1 job (1 on a thread, 0 in the queue): \
         0 running, 0 draining, 1 waiting or reserved"
    );
    assert_eq!(
        full(4, 4, 8),
        "lane `billing` is full, with room for 8 jobs (4 on threads, 4 in the queue): \
         0 running, 0 draining, 8 waiting or reserved"
    );
}

#[test]
fn only_what_never_ran_says_so() {
    let told: Vec<bool> = every_variant().iter().map(Error::never_started).collect();
    assert_eq!(
        told,
        [
            true, false, true, false, true, true, true, true, true, false, false, true, true,
            false,
        ]
    );
}

#[test]
fn an_error_stays_small_enough_to_return_by_value() {
    assert!(size_of::<Error>() <= 64, "{} bytes", size_of::<Error>());
}
