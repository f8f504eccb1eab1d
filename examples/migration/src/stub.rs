//! A supplier to ask, on 127.0.0.1.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::json;

/// What it sells, at which price.
#[derive(Clone, Copy, Debug)]
pub struct Goods {
    /// The price of one, in cents.
    pub cents: u64,
    /// What an order costs besides, in cents.
    pub shipping_cents: u64,
    /// How many there are. From half of them on, each costs a tenth less.
    pub units: u32,
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// After this long.
    After(Duration),
    /// Not before it has another mode.
    Hang,
    /// With this status.
    Status(u16),
    /// With what is not JSON.
    Nonsense,
}

/// A supplier, with a thread for each connection. Dropping it ends all of them.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    goods: Goods,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    over: bool,
    in_flight: usize,
    most: usize,
    asked: usize,
    connections: Vec<TcpStream>,
}

impl Stub {
    /// Starts one that answers at once.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub fn start(goods: Goods) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = State {
            mode: Mode::After(Duration::ZERO),
            over: false,
            in_flight: 0,
            most: 0,
            asked: 0,
            connections: Vec::new(),
        };
        let shared = Arc::new(Shared {
            goods,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let server = shared.clone();
        thread::spawn(move || server.accept(&listener));
        Ok(Self { address, shared })
    }

    /// Where its API begins.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it answers, also to requests that have come already and hang.
    pub fn set(&self, mode: Mode) {
        self.shared.state().mode = mode;
        self.shared.changed.notify_all();
    }

    /// Requests that have come and are not answered, and whose client is still there.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.state().in_flight
    }

    /// The most that there were at once.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.shared.state().most
    }

    /// Requests that have ever come.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.state().asked
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.over = true;
        for stream in &state.connections {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // To be seen by the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let mut state = self.state();
            if state.over {
                return;
            }
            let Ok((stream, kept)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream)))
            else {
                continue;
            };
            state.connections.push(kept);
            drop(state);
            let server = self.clone();
            thread::spawn(move || {
                // A client that goes away in the middle is its own affair.
                let _ = server.serve(stream);
            });
        }
    }

    /// One connection, request after request.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(path) = read_request(&mut stream)? {
            self.enter();
            let answered = self.answer(&path, stream.get_mut());
            self.state().in_flight -= 1;
            answered?;
        }
        Ok(())
    }

    fn enter(&self) {
        let mut state = self.state();
        state.asked += 1;
        state.in_flight += 1;
        state.most = state.most.max(state.in_flight);
    }

    fn answer(&self, path: &str, stream: &mut TcpStream) -> io::Result<()> {
        match self.mode_to_answer_in(stream)? {
            Mode::Status(status) => send(stream, status, "{}"),
            Mode::Nonsense => send(stream, 200, "no JSON"),
            Mode::Hang | Mode::After(_) => send(stream, 200, &self.told(path)),
        }
    }

    /// Waits for as long as it has to. An error if the client goes away meanwhile.
    fn mode_to_answer_in(&self, stream: &TcpStream) -> io::Result<Mode> {
        let mut state = self.state();
        while state.mode == Mode::Hang && !state.over {
            let look = self.changed.wait_timeout(state, Duration::from_millis(2));
            state = look.unwrap_or_else(PoisonError::into_inner).0;
            if state.mode == Mode::Hang && has_gone(stream)? {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        let mode = state.mode;
        drop(state);
        if let Mode::After(time) = mode {
            thread::sleep(time);
        }
        Ok(mode)
    }

    fn told(&self, path: &str) -> String {
        let goods = self.goods;
        let body = if path.starts_with("/price/") {
            let step = json!({ "units": goods.units / 2, "cents": goods.cents * 9 / 10 });
            json!({
                "cents": goods.cents,
                "breaks": [step],
                "shipping_cents": goods.shipping_cents,
            })
        } else {
            json!({ "units": goods.units })
        };
        body.to_string()
    }
}

fn has_gone(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let looked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    match looked {
        Ok(read) => Ok(read == 0),
        Err(error) => Ok(error.kind() != ErrorKind::WouldBlock),
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
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(path))
}

fn send(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} .\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes())
}
