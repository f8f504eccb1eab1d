//! A slow HTTP server for 127.0.0.1: what `compare` calls and `serve` runs.
//!
//! It is written on tokio and httparse and not on a server library, because its purpose is to
//! misbehave on request: to reset a connection, to stop in the middle of a body, to never answer.
//! Connections are bounded in number, request heads in size and time, so that a slow or rude client
//! costs a known amount.

mod answer;
mod connection;
mod patience;
mod rule;
mod site;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use patience::Patience;
pub(crate) use rule::Rule;
pub(crate) use site::{Open, Site, planned_body, planned_path};

/// How many connections may wait to be accepted. With the usual 128, many at once would wait a second
/// for their handshake to be sent again, and the comparison would show that.
const BACKLOG: u32 = 4096;

/// A server that has its port, and is not yet answering.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    site: Site,
    connections: usize,
    patience: Patience,
}

impl Server {
    /// Takes a port of 127.0.0.1; port 0 takes any free one. It is async because it needs a
    /// runtime, and not because it waits.
    ///
    /// # Errors
    ///
    /// The port is in use, or no socket can be had.
    pub(crate) async fn bind(port: u16, site: Site, connections: usize) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Elsewhere that would let two servers have the same port.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            site,
            connections,
            patience: Patience::default(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers on any free port, from a thread of its own until the process ends.
    ///
    /// # Errors
    ///
    /// No socket, no thread, or no runtime can be had.
    pub(crate) fn start_in_background(site: Site, connections: usize) -> io::Result<SocketAddr> {
        Self::start_with(site, connections, Patience::default())
    }

    fn start_with(site: Site, connections: usize, patience: Patience) -> io::Result<SocketAddr> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut server = runtime.block_on(Self::bind(0, site, connections))?;
        server.patience = patience;
        let address = server.address();
        std::thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || runtime.block_on(server.run()))?;
        Ok(address)
    }

    /// Answers for ever.
    pub(crate) async fn run(self) {
        let site = Arc::new(self.site);
        let room = Arc::new(Semaphore::new(self.connections));
        let mut complained = false;
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely. Those in use will come back, so wait for
                    // them, and say it once.
                    if !complained {
                        complain(&error);
                        complained = true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => {
                    let site = Arc::clone(&site);
                    tokio::spawn(async move {
                        // A client that goes away in the middle is its own affair.
                        let _ = connection::serve(stream, &site, self.patience).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    let _ = stream.try_write(answer::FULL);
                }
            }
        }
    }
}

fn complain(error: &io::Error) {
    let _ = writeln!(
        io::stderr(),
        "longshore: the server cannot accept a connection: {error}"
    );
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::{Server, Site};

    /// On other systems than Linux the number that is kept may be smaller, whatever is asked for.
    #[test]
    fn hundreds_of_connections_may_come_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let site = Site::Planned {
            latencies: Vec::new(),
            speed: 1.0,
        };
        let server = runtime.block_on(Server::bind(0, site, 1));
        let address = server.as_ref().expect("a free port").address();
        // Nobody accepts them yet. What the system does not keep would have to knock again, each time
        // after twice as long.
        let kept = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a number");
        let many = kept.trim().parse::<usize>().expect("a number").min(400);
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(10));
        let come: Result<Vec<_>, _> = (0..many).map(connect).collect();
        assert!(come.is_ok(), "{come:?}");
    }
}
