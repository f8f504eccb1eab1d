//! Servers that do one thing each, right or wrong, on threads and sockets of the standard library.
//!
//! A [`Peer`] owns its threads and ends them when it is dropped, whatever they wait for. It keeps
//! a [`Record`] of each connection: what was asked on it, and how it ended.

mod backlog;
mod closed;
mod conn;
mod proxy;
mod site;
mod socks;
mod tls;

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::HandshakeKind;

pub(crate) use self::{
    backlog::Backlog,
    closed::Closed,
    conn::Conn,
    proxy::{Manners, connect_proxy},
    site::site,
    socks::{SocksManners, socks_proxy},
    tls::{Authority, NOWHERE},
};

/// What is done with a connection, from its beginning to its end.
pub(crate) type Script = Arc<dyn Fn(&mut Conn) -> io::Result<()> + Send + Sync>;

/// How a connection ended, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client closed it.
    Closed,
    /// The client closed it with something unread, or it broke.
    Reset,
}

/// What was seen of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The heads of the requests, in their order.
    pub(crate) heads: Vec<String>,
    /// Bytes that were read, TLS apart.
    pub(crate) received: usize,
    /// None while it is open, or if this side ended it.
    pub(crate) end: Option<End>,
    /// How the handshake of TLS went, as soon as the script is over.
    pub(crate) handshake: Option<HandshakeKind>,
}

/// A listening socket of the loopback interface, and all that was accepted from it.
pub(crate) struct Peer {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    accepts: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    reached: AtomicUsize,
    ended: AtomicUsize,
    records: Mutex<Vec<Record>>,
    streams: Mutex<Vec<Weak<TcpStream>>>,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Peer {
    pub(crate) fn new(
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        Self::on(listener, Arc::new(script))
    }

    /// With so small a window that the client has to wait for every few kilobytes.
    pub(crate) fn with_a_small_window(
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        // What is accepted has it from the socket that listens.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096)
            .expect("a buffer may be small");
        Self::on(listener, Arc::new(script))
    }

    /// Behind TLS, with a certificate of `authority` for [`tls::HOSTS`].
    pub(crate) fn with_tls(
        authority: &Authority,
        script: impl Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let script = authority.wrap(Arc::new(script));
        Self::new(move |conn| script(conn)).https()
    }

    /// The same, whose URLs say that it speaks TLS.
    pub(crate) fn https(mut self) -> Self {
        self.scheme = "https";
        self
    }

    /// `first` has the first connection, `rest` all that follow.
    pub(crate) fn first(first: Script, rest: Script) -> Self {
        Self::new(move |conn| {
            if conn.id() == 0 {
                first(conn)
            } else {
                rest(conn)
            }
        })
    }

    pub(crate) fn on(listener: TcpListener, script: Script) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let accepts = thread::Builder::new()
            .name("peer".to_owned())
            .spawn(move || accept(&listener, &theirs, &script))
            .expect("a thread can be had");
        Self {
            shared,
            address,
            scheme: "http",
            accepts: Some(accepts),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of `path`, with an address for a host.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The URL of `path` at another name of this machine, or at a name that only a proxy knows.
    pub(crate) fn url_at(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.port())
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.shared.records).len()
    }

    pub(crate) fn record(&self, id: usize) -> Record {
        lock(&self.shared.records)[id].clone()
    }

    /// Every head that came, by connection and in their order.
    pub(crate) fn heads(&self) -> Vec<String> {
        let records = lock(&self.shared.records);
        records
            .iter()
            .flat_map(|record| record.heads.clone())
            .collect()
    }

    /// How often a script has come to its [`Conn::reach`].
    pub(crate) fn reached(&self) -> usize {
        self.shared.reached.load(Ordering::SeqCst)
    }

    /// How many connections this side is done with: the socket is closed.
    pub(crate) fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Lets the scripts go on that wait in [`Conn::pass`], now and from now on.
    pub(crate) fn open(&self) {
        self.shared.open();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.open();
        for stream in lock(&self.shared.streams).drain(..) {
            if let Some(stream) = stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Out of `accept`; what is accepted from now on is closed at once.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
    }
}

impl Shared {
    fn open(&self) {
        *lock(&self.gate) = true;
        self.opened.notify_all();
    }

    /// Has the stream closed when the peer is dropped. False if it is being dropped already.
    fn register(&self, stream: &Arc<TcpStream>) -> bool {
        let mut streams = lock(&self.streams);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
        !self.stopping.load(Ordering::SeqCst)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Script) {
    let mut threads = Vec::new();
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            // No descriptors left, in a test about just that: there may be some again.
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        let stream = Arc::new(stream);
        if !shared.register(&stream) {
            break;
        }
        let id = {
            let mut records = lock(&shared.records);
            records.push(Record::default());
            records.len() - 1
        };
        let mut conn = Conn::new(id, stream, shared.clone());
        let (script, shared) = (script.clone(), shared.clone());
        threads.push(thread::spawn(move || {
            if let Err(error) = script(&mut conn) {
                conn.broke(&error);
            }
            conn.is_over();
            drop(conn);
            shared.ended.fetch_add(1, Ordering::SeqCst);
        }));
    }
    for thread in threads {
        // A script that panics shows by what the client of it makes of that.
        let _ = thread.join();
    }
}

/// A script that panics may have held it; what it guards is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
