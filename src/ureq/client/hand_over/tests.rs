use super::*;
use crate::ureq::client::kind::ErrorKind;

fn late(shared: &HandOver) -> Error {
    shared.place(Error::new(ErrorKind::TimedOut))
}

/// K21. Whichever comes first, the other keeps to it.
#[test]
fn whether_a_request_was_sent_is_settled_once() {
    let shared = HandOver::new(Uri::from_static("http://a.test/"));
    assert!(late(&shared).is_retryable());
    assert!(!shared.may_send(), "somebody counts on it");

    let shared = HandOver::new(Uri::from_static("http://a.test/"));
    assert!(shared.may_send());
    let error = late(&shared);
    assert!(error.sent() && !error.is_retryable());
}

/// K20. The thread says in which phase it is when it waits, and it need not have waited since.
#[test]
fn a_request_of_which_something_was_sent_is_in_no_earlier_phase() {
    for (said, told) in [
        (None, Phase::Send),
        (Some(Phase::Waiting), Phase::Send),
        (Some(Phase::Tls), Phase::Send),
        (Some(Phase::Head), Phase::Head),
    ] {
        let shared = HandOver::new(Uri::from_static("http://a.test/"));
        shared.flush(Some(Progress {
            phase: said,
            ..Progress::default()
        }));
        assert!(shared.may_send());
        assert_eq!(late(&shared).phase(), Some(told), "{said:?}");
    }
}

#[test]
fn whoever_is_gone_does_not_wait_and_whoever_is_there_is_asked() {
    let shared = HandOver::new(Uri::from_static("http://a.test/"));
    let waits = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(shared.poll_body(&mut cx).is_pending());
    };
    waits();
    assert!(!shared.is_idle(), "its decoder may not be ready");
    shared.begin_body();
    for _ in 0..3 {
        assert!(!shared.is_idle());
        waits();
    }
    assert!(!shared.is_idle());
    assert!(shared.is_idle(), "he was woken and did not come");
}
