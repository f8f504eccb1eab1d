//! Calls that a signal would end before their time: the detector sends none, so none of them is ended.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::Command,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use longshore::stall::Watch;
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll},
    thread::NanosleepRelativeResult,
};

use crate::support::{Flavour, PATIENCE, in_time, listen};

/// How long each call takes if nothing ends it.
const WAIT: Duration = Duration::from_millis(150);

const TIMESPEC: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 150_000_000,
};

/// Each asserts that it was given what it waited for.
const CALLS: &[(&str, fn())] = &[
    ("sleep", || thread::sleep(WAIT)),
    ("nanosleep", || {
        // The one of the standard library goes to sleep again when it is woken too early.
        let slept = rustix::thread::nanosleep(&TIMESPEC);
        assert!(matches!(slept, NanosleepRelativeResult::Ok), "{slept:?}");
    }),
    ("park", || thread::park_timeout(WAIT)),
    ("a channel", || {
        let (_keep, never) = mpsc::channel::<()>();
        let error = never.recv_timeout(WAIT).unwrap_err();
        assert_eq!(error, mpsc::RecvTimeoutError::Timeout);
    }),
    ("a condition", || {
        let (lock, condition) = (Mutex::new(()), Condvar::new());
        let (_guard, result) = condition
            .wait_timeout_while(lock.lock().unwrap(), WAIT, |()| true)
            .unwrap();
        assert!(result.timed_out());
    }),
    ("a lock", || {
        let lock = Arc::new(Mutex::new(()));
        let theirs = lock.clone();
        let (held, is_held) = mpsc::channel();
        let holder = thread::spawn(move || {
            let _guard = theirs.lock().unwrap();
            held.send(()).unwrap();
            thread::sleep(WAIT);
        });
        is_held.recv().unwrap();
        drop(lock.lock().unwrap());
        holder.join().unwrap();
    }),
    ("a read with a timeout", || {
        let (mut stream, _peer) = connected();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }),
    ("a read without one", || {
        let (mut stream, peer) = connected();
        let says = later(move || say(peer, b"x"));
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
        says.join().unwrap();
    }),
    ("what is read to the end of a buffer", || {
        let (mut stream, mut peer) = connected();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.write_all(b"a").unwrap();
        let says = later(move || say(peer, b"b"));
        let mut both = [0; 2];
        stream.read_exact(&mut both).unwrap();
        assert_eq!(both, *b"ab");
        says.join().unwrap();
    }),
    ("a datagram with a timeout", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        let error = socket.recv(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }),
    ("accept", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connects = later(move || drop(TcpStream::connect(address).unwrap()));
        listener.accept().unwrap();
        connects.join().unwrap();
    }),
    ("connect", || {
        // Of a socket in the network it would be seen only a second later that there is room again.
        let name = format!("longshore-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        // Room for one.
        rustix::net::listen(&listener, 0).unwrap();
        let _first = UnixStream::connect_addr(&address).unwrap();
        let accepts = later(move || (listener.accept().unwrap(), listener));
        UnixStream::connect_addr(&address).unwrap();
        accepts.join().unwrap();
    }),
    ("connect with a timeout", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let _first = TcpStream::connect(address).unwrap();
        let error = TcpStream::connect_timeout(&address, WAIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }),
    ("poll", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut fds = [PollFd::new(&socket, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, Some(&TIMESPEC)), Ok(0));
    }),
    ("epoll", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &socket, data, epoll::EventFlags::IN).unwrap();
        let mut events = Vec::with_capacity(1);
        let room = rustix::buffer::spare_capacity(&mut events);
        assert_eq!(epoll::wait(&epoll, room, Some(&TIMESPEC)), Ok(0));
    }),
    ("the end of a process", || {
        let mut process = Command::new("sleep").arg("0.15").spawn().unwrap();
        assert!(process.wait().unwrap().success());
    }),
    ("the output of a process", || {
        let output = Command::new("sh")
            .args(["-c", "echo begun; sleep 0.15; echo ended >&2"])
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"begun\n"[..], &b"ended\n"[..])
        );
    }),
    #[cfg(feature = "ureq")]
    ("ureq", || {
        let agent: ureq::Agent = ureq::config::Config::builder()
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .into();
        let mut answer = agent.get(slow_server()).call().unwrap();
        assert_eq!(answer.body_mut().read_to_string().unwrap(), "ok");
    }),
    ("attohttpc", || {
        let request = attohttpc::get(slow_server())
            .proxy_settings(attohttpc::ProxySettings::builder().build())
            .timeout(PATIENCE);
        assert_eq!(request.send().unwrap().text().unwrap(), "ok");
    }),
    ("minreq", || {
        let request = minreq::get(slow_server()).with_timeout(PATIENCE.as_secs());
        assert_eq!(request.send().unwrap().as_str().unwrap(), "ok");
    }),
];

/// All at once, each on a worker of its own.
#[test]
fn no_blocking_call_is_interrupted() {
    in_time(|| {
        let (watch, begun, _ended) = listen(Watch::new().threshold(Duration::from_millis(30)));
        let mut builder = Flavour::MultiThread.builder();
        // A name of its own, or threads of other tests that compute might be its workers.
        builder
            .worker_threads(CALLS.len())
            .thread_name("uninterrupted");
        let (runtime, watching) = watch.build(&mut builder).unwrap();
        let watching = Arc::new(watching);
        let calls = CALLS.iter().map(|(name, call)| {
            let watching = watching.clone();
            let body = async move {
                loop {
                    let (start, before) = (Instant::now(), watching.looks());
                    call();
                    // Not before its time: a little is what clocks differ by.
                    assert!(start.elapsed() >= WAIT - Duration::from_millis(2), "{name}");
                    // What nobody has looked at meanwhile says nothing.
                    if watching.looks() >= before + 5 {
                        break;
                    }
                }
            };
            (name, runtime.spawn(body))
        });
        let calls: Vec<_> = calls.collect();
        let failed: Vec<_> = (calls.into_iter())
            .filter_map(|(name, call)| Some((name, runtime.block_on(call).err()?)))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert!(begun.recv_timeout(PATIENCE).is_ok(), "none was reported");
    });
}

/// A connection, and the other end of it.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    (stream, peer)
}

/// Does something on another thread once the time is over.
fn later<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(move || {
        thread::sleep(WAIT);
        run()
    })
}

fn say(mut peer: TcpStream, bytes: &[u8]) {
    peer.write_all(bytes).unwrap();
}

/// The address of a server that answers once, and takes its time.
fn slow_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let mut length = 0;
        while !head[..length].ends_with(b"\r\n\r\n") {
            length += peer.read(&mut head[length..]).unwrap();
        }
        thread::sleep(WAIT);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        peer.write_all(answer).unwrap();
    });
    format!("http://{address}/")
}
