//! Servers for these tests: a listener on the loopback, and a thread that does as it is told.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Longer than any test takes. A peer that waits for longer has been forgotten by its test.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a peer was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `GET /path HTTP/1.1`.
    pub(crate) line: String,
    /// Lines as they came, with the names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All headers of the name, in order.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).collect()
    }
}

/// One connection, on the server's side.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// The next request, body and all; `None` if the client has closed.
    pub(crate) fn request(&mut self) -> io::Result<Option<Asked>> {
        let Some(mut asked) = self.head()? else {
            return Ok(None);
        };
        if let Some(length) = asked.header("content-length") {
            asked.body = vec![0; length.parse().map_err(io::Error::other)?];
            self.reader.read_exact(&mut asked.body)?;
        } else if asked.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                asked.body.extend(chunk);
            }
        }
        Ok(Some(asked))
    }

    /// The head of the next request, and nothing of its body.
    pub(crate) fn head(&mut self) -> io::Result<Option<Asked>> {
        let mut asked = Asked {
            line: self.line()?,
            ..Asked::default()
        };
        if asked.line.is_empty() {
            return Ok(None);
        }
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Some(asked));
            };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            asked.headers.push((name, value));
        }
    }

    /// The next chunk of a body that is sent in chunks; `None` after the last.
    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length];
        self.reader.read_exact(&mut chunk)?;
        self.line()?;
        Ok((length > 0).then_some(chunk))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// What comes next, whatever it is.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Waits until the client has closed.
    pub(crate) fn closed(&mut self) {
        let mut rest = [0; 4096];
        while matches!(self.read(&mut rest), Ok(1..)) {}
    }
}

/// A server. It accepts until it is dropped, and goes on with what it has accepted by then.
pub(crate) struct Peer {
    address: SocketAddr,
    gone: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Peer {
    /// `serve` is called on a thread of its own for each connection. What it says of an error is
    /// the client's doing, and what such tests are about.
    pub(crate) fn new<F>(serve: F) -> Self
    where
        F: Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let peer = Self {
            address: listener.local_addr().expect("it is bound"),
            gone: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            asked: Arc::default(),
        };
        let (gone, connections, open) = (
            peer.gone.clone(),
            peer.connections.clone(),
            peer.open.clone(),
        );
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    break;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let (serve, open) = (serve.clone(), open.clone());
                thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    let reader = BufReader::new(stream.try_clone().unwrap());
                    let _ = serve(&mut Connection { stream, reader });
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        peer
    }

    /// Answers every request with what `answer` makes of it, and keeps what it was asked.
    pub(crate) fn answering<F>(answer: F) -> Self
    where
        F: Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = asked.clone();
        let mut peer = Self::new(move |connection| {
            while let Some(request) = connection.request()? {
                let reply = answer(&request);
                kept.lock().unwrap().push(request);
                connection.send(reply)?;
            }
            Ok(())
        });
        peer.asked = asked;
        peer
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many connections it is still busy with.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        // Out of `accept`.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

/// A response with a length.
pub(crate) fn response(status: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    with_headers(status, &[], body)
}

pub(crate) fn with_headers(
    status: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut all = format!("{head}\r\n").into_bytes();
    all.extend_from_slice(body);
    all
}

pub(crate) fn redirect(status: &str, to: &str) -> Vec<u8> {
    with_headers(status, &[("Location", to)], "moved")
}
