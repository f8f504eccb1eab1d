//! What is known of a call, and of which.

use super::*;

#[test]
fn what_is_sent_on_a_connection_from_the_pool_is_not_looked_up_any_more() {
    for before in [
        Phase::Waiting,
        Phase::Resolve,
        // Where a call was made on the way that came no further.
        Phase::Connect,
        Phase::Tls,
        Phase::Send,
        // Leave was asked for to send a body.
        Phase::Head,
        // Where the call on the way came to an end.
        Phase::Body,
    ] {
        let _aside = aside();
        enter(before);
        sends();
        assert_eq!(phase(), Phase::Send, "{before:?}");
    }
}

#[test]
fn what_a_handshake_sends_is_not_the_request_and_what_tls_says_later_changes_no_phase() {
    let _aside = aside();
    enter(Phase::Tls);
    count_sent(1);
    assert!(!sent());
    enter(Phase::Head);
    count_sent(1);
    assert_eq!((phase(), sent()), (Phase::Head, true));
}

#[test]
fn what_was_put_aside_is_back_whatever_came_of_the_other_call() {
    struct Nobody;

    impl Watch for Nobody {
        fn waits(&self) {}

        fn is_idle(&self) -> bool {
            false
        }
        fn unwanted(&self) -> Duration {
            Duration::ZERO
        }

        fn may_send(&self) -> bool {
            false
        }
    }

    let _watched = watch(Nobody);
    enter(Phase::Send);
    count_sent(1);
    let other = std::panic::catch_unwind(|| {
        let _aside = aside();
        assert_eq!((phase(), sent()), (Phase::Waiting, false));
        assert!(may_send(), "nobody follows it");
        enter(Phase::Body);
        heard();
        end();
        leave();
        panic!("it came to no good");
    });
    assert!(other.is_err());
    assert_eq!((phase(), sent(), received()), (Phase::Send, true, false));
    assert!(!has_ended() && !has_left());
    begin();
    assert_eq!((phase(), sent()), (Phase::Waiting, false));
    assert!(!may_send(), "it is the same who follows");
}
