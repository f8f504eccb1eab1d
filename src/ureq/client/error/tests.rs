//! Errors of every kind, what they say and whether to try again.

use http::StatusCode;

use super::*;
use crate::ureq::client::kind::Part;

fn every_kind() -> Vec<Error> {
    let lane = crate::lane::Lane::builder("web").build();
    lane.close();
    let refused = lane.try_offload(|| ()).unwrap_err();
    let eof = || ureq::Error::Io(io::ErrorKind::UnexpectedEof.into());
    let status = StatusCode::NOT_FOUND;
    [
        Error::request("a reason"),
        Error::of_lane(refused),
        Error::new(ErrorKind::Resolve).source(ureq::Error::HostNotFound),
        Error::new(ErrorKind::Connect).source(ureq::Error::ConnectionFailed),
        Error::new(ErrorKind::Tls).source(ureq::Error::Tls("a certificate was refused")),
        Error::new(ErrorKind::Tls).source(eof()),
        Error::new(ErrorKind::TimedOut).source(ureq::Error::Timeout(ureq::Timeout::Global)),
        Error::new(ErrorKind::Cancelled).source(crate::error::Cancelled),
        Error::new(ErrorKind::PeerClosed).source(eof()),
        Error::new(ErrorKind::Protocol).detail("a reason"),
        Error::new(ErrorKind::TooLarge {
            part: Part::Head,
            limit: 1,
        }),
        Error::new(ErrorKind::TooLarge {
            part: Part::Body,
            limit: 1,
        }),
        Error::new(ErrorKind::Redirect).detail("a reason"),
        Error::new(ErrorKind::Status(status)),
        Error::new(ErrorKind::Decode).source("not a number"),
        Error::new(ErrorKind::Body).source("the disk is full"),
        Error::new(ErrorKind::Io).source(ureq::Error::Io(io::ErrorKind::Other.into())),
        Error::new(ErrorKind::Other).source(ureq::Error::InvalidProxyUrl),
    ]
    .into_iter()
    .map(|error| error.at("http://host:80/path".to_owned()))
    .collect()
}

#[test]
fn no_message_in_a_chain_repeats_another() {
    for error in every_kind() {
        for phase in [None, Some(Phase::Send)] {
            let error = error
                .inner
                .source
                .as_ref()
                .map_or_else(|| error.to_string(), |source| format!("{error}\n{source}"));
            let lines: Vec<_> = error.lines().collect();
            if let [ours, theirs] = lines[..] {
                assert!(!ours.contains(theirs), "{phase:?}: {lines:?}");
                assert!(!theirs.contains(ours), "{phase:?}: {lines:?}");
            }
        }
    }
}

#[test]
fn messages_are_lower_case_and_name_the_url() {
    for error in every_kind() {
        let text = error.to_string();
        assert!(text.starts_with(char::is_lowercase), "{text}");
        assert!(text.ends_with("(http://host:80/path)"), "{text}");
    }
}

#[test]
fn only_what_cannot_have_been_carried_out_and_may_go_better_is_retryable() {
    for error in every_kind() {
        let expected = match error.kind() {
            ErrorKind::Lane
            | ErrorKind::Resolve
            | ErrorKind::Connect
            | ErrorKind::TimedOut
            | ErrorKind::Cancelled
            | ErrorKind::PeerClosed
            | ErrorKind::Io => true,
            ErrorKind::Tls => error.lost_connection(),
            _ => false,
        };
        assert_eq!(error.is_retryable(), expected, "{error:?}");
        let sent = error.during(Some(Phase::Send), true, false);
        assert!(!sent.is_retryable(), "{sent:?}");
    }
}

#[test]
fn an_error_is_one_pointer() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn what_a_lane_broke_off_is_not_said_not_to_have_been_carried_out() {
    let of = |phase| {
        Error::new(ErrorKind::Lane)
            .during(phase, true, true)
            .to_string()
    };
    for phase in [None, Some(Phase::Waiting)] {
        assert!(
            of(phase).starts_with("the exchange was not carried out"),
            "{phase:?}"
        );
    }
    for phase in [Phase::Send, Phase::Body] {
        assert!(
            of(Some(phase)).starts_with("the exchange was broken off"),
            "{phase:?}"
        );
    }
}
