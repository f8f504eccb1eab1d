//! The story of orphans: the same work by a loop that spawns and awaits in order, and by a group.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use longshore::{Group, Lane, group::Cause};
use tokio::task::JoinHandle;

use crate::support::{Place, Source, eventually, is_as_new};

const CALLS: usize = 8;
/// What each call has in its hands.
const BYTES: usize = 1 << 20;

/// What is in use at this moment.
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

    /// All of it has begun; the one call that is answered may be over.
    fn are_under_way(&self) -> bool {
        let [tasks, _, sockets, _] = self.now();
        tasks == CALLS && sockets >= CALLS - 1
    }
}

/// Counts until it is dropped.
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

/// Answers one of its calls when all of them are there, and none of the others until it is dropped.
struct Server {
    address: SocketAddr,
    /// The server hangs up when this goes.
    _line: mpsc::Sender<()>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (line, over) = mpsc::channel();
        std::thread::spawn(move || {
            let mut answered = None;
            let mut kept = Vec::new();
            for stream in listener.incoming().take(CALLS) {
                let mut stream = stream.unwrap();
                let mut number = [0];
                stream.read_exact(&mut number).unwrap();
                if number == [0] {
                    answered = Some(stream);
                } else {
                    kept.push(stream);
                }
            }
            answered.take().unwrap().write_all(b"no").unwrap();
            let _: Result<(), _> = over.recv();
        });
        Self {
            address,
            _line: line,
        }
    }
}

/// A blocking call. It knows how to be interrupted, if there is somebody to do so.
fn call(
    server: SocketAddr,
    number: usize,
    used: &Used,
    job: Option<&longshore::Job>,
) -> io::Result<()> {
    let _thread = Count::of(&used.threads, 1);
    let _bytes = Count::of(&used.bytes, BYTES);
    let buffer = vec![1; BYTES];
    let mut stream = TcpStream::connect(server)?;
    let _socket = Count::of(&used.sockets, 1);
    let handle = stream.try_clone()?;
    let _guard = job.map(|job| job.on_cancel(move || drop(handle.shutdown(Shutdown::Both))));
    stream.write_all(&[number as u8])?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert_eq!(buffer.len(), BYTES);
    Err(io::Error::other(answer))
}

/// What goes with each call: an async task that waits for something else.
async fn bookkeeping(used: Used) -> io::Result<()> {
    let _task = Count::of(&used.tasks, 1);
    std::future::pending().await
}

/// As it is often written. The first error returns, and what was spawned goes on.
async fn in_a_loop(server: &Server, used: &Used) -> io::Result<()> {
    let mut calls: Vec<JoinHandle<io::Result<()>>> = Vec::new();
    for number in 0..CALLS {
        tokio::spawn(bookkeeping(used.clone()));
        let (server, used) = (server.address, used.clone());
        calls.push(tokio::task::spawn_blocking(move || {
            call(server, number, &used, None)
        }));
    }
    eventually("they are under way", || used.are_under_way()).await;
    for call in calls {
        call.await??;
    }
    Ok(())
}

/// The same, by a group.
async fn in_a_group(server: &Server, lane: &Lane, used: &Used) -> io::Result<()> {
    let group = Group::new();
    for number in 0..CALLS {
        group.spawn(bookkeeping(used.clone()));
        let (server, used) = (server.address, used.clone());
        group.offload_with(lane, move |job| call(server, number, &used, Some(job)));
    }
    eventually("they are under way", || used.are_under_way()).await;
    group
        .try_join_all()
        .await
        .map_err(|failed| match failed.cause {
            Cause::Returned(error) => error,
            Cause::Lost(error) => io::Error::other(error),
        })?;
    Ok(())
}

everywhere! {
    /// K14. The loop leaves all of it behind, the group nothing.
    async fn a_loop_with_an_early_return_leaves_orphans_and_a_group_does_not(place: Place) {
        let lane = place.lane(CALLS);
        let used = Used::default();
        let error = in_a_group(&Server::start(), &lane, &used).await.unwrap_err();
        assert_eq!(error.to_string(), "no");
        assert_eq!(used.now(), [0; 4], "tasks, threads, sockets, bytes");
        is_as_new(&lane).await;

        if place.source != Source::Tokio {
            return; // the loop has no lane: once is enough
        }
        let used = Used::default();
        let server = Server::start();
        let error = in_a_loop(&server, &used).await.unwrap_err();
        assert_eq!(error.to_string(), "no");
        let left = CALLS - 1;
        assert_eq!(used.now(), [CALLS, left, left, left * BYTES], "tasks, threads, sockets, bytes");
        // There until the server hangs up, if it ever does; the test's runtime must be able to end.
        drop(server);
        eventually("the threads are free", || used.now()[1] == 0).await;
    }
}
