//! H23: what is sent is as long as its head says.

use std::io;

use ureq::SendBody;

use super::{
    agent, config, kind,
    peers::{Authority, Conn, Peer},
};

in_and_out_of_a_job! {
    /// ureq asks such a body for more, for ever.
    fn a_body_that_is_shorter_than_its_length_is_an_error() {
        let authority = Authority::new();
        let reading = |conn: &mut Conn| {
            while let Some(request) = conn.request()? {
                let body = conn.body(&request)?;
                conn.reply(body)?;
            }
            Ok(())
        };
        for peer in [Peer::new(reading), Peer::with_tls(&authority, reading)] {
            let agent = agent(config().tls_config(authority.trusted()).build());
            let post = |length, body: SendBody<'_>| {
                agent.post(peer.url("/")).header("content-length", length).send(body)
            };
            let echo = |length, body: &str| {
                let answer = post(length, SendBody::from_reader(&mut body.as_bytes()));
                answer.and_then(|mut answer| answer.body_mut().read_to_string())
            };
            assert_eq!(echo("5", "whole").unwrap(), "whole");
            assert_eq!(echo("0", "").unwrap(), "");
            assert_eq!(peer.connections(), 1);
            let nothing = SendBody::from_owned_reader(io::empty());
            for told in [echo("10", "short").map(drop), post("10", nothing).map(drop)] {
                let error = told.unwrap_err();
                assert_eq!(kind(&error), "io", "{error:?}");
                assert!(error.to_string().contains("the length"), "{error}");
            }
            assert_eq!(echo("5", "whole").unwrap(), "whole");
            assert_eq!(peer.connections(), 3, "what was promised more is used for nothing else");
        }
    }
}
