//! A port where nobody answers: no refusal, no connection.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use super::{Peer, site};

/// A listening socket whose backlog is full, so that the system drops what else comes.
pub(crate) struct Backlog {
    listener: TcpListener,
    /// Who fills it.
    fill: Vec<TcpStream>,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        Self::of(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"))
    }

    pub(crate) fn of(listener: TcpListener) -> Self {
        rustix::net::listen(&listener, 0).expect("a listening socket may listen again");
        let mut backlog = Self {
            listener,
            fill: Vec::new(),
        };
        let address = backlog.address();
        // On loopback a connection is there at once or not before somebody accepts one.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            assert!(backlog.fill.len() < 8, "it never fills up");
            backlog.fill.push(stream);
        }
        backlog
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn port(&self) -> u16 {
        self.address().port()
    }

    /// How many wait in vain: their first packet is out, and nothing came back.
    pub(crate) fn knocking(&self) -> usize {
        let table = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux shows its sockets");
        let peer = format!("0100007F:{:04X}", self.port());
        table
            .lines()
            .filter(|line| {
                let mut fields = line.split_ascii_whitespace().skip(2);
                // SYN_SENT.
                fields.next() == Some(&peer) && fields.next() == Some("02")
            })
            .count()
    }

    /// From now on it accepts, and answers as [`site`]. Those who have filled it leave.
    pub(crate) fn relieve(self) -> Peer {
        rustix::net::listen(&self.listener, 128).expect("a listening socket may listen again");
        drop(self.fill);
        Peer::on(self.listener, Arc::new(site))
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }
}
