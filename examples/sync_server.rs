//! A synchronous server whose handlers make three async calls at once.
//!
//! `tiny_http` is a server with a thread for each request, as many are: its handlers are plain
//! functions. To answer, a handler needs three things from a service downstream, each of which
//! takes 20 ms, and the client of that service is async. Through one [`Bridge`], which all of the
//! threads share, it asks for the three at the same time:
//!
//! ```text
//!  serially  ──┤ price ├────┤ stock ├────┤ rating ├──► 60 ms
//!
//!  at once   ──┤ price  ├──►                            20 ms
//!              ┤ stock  ├
//!              ┤ rating ├
//! ```
//!
//! Both are here, on paths of their own, and a second process puts load on each in turn and checks
//! every answer: this program, started again, with as many clients as the server has threads, each
//! on a connection that it keeps.
//!
//! ```text
//! cargo run --release --example sync_server             twenty seconds
//! cargo run --release --example sync_server -- --brief  two
//! ```

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use longshore::{Bridge, bridge};
use tiny_http::{Request, Response, Server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

/// How long the service downstream takes for one answer.
const LATENCY: Duration = Duration::from_millis(20);

/// Threads of the server, and clients that keep them busy.
const THREADS: usize = 16;

const ANSWER: &str = "price 12, stock 7, rating 5";

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [role, address, path, seconds] = &arguments[..]
        && role == "--load"
    {
        return load(
            address.parse()?,
            path,
            Duration::from_secs(seconds.parse()?),
        );
    }
    let brief = arguments.iter().any(|argument| argument == "--brief");
    let time = Duration::from_secs(if brief { 1 } else { 10 });

    let bridge = Bridge::start()?;
    let downstream = start_downstream(&bridge)?;
    let address = start_server(&bridge, downstream)?;
    println!(
        "{THREADS} threads, {THREADS} clients, three calls of {LATENCY:?} a request, {time:?} each"
    );
    let mut rates = Vec::new();
    for path in ["/serially", "/at-once"] {
        let rate = load_from_elsewhere(address, path, time)?;
        println!("{path:>10}: {rate:>6.0} requests a second");
        rates.push(rate);
    }
    println!("at once is {:.2} times as fast", rates[1] / rates[0]);
    assert!(rates[1] > 2.0 * rates[0], "{rates:?}");
    Ok(())
}

// ===== The server =====

/// Starts threads that take requests and answer them.
fn start_server(bridge: &Bridge, downstream: SocketAddr) -> Result<SocketAddr, Failure> {
    let server = Arc::new(Server::http("127.0.0.1:0")?);
    let address = server.server_addr().to_ip().ok_or("not an IP address")?;
    for _ in 0..THREADS {
        let (server, bridge) = (server.clone(), bridge.clone());
        thread::spawn(move || {
            for request in server.incoming_requests() {
                if let Err(error) = answer(&bridge, downstream, request) {
                    eprintln!("no answer: {error}");
                }
            }
        });
    }
    Ok(address)
}

fn answer(bridge: &Bridge, downstream: SocketAddr, request: Request) -> Result<(), Failure> {
    let product = match request.url() {
        "/serially" => serially(bridge, downstream)?,
        "/at-once" => at_once(bridge, downstream)?,
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    match product {
        Ok(text) => request.respond(Response::from_string(text))?,
        Err(error) => {
            let response = Response::from_string(error.to_string());
            request.respond(response.with_status_code(502))?;
        }
    }
    Ok(())
}

/// A plain function, in which three things are asked for one after the other.
fn serially(bridge: &Bridge, downstream: SocketAddr) -> Result<io::Result<String>, bridge::Error> {
    let price = bridge.call(ask(downstream, "price"))?;
    let stock = bridge.call(ask(downstream, "stock"))?;
    let rating = bridge.call(ask(downstream, "rating"))?;
    Ok(together(price, stock, rating))
}

/// The same, at the same time.
fn at_once(bridge: &Bridge, downstream: SocketAddr) -> Result<io::Result<String>, bridge::Error> {
    bridge.call_timeout(Duration::from_secs(10), async {
        let (price, stock, rating) = tokio::join!(
            ask(downstream, "price"),
            ask(downstream, "stock"),
            ask(downstream, "rating"),
        );
        together(price, stock, rating)
    })
}

fn together(
    price: io::Result<String>,
    stock: io::Result<String>,
    rating: io::Result<String>,
) -> io::Result<String> {
    Ok(format!(
        "price {}, stock {}, rating {}",
        price?, stock?, rating?
    ))
}

// ===== The service downstream, and its async client =====

/// A line in, a while later a line out.
fn start_downstream(bridge: &Bridge) -> Result<SocketAddr, Failure> {
    let listener = bridge.call(tokio::net::TcpListener::bind("127.0.0.1:0"))??;
    let address = listener.local_addr()?;
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = tokio::io::BufReader::new(stream);
                let mut asked = String::new();
                stream.read_line(&mut asked).await?;
                tokio::time::sleep(LATENCY).await;
                let told = match asked.trim_end() {
                    "price" => "12",
                    "stock" => "7",
                    "rating" => "5",
                    _ => "?",
                };
                stream.write_all(told.as_bytes()).await
            });
        }
    };
    bridge.spawn(serve).detach();
    Ok(address)
}

async fn ask(downstream: SocketAddr, what: &str) -> io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(downstream).await?;
    stream.write_all(format!("{what}\n").as_bytes()).await?;
    let mut told = String::new();
    stream.read_to_string(&mut told).await?;
    Ok(told)
}

// ===== The load =====

/// Has this program put load on a path, in a process of its own. Gives requests a second.
fn load_from_elsewhere(address: SocketAddr, path: &str, time: Duration) -> Result<f64, Failure> {
    let output = Command::new(env::current_exe()?)
        .args(["--load", &address.to_string(), path])
        .arg(time.as_secs().to_string())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// In that process: so many clients, each with a connection that it keeps.
fn load(address: SocketAddr, path: &str, time: Duration) -> Result<(), Failure> {
    // One after the other, until each has had an answer: of connections that come at the same
    // moment, the server leaves some waiting behind others.
    let mut clients = Vec::new();
    for _ in 0..THREADS {
        let mut client = Client::connect(address, path)?;
        client.ask()?;
        clients.push(client);
    }
    let start = Instant::now();
    let counts: Vec<Result<u64, Failure>> = thread::scope(|scope| {
        let clients: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || client.ask_until(start + time)))
            .collect();
        let ended = clients.into_iter().map(|client| client.join());
        ended
            .map(|count| count.unwrap_or_else(|_| Err("a client panicked".into())))
            .collect()
    });
    let mut requests = 0;
    for count in counts {
        requests += count?;
    }
    println!("{}", requests as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

struct Client {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Client {
    fn connect(address: SocketAddr, path: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        })
    }

    fn ask(&mut self) -> Result<(), Failure> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let answer = response(&mut self.stream)?;
        if answer == ANSWER {
            Ok(())
        } else {
            Err(format!("a wrong answer: {answer}").into())
        }
    }

    /// Gives how often it asked.
    fn ask_until(mut self, end: Instant) -> Result<u64, Failure> {
        let mut requests = 0;
        while Instant::now() < end {
            self.ask()?;
            requests += 1;
        }
        Ok(requests)
    }
}

/// As much of HTTP as this server needs.
fn response(stream: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(format!("not 200: {line}").into());
    }
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8(body)?)
}
