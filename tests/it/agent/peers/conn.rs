//! One accepted connection, for a script to speak on.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};
use rustls::HandshakeKind;

use super::{End, Record, Shared, lock};
use crate::support::settles;

/// More than any head that a test expects to be read.
const LONGEST_HEAD: usize = 1 << 20;

pub(crate) struct Conn {
    id: usize,
    shared: Arc<Shared>,
    socket: Arc<TcpStream>,
    wire: Box<dyn Wire>,
    /// Read, and not yet part of a request.
    ahead: Vec<u8>,
}

/// What the bytes go over: the socket, or TLS over it.
pub(crate) trait Wire: Read + Write + Send {
    /// Says that nothing will follow, where the protocol has a word for it.
    fn bid_farewell(&mut self) {}

    /// Whether something was taken from the socket that is still to be read here.
    fn holds_back(&mut self) -> bool {
        false
    }

    /// How the handshake went, if there was one.
    fn handshake(&self) -> Option<HandshakeKind> {
        None
    }
}

/// The socket itself.
pub(crate) struct Plain(pub(crate) Arc<TcpStream>);

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
}

impl Conn {
    pub(super) fn new(id: usize, socket: Arc<TcpStream>, shared: Arc<Shared>) -> Self {
        // A reply in several writes would wait for the client's acknowledgements.
        let _ = socket.set_nodelay(true);
        Self {
            id,
            shared,
            wire: Box::new(Plain(socket.clone())),
            socket,
            ahead: Vec::new(),
        }
    }

    /// Which of the peer's connections this is, from 0 on.
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn socket(&self) -> Arc<TcpStream> {
        self.socket.clone()
    }

    /// Goes over to another protocol, spoken over the one that it has had so far.
    pub(crate) fn speak(&mut self, over: impl FnOnce(Box<dyn Wire>) -> Box<dyn Wire>) {
        let so_far = std::mem::replace(&mut self.wire, Box::new(Plain(self.socket.clone())));
        self.wire = over(so_far);
    }

    /// The next request's head; none if the client has closed the connection.
    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&head).into_owned();
                self.note(|record| record.heads.push(head.clone()));
                return Ok(Some(Request { head }));
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Err(io::Error::other("a head without an end"));
            }
            if self.read_more()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The whole body of a request, of a known length or in chunks.
    pub(crate) fn body(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        if let Some(length) = request.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            return self.take(length);
        }
        let mut body = Vec::new();
        if request.header("transfer-encoding").is_none() {
            return Ok(body);
        }
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            body.extend(self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(io::Error::other("a chunk longer than it said"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// So many bytes.
    pub(crate) fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.read_more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// What comes next, up to the end of the line, without it.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.read_more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())?;
        self.wire.flush()
    }

    /// A whole answer, after which the connection can be used again.
    pub(crate) fn reply(&mut self, body: impl AsRef<[u8]>) -> io::Result<()> {
        let body = body.as_ref();
        let mut all =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        all.extend_from_slice(body);
        self.send(all)
    }

    /// Reads until the client closes the connection.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        while self.read_more()? > 0 {
            self.ahead.clear();
        }
        Ok(())
    }

    /// The script has come to the point that its test is about.
    pub(crate) fn reach(&self) {
        self.shared.reached.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the peer is opened or dropped.
    pub(crate) fn pass(&self) {
        let open = lock(&self.shared.gate);
        drop(
            self.shared
                .opened
                .wait_while(open, |open| !*open)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Whether the peer was opened, or dropped.
    pub(crate) fn is_let_pass(&self) -> bool {
        *lock(&self.shared.gate)
    }

    /// Waits until the client has read all that was sent to it.
    pub(crate) fn is_taken(&self) {
        let ends = self.socket.peer_addr().and_then(|client| {
            let row = |end: SocketAddr| format!("0100007F:{:04X}", end.port());
            Ok([row(client), row(self.socket.local_addr()?)])
        });
        let Ok([client, here]) = ends else {
            return;
        };
        settles("the client reads", || {
            let table = fs::read_to_string("/proc/self/net/tcp").expect("Linux shows its sockets");
            let mut rows = table
                .lines()
                .map(|row| row.split_ascii_whitespace().skip(1));
            let waiting = rows.find_map(|mut row| {
                let is_its = row.next() == Some(&*client) && row.next() == Some(&*here);
                // Its state, and then `sent:received`, each as far as nobody has it yet.
                is_its.then(|| {
                    row.nth(1)
                        .is_some_and(|queues| !queues.ends_with(":00000000"))
                })
            });
            waiting != Some(true)
        });
    }

    /// A pause between two bytes of a peer that is slow.
    pub(crate) fn linger(&self) {
        thread::sleep(Duration::from_millis(5));
    }

    /// Ends the connection in good order.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.wire.bid_farewell();
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends it with a reset, as soon as the script returns.
    pub(crate) fn reset(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(
            &*self.socket,
            Some(Duration::ZERO),
        )?)
    }

    /// Copies in both directions between the client and `upstream`, until both have closed.
    ///
    /// One at a time: neither client nor upstream talks without listening.
    pub(crate) fn splice(&mut self, upstream: TcpStream) -> io::Result<()> {
        let upstream = Arc::new(upstream);
        upstream.set_nodelay(true)?;
        if !self.shared.register(&upstream) {
            return Ok(());
        }
        let (mut from_client, mut from_upstream) = (true, true);
        while from_client || from_upstream {
            (&*upstream).write_all(&std::mem::take(&mut self.ahead))?;
            let (client_ready, upstream_ready) = if self.wire.holds_back() {
                (from_client, false)
            } else {
                readable([(&self.socket, from_client), (&upstream, from_upstream)])?
            };
            if upstream_ready {
                let mut buffer = [0; 16 << 10];
                let read = (&*upstream).read(&mut buffer)?;
                self.send(&buffer[..read])?;
                if read == 0 {
                    from_upstream = false;
                    self.finish()?;
                }
            }
            if client_ready && self.read_more()? == 0 {
                from_client = false;
                upstream.shutdown(Shutdown::Write)?;
            }
        }
        Ok(())
    }

    /// The script is over.
    pub(super) fn is_over(&self) {
        self.note(|record| record.handshake = self.wire.handshake());
    }

    /// The script could not go on, as the connection is gone.
    pub(super) fn broke(&self, error: &io::Error) {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
        ) {
            self.note(|record| record.end = record.end.or(Some(End::Reset)));
        }
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Record)) {
        note(&mut lock(&self.shared.records)[self.id]);
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let read = match self.wire.read(&mut buffer) {
            // TLS that ends without a word: the same to us.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        self.ahead.extend_from_slice(&buffer[..read]);
        self.note(|record| {
            record.received += read;
            if read == 0 {
                record.end = Some(End::Closed);
            }
        });
        Ok(read)
    }
}

impl Request {
    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire for Plain {}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

/// Waits until one of the two is, of those that are wanted.
fn readable(streams: [(&TcpStream, bool); 2]) -> io::Result<(bool, bool)> {
    let mut both = streams.map(|(stream, wanted)| {
        let events = if wanted {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        PollFd::new(stream, events)
    });
    // Until one is: a peer that is dropped shuts both down.
    poll(&mut both, None)?;
    let [first, second] = [&both[0], &both[1]].map(|polled| !polled.revents().is_empty());
    Ok((first && streams[0].1, second && streams[1].1))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
