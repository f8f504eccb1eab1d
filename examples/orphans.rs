//! Who owns what you spawn?
//!
//! Eight calls to a server, each with a blocking part on a thread and an async part beside it. The
//! server refuses the first call and never answers the others. The code that makes the calls returns
//! at the first error, by `?`, as code does. It is written twice, and what is still in use half a
//! second later is counted: async tasks, threads in a call, sockets, and bytes in buffers.
//!
//! ```text
//! cargo run --example orphans
//! ```

use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use longshore::{Group, Job, Lane};

const CALLS: usize = 8;
const BUFFER: usize = 1 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (used, server) = (Used::default(), Server::start()?);
    let refused = a_loop(server.address, &used).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let left = used.now();
    println!("a loop that spawns and awaits: {refused}");
    print(&left);
    assert_eq!(left, [CALLS, CALLS - 1, CALLS - 1, (CALLS - 1) * BUFFER]);
    drop(server); // or the program could not end: its runtime waits for these threads

    let (used, server) = (Used::default(), Server::start()?);
    let lane = Lane::builder("calls").limit(CALLS).build();
    let refused = a_group(server.address, &lane, &used).await.unwrap_err();
    let left = used.now(); // at once: it has waited for its threads
    println!("a group: {refused}");
    print(&left);
    assert_eq!(left, [0; 4]);
    Ok(())
}

fn print([tasks, threads, sockets, bytes]: &[usize; 4]) {
    println!("  left behind: {tasks} tasks, {threads} threads, {sockets} sockets, {bytes} bytes");
}

/// Everything is spawned, then awaited in order. The first error leaves by `?`, and the handles of
/// the others are dropped: which lets them run on, with nobody left to stop them or to wait for them.
async fn a_loop(server: SocketAddr, used: &Used) -> Result<(), Box<dyn Error>> {
    let (connected, mut calls) = (Arc::new(Barrier::new(CALLS)), Vec::new());
    for number in 0..CALLS {
        tokio::spawn(watch(used.clone()));
        let (used, connected) = (used.clone(), connected.clone());
        calls.push(tokio::task::spawn_blocking(move || {
            call(server, number, &used, &connected, None)
        }));
    }
    for call in calls {
        call.await??;
    }
    Ok(())
}

/// The same in a group: the first error cancels the rest, and comes when all of it is over.
async fn a_group(server: SocketAddr, lane: &Lane, used: &Used) -> Result<(), Box<dyn Error>> {
    let (connected, group) = (Arc::new(Barrier::new(CALLS)), Group::new());
    for number in 0..CALLS {
        group.spawn(watch(used.clone()));
        let (used, connected) = (used.clone(), connected.clone());
        group.offload_with(lane, move |job| {
            call(server, number, &used, &connected, Some(job))
        });
    }
    group.try_join_all().await?;
    Ok(())
}

/// The async part: it waits for a change that does not come.
async fn watch(used: Used) -> io::Result<()> {
    let _task = Count::of(&used.tasks, 1);
    std::future::pending().await
}

/// The blocking part. With a [`Job`] it says how it can be interrupted.
fn call(
    server: SocketAddr,
    number: usize,
    used: &Used,
    connected: &Barrier,
    job: Option<&Job>,
) -> io::Result<()> {
    let _thread = Count::of(&used.threads, 1);
    let _bytes = Count::of(&used.bytes, BUFFER);
    let mut buffer = vec![0; BUFFER];
    let connecting = TcpStream::connect(server);
    connected.wait(); // so that the story is the same each time; also if there is no connection
    let mut stream = connecting?;
    let _socket = Count::of(&used.sockets, 1);
    let handle = stream.try_clone()?;
    let _guard = job.map(|job| job.on_cancel(move || drop(handle.shutdown(Shutdown::Both))));
    stream.write_all(&[number as u8])?;
    let length = stream.read(&mut buffer)?;
    match &buffer[..length] {
        b"refused" => Err(io::Error::other("refused")),
        _ => Ok(()),
    }
}

/// What is in use.
#[derive(Clone, Default)]
struct Used {
    tasks: Arc<AtomicUsize>,
    threads: Arc<AtomicUsize>,
    sockets: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Used {
    fn now(&self) -> [usize; 4] {
        [&self.tasks, &self.threads, &self.sockets, &self.bytes]
            .map(|count| count.load(Ordering::SeqCst))
    }
}

/// Counted as in use until it is dropped.
struct Count(Arc<AtomicUsize>, usize);

impl Count {
    fn of(what: &Arc<AtomicUsize>, amount: usize) -> Self {
        what.fetch_add(amount, Ordering::SeqCst);
        Self(what.clone(), amount)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

/// Refuses call 0 and keeps the others waiting until it is dropped.
struct Server {
    address: SocketAddr,
    _line: mpsc::Sender<()>,
}

impl Server {
    fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (line, over) = mpsc::channel();
        thread::spawn(move || -> io::Result<()> {
            let mut kept = Vec::new();
            for stream in listener.incoming().take(CALLS) {
                let mut stream = stream?;
                let mut number = [0];
                stream.read_exact(&mut number)?;
                if number == [0] {
                    stream.write_all(b"refused")?;
                }
                kept.push(stream);
            }
            // Until the other end of the line is dropped.
            let _: Result<(), _> = over.recv();
            Ok(())
        });
        Ok(Self {
            address,
            _line: line,
        })
    }
}
