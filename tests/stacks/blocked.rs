//! What a thread may block in: who is to blame, and in which line.

use std::{
    hint,
    io::Read,
    mem::ManuallyDrop,
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
};

use crate::looking::{FOREVER, PATIENCE, Told, blamed, check, naps, tell};

#[test]
fn a_sleep() {
    let stack = blamed("naps", "sleep", naps);
    let text = stack.to_string();
    assert!(text.starts_with("   0: "), "{text}");
    assert!(text.contains("looking.rs:"), "{text}");
}

#[test]
fn a_lock() {
    fn locks(told: Told, lock: Arc<Mutex<()>>) {
        tell(&told);
        let guard = lock.lock();
        drop((guard, told));
    }
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().expect("nobody panics with it");
    blamed("locks", "lock_contended", {
        let lock = lock.clone();
        move |told| locks(told, lock)
    });
    drop(held);
}

#[test]
fn a_condition() {
    fn waits(told: Told, both: (Mutex<()>, Condvar)) {
        let guard = both.0.lock().expect("nobody panics with it");
        tell(&told);
        let guard = both.1.wait(guard);
        drop((guard, told));
    }
    blamed("waits", "wait", |told| {
        waits(told, (Mutex::new(()), Condvar::new()));
    });
}

#[test]
fn a_read_from_a_peer_that_is_silent() {
    fn reads(told: Told, mut stream: TcpStream) {
        tell(&told);
        let read = stream.read(&mut [0]);
        drop((read, told));
    }
    let server = TcpListener::bind("127.0.0.1:0").expect("there is loopback");
    let address = server.local_addr().expect("it is bound");
    let stream = TcpStream::connect(address).expect("it listens");
    blamed("reads", "read", move |told| reads(told, stream));
    drop(server);
}

#[cfg(feature = "ureq")]
#[test]
fn a_request_that_is_not_answered() {
    fn asks(told: Told, url: &str) {
        tell(&told);
        let answer = ureq::get(url).call();
        drop((answer, told));
    }
    let server = TcpListener::bind("127.0.0.1:0").expect("there is loopback");
    let address = server.local_addr().expect("it is bound");
    let stack = blamed("asks", "await_input", move |told| {
        asks(told, &format!("http://{address}/"));
    });
    assert!(stack.to_string().contains(" ureq::"), "{stack}");
    drop(server);
}

#[test]
fn an_async_function_on_a_worker() {
    async fn dawdles(told: Told) {
        tokio::task::yield_now().await;
        tell(&told);
        thread::sleep(FOREVER);
        hint::black_box(told);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("there are threads");
    // To drop it would be to wait for its worker.
    let runtime = ManuallyDrop::new(runtime);
    let (told, number) = mpsc::channel();
    runtime.spawn(async {
        // Some layers between it and the worker, as in a service.
        tokio::select! {
            () = dawdles(told) => {}
            () = std::future::pending() => {}
        }
    });
    let begun = number.recv_timeout(PATIENCE).expect("it begins");
    let stack = check(&begun, "dawdles", "sleep");
    let text = stack.to_string();
    assert!(text.contains("tokio::runtime::"), "{text}");
    // Its worker never comes back.
    ManuallyDrop::into_inner(runtime).shutdown_background();
}
