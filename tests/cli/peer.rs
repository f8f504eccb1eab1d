//! Servers that do as the test says: one that answers when it may, and one that answers what it is told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::run::WATCHDOG;

/// A listener on loopback with a thread for each connection, one request on each.
pub(crate) struct Peer {
    address: SocketAddr,
    heads: Arc<Heads>,
    permits: Sender<()>,
}

/// The requests that have come, and who waits for the next.
#[derive(Default)]
struct Heads {
    come: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let heads = Arc::new(Heads::default());
        let (permits, permitted) = mpsc::channel();
        let permitted = Mutex::new(permitted);
        let kept = Arc::clone(&heads);
        let address = listen(move |stream| answer(stream, &kept, &permitted));
        Self {
            address,
            heads,
            permits,
        }
    }

    /// Answers so many requests, of those that wait and of those to come.
    pub(crate) fn answer(&self, requests: usize) {
        for _ in 0..requests {
            let _ = self.permits.send(());
        }
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.heads().len()
    }

    /// The heads of the requests that have come, in their order.
    pub(crate) fn heads(&self) -> Vec<String> {
        let come = self.heads.come.lock();
        come.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many requests have come.
    pub(crate) fn until_asked(&self, requests: usize) {
        let come = self.heads.come.lock();
        let come = come.unwrap_or_else(PoisonError::into_inner);
        let few = |come: &mut Vec<String>| come.len() < requests;
        let waited = self.heads.changed.wait_timeout_while(come, WATCHDOG, few);
        let (come, time) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!time.timed_out(), "{} of {requests} have come", come.len());
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A URL that counts as another machine's, and that no packet leaves this machine for: the system
    /// takes a connection to the address of nobody in particular to itself.
    pub(crate) fn foreign_url(&self) -> String {
        format!("http://0.0.0.0:{}/", self.address.port())
    }

    /// What the environment would name it as a proxy.
    pub(crate) fn as_proxy(&self) -> String {
        self.address.to_string()
    }
}

fn answer(mut stream: TcpStream, heads: &Heads, permitted: &Mutex<Receiver<()>>) {
    let Some(head) = head(&mut stream) else {
        return;
    };
    let mut come = heads.come.lock().unwrap_or_else(PoisonError::into_inner);
    come.push(head);
    drop(come);
    heads.changed.notify_all();
    let permit = permitted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv();
    if permit.is_ok() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        let _ = stream.write_all(answer);
    }
}

/// URLs of so many servers, all different, that answer at once and keep each connection until the client ends
/// it.
pub(crate) fn keeping_connections(servers: usize) -> Vec<String> {
    let each = (0..servers).map(|_| {
        let address = listen(|mut stream| {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            while head(&mut stream).is_some() && stream.write_all(answer).is_ok() {}
        });
        format!("http://{address}/")
    });
    each.collect()
}

/// How a connection ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// A server that has the same for everybody who asks, HTTP or not, and then ends the connection.
pub(crate) fn saying(answer: &str, end: End) -> SocketAddr {
    let answer = answer.to_owned();
    listen(move |mut stream| {
        if head(&mut stream).is_some() {
            let _ = stream.write_all(answer.as_bytes());
        }
        if let End::Reset = end {
            // What is closed so is reset.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    })
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// The head of a request, to its end and no further.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}
