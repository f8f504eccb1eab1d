//! Calls of HTTP clients that block.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use longshore::stall::{Cause, Certainty};

use crate::{
    found::assert_sound,
    support::{Flavour, Gate, Watched},
};

/// A server that answers when the gate opens.
pub(crate) fn slow_server(gate: Gate) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let _ = peer.read(&mut [0; 1024]);
        gate.wait();
        let _ = peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    address
}

on_both! {
    fn a_blocking_http_call_is_named_with_its_peer(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let (tell, peer) = mpsc::channel();
        let (stall, end) = watched.stall(move |gate| {
            let address = slow_server(gate);
            tell.send(address.clone()).unwrap();
            let text = ureq::get(format!("http://{address}/"))
                .config()
                .proxy(None)
                .build()
                .call()
                .unwrap()
                .body_mut()
                .read_to_string();
            assert_eq!(text.unwrap(), "ok");
        });
        assert_sound(&stall, &end);
        assert_eq!(stall.cause, Cause::BlockingCall);
        assert_eq!(stall.certainty, Certainty::OneCall);
        let call = stall.call.as_ref().expect("the call is known");
        assert_eq!(call.peer, peer.recv().ok(), "{call:?}");
        assert!(["recvfrom", "read"].contains(&&*call.syscall), "{call:?}");
    }

    /// Through the agent of this crate, outside of a lane.
    fn a_call_of_our_own_agent_is_named_with_its_peer(flavour: Flavour) {
        let watched = Watched::new(flavour);
        let (tell, peer) = mpsc::channel();
        let (stall, end) = watched.stall(move |gate| {
            let address = slow_server(gate);
            tell.send(address.clone()).unwrap();
            let config = longshore::ureq::config().proxy(None).build();
            let agent = longshore::ureq::agent(config);
            agent.get(format!("http://{address}/")).call().unwrap();
        });
        assert_sound(&stall, &end);
        let call = stall.call.as_ref().expect("the call is known");
        assert_eq!(call.peer, peer.recv().ok(), "{call:?}");
    }
}
