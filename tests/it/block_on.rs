//! `Job::block_on`: async code from inside a job.

use std::{
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use longshore::{Job, error::Cancelled};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

use crate::support::{AT_ONCE, DropFlag, Flavour, Place, Source, eventually, is_as_new, watched};

everywhere! {
    async fn timers_and_sockets_work_in_it(place: Place) {
        let lane = place.lane(2);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = lane.offload_with(move |job| {
            job.block_on(async move {
                let (mut socket, _) = listener.accept().await?;
                let mut byte = [0];
                socket.read_exact(&mut byte).await?;
                tokio::time::sleep(Duration::from_millis(2)).await;
                socket.write_all(&[byte[0] + 1]).await
            })
        });
        let client = lane.offload_with(move |job| {
            // Neither `Send` nor `'static`.
            let byte = Rc::new(41);
            let sent = &byte;
            job.block_on(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.write_all(&[**sent]).await?;
                socket.read_u8().await
            })
        });
        server.await.unwrap().unwrap().unwrap();
        assert_eq!(client.await.unwrap().unwrap().unwrap(), 42);
        is_as_new(&lane).await;
    }

    /// K5: what nobody waits for any more does not wait either.
    async fn it_ends_with_its_job(place: Place) {
        let lane = place.lane(1);
        // Begun again if its time is up before it waits, as it may be on a machine that is busy.
        let mut time = Duration::from_millis(100);
        let mut rounds = vec![true, false];
        while let Some(times_out) = rounds.pop() {
            let (say, mut said) = mpsc::unbounded_channel();
            let (futures_end, watched) = (DropFlag::default(), DropFlag::default());
            let captured = futures_end.watched();
            let mut handle = lane.clone();
            if times_out {
                handle = lane.timeout(time);
            }
            let task = handle.offload_with(move |job| {
                let ended = job.block_on(async {
                    let _captured = captured;
                    say.send(None).unwrap();
                    std::future::pending::<()>().await;
                });
                say.send(Some(ended)).unwrap();
            });
            if said.recv().await != Some(None) {
                assert!(times_out && task.await.unwrap_err().is_timeout());
                is_as_new(&lane).await;
                time *= 4;
                rounds.push(true);
                continue;
            }
            if times_out {
                assert!(task.await.unwrap_err().is_timeout());
            } else {
                drop(task);
            }
            let begun = Instant::now();
            assert_eq!(said.recv().await.unwrap(), Some(Err(Cancelled)));
            assert!(begun.elapsed() < AT_ONCE);
            assert_eq!((futures_end.dropped(), watched.dropped()), (1, 0));
            is_as_new(&lane).await;
        }
    }

    async fn what_is_ready_is_given_though_the_job_is_cancelled_meanwhile(place: Place) {
        let lane = place.lane(1);
        let (say, mut said) = mpsc::unbounded_channel();
        let (start, started) = oneshot::channel::<()>();
        let task = lane.offload_with(move |job| {
            let (cancel, at_the_end) = (job.clone(), say.clone());
            let told = job.block_on(async move {
                say.send(None).unwrap();
                let _ = started.await;
                cancel.is_cancelled()
            });
            // But a cancelled job begins no other wait.
            at_the_end.send(Some((told, job.block_on(async { 1 })))).unwrap();
        });
        said.recv().await.unwrap();
        task.cancel();
        drop(start);
        let (told, next) = said.recv().await.unwrap().unwrap();
        assert!(matches!(told, Ok(true) | Err(Cancelled)), "{told:?}");
        assert_eq!(next, Err(Cancelled));
        is_as_new(&lane).await;
    }

    async fn a_panic_in_it_is_a_panic_of_the_job(place: Place) {
        let lane = place.lane(1);
        let inner = lane.clone();
        let task = lane.offload_with(move |job| {
            job.block_on(async {
                inner.offload(|| ()).await.unwrap();
                panic!("as planned")
            })
        });
        let error = task.await.map(|end: Result<(), _>| end).unwrap_err();
        assert!(error.to_string().ends_with("panicked: as planned"), "{error}");
        is_as_new(&lane).await;
    }

    async fn it_nests_in_itself(place: Place) {
        let lane = place.lane(1);
        let inner = lane.clone();
        let sum = lane.offload_with(move |job| {
            job.block_on(async {
                let first = inner.offload(|| 1).await.unwrap();
                // Synchronous code in the middle of async code, that waits again.
                let job = Job::current().expect("this is one");
                let second = job.block_on(async { inner.offload(|| 2).await.unwrap() }).unwrap();
                first + second + inner.offload(|| 4).await.unwrap()
            })
        });
        assert_eq!(sum.await.unwrap(), Ok(7));
        is_as_new(&lane).await;
    }

    /// A thread that works for the job can wait in its name, and ends its wait with it.
    async fn another_thread_can_wait_for_its_job(place: Place) {
        let lane = place.lane(1);
        let (say, mut said) = mpsc::unbounded_channel();
        let task = lane.offload_with(move |job| {
            let theirs = job.clone();
            let helper = thread::spawn(move || {
                theirs.block_on(async {
                    say.send(()).unwrap();
                    std::future::pending::<()>().await;
                })
            });
            helper.join().expect("it does not panic")
        });
        said.recv().await.unwrap();
        drop(task);
        eventually("the thread is free", || lane.stats().draining == 0).await;
        is_as_new(&lane).await;
    }
}

/// A job that comes from outside of any runtime can wait for what needs none.
#[test]
fn a_job_without_a_runtime_waits_too() {
    watched(|| {
        let place = Place {
            source: Source::Threads,
            flavour: Flavour::MultiThread,
        };
        let lane = place.lane(1);
        let inner = lane.clone();
        let (say, said) = std::sync::mpsc::channel();
        lane.offload_with(move |job| {
            let sum = job.block_on(async { inner.offload(|| 3).await.unwrap() + 4 });
            say.send(sum).unwrap();
        })
        .detach();
        assert_eq!(said.recv().unwrap(), Ok(7));
    });
}
