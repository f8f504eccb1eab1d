//! A server that answers when the test says so, and counts what it is asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// A listener on loopback with a thread for each connection, one request on each.
pub(crate) struct Peer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    permits: Sender<()>,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let (permits, permitted) = mpsc::channel();
        let permitted = Arc::new(Mutex::new(permitted));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (count, permitted) = (Arc::clone(&count), Arc::clone(&permitted));
                std::thread::spawn(move || answer(stream, &count, &permitted));
            }
        });
        Self {
            address,
            asked,
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
        self.asked.load(Ordering::SeqCst)
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

fn answer(mut stream: TcpStream, asked: &AtomicUsize, permitted: &Mutex<Receiver<()>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let permit = permitted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv();
    if permit.is_ok() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        let _ = stream.write_all(answer);
    }
}
