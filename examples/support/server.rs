//! An HTTP server on 127.0.0.1 that takes its time.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// A slow server, on any free port of 127.0.0.1, with a thread for each connection.
///
/// | path | what it does |
/// |---|---|
/// | `/delay/MS` | answers after so many milliseconds, with `after MS ms` |
/// | `/body/MS` | sends the head and half of the body at once, the other half after so many milliseconds |
/// | `/bytes/N` | sends so many bytes |
/// | `/status/CODE` | answers at once, with that status |
/// | `/once` | answers 503 the first time, then 200 |
/// | `/hang` | never answers |
///
/// Dropping it ends all its connections, those that hang too. No program could end otherwise: a
/// runtime waits for its blocking threads.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    connections: Mutex<Connections>,
    requests: AtomicUsize,
    refused: AtomicBool,
}

#[derive(Debug, Default)]
struct Connections {
    over: bool,
    number: usize,
    open: HashMap<usize, TcpStream>,
}

impl Server {
    /// Starts it on a thread of its own, so that nothing the program does can slow it down.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let server = shared.clone();
        thread::Builder::new()
            .name(String::from("server"))
            .spawn(move || server.accept(&listener))?;
        Ok(Self { address, shared })
    }

    /// The URL of a path, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Twenty URLs that answer after 80, 81, … 99 ms: 1.79 s of waiting in all.
    #[must_use]
    pub fn twenty(&self) -> Vec<String> {
        let delays = 80..100;
        delays.map(|ms| self.url(&format!("/delay/{ms}"))).collect()
    }

    /// How many requests have come.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut connections = self.shared.connections();
        connections.over = true;
        for stream in connections.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(connections);
        // To be seen by the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let mut connections = self.connections();
            if connections.over {
                return;
            }
            let Ok((stream, kept)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream)))
            else {
                continue;
            };
            connections.number += 1;
            let number = connections.number;
            connections.open.insert(number, kept);
            drop(connections);
            let server = self.clone();
            thread::spawn(move || {
                // A client that goes away in the middle is its own affair.
                let _ = server.serve(stream);
                server.connections().open.remove(&number);
            });
        }
    }

    /// One connection, request after request.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(path) = read_request(&mut stream)? {
            self.requests.fetch_add(1, Ordering::SeqCst);
            self.answer(&path, &mut stream)?;
        }
        Ok(())
    }

    fn answer(&self, path: &str, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        let mut parts = path.trim_start_matches('/').split('/');
        let what = parts.next().unwrap_or_default();
        let number: u64 = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        let wait = || thread::sleep(Duration::from_millis(number));
        match what {
            "delay" => {
                wait();
                let text = format!("after {number} ms");
                send(stream.get_mut(), 200, text.len() as u64, text.as_bytes())
            }
            "body" => {
                send(stream.get_mut(), 200, 10, b"first")?;
                wait();
                stream.get_mut().write_all(b" last")
            }
            "bytes" => {
                send(stream.get_mut(), 200, number, b"")?;
                io::copy(&mut io::repeat(b'.').take(number), stream.get_mut()).map(drop)
            }
            "status" => send(stream.get_mut(), number, 0, b""),
            "once" if self.refused.swap(true, Ordering::SeqCst) => {
                send(stream.get_mut(), 200, 0, b"")
            }
            "once" => send(stream.get_mut(), 503, 0, b""),
            // Until the client goes, or the server.
            "hang" => stream.read(&mut [0]).map(drop),
            _ => send(stream.get_mut(), 404, 0, b""),
        }
    }
}

/// The path of the next request. Its headers are of no interest, and it has no body.
fn read_request(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line)?;
    }
    Ok(Some(path))
}

/// The head, and as much of the body as is given, in one write.
fn send(stream: &mut TcpStream, status: u64, length: u64, body: &[u8]) -> io::Result<()> {
    let mut bytes = format!("HTTP/1.1 {status} .\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)
}
