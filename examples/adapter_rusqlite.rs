//! SQLite in a lane, with queries that stop when nobody waits for them any more.
//!
//! SQLite blocks, and can be interrupted: `Connection::get_interrupt_handle` gives a handle for
//! other threads. [`Job::on_cancel`](longshore::Job::on_cancel) is where it belongs. From there on
//! it does not matter how a caller leaves: a timeout, a `select!`, a dropped task and a shutdown
//! all end the query.
//!
//! The program counts to a billion in SQL, which takes minutes, and cancels in the middle of it,
//! 50 times on the same connection. It prints how long after the cancel the thread was free, and
//! checks every time that the connection is still good for a query.
//!
//! ```text
//! cargo run --example adapter_rusqlite
//! ```

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use longshore::{Job, Lane};
use rusqlite::{Connection, ErrorCode};

const ROUNDS: usize = 50;

const COUNT_FOR_EVER: &str = "
    WITH RECURSIVE numbers (n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000000
    )
    SELECT count(*) FROM numbers WHERE in_sight(n)";

/// One connection, which one job uses at a time: the lane's limit sees to that, and the mutex
/// tells the compiler.
type Shared = Arc<Mutex<Connection>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let lane = Lane::builder("orders-db").limit(1).build();
    let db: Shared = Arc::new(Mutex::new(Connection::open_in_memory()?));
    let under_way = announce_progress(&db)?;

    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        times.push(cancel_in_the_middle(&lane, &db, &under_way).await?);
        // The limit is 1, so this one runs when the cancelled one has left.
        let theirs = db.clone();
        let sum = lane
            .offload(move || {
                lock(&theirs).query_row("SELECT ?1 + 1", [round as i64], |row| row.get::<_, i64>(0))
            })
            .await??;
        assert_eq!(sum, round as i64 + 1);
    }

    times.sort_unstable();
    let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("{ROUNDS} queries cancelled; from the cancel until the thread was free:");
    println!("  p50 {median:.1?}, max {worst:.1?}");
    println!("the connection answered after each of them");
    // The worst may be the doing of a machine that has other things to do.
    assert!(median < Duration::from_millis(250), "{median:?}");

    lane.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}

/// Starts the long query, waits until it is under way, cancels it, and says how long after that
/// its thread was out of SQLite.
async fn cancel_in_the_middle(
    lane: &Lane,
    db: &Shared,
    under_way: &Mutex<mpsc::Receiver<()>>,
) -> Result<Duration, Box<dyn Error>> {
    let db = db.clone();
    let (left, mut freed) = tokio::sync::mpsc::channel(1);
    let task = lane.offload_with(move |job| {
        let outcome = count(job, &lock(&db));
        // A channel of the program's own, since a cancelled task tells no outcome.
        let _ = left.try_send((outcome, Instant::now()));
    });
    // To wait for a thread is to block: not on this one.
    tokio::task::block_in_place(|| lock(under_way).recv())?;

    let cancelled = Instant::now();
    drop(task);
    let (outcome, free) = freed.recv().await.ok_or("the job was lost")?;
    let error = outcome.expect_err("nobody counts to a billion that fast");
    assert_eq!(
        error.sqlite_error_code(),
        Some(ErrorCode::OperationInterrupted)
    );
    Ok(free.saturating_duration_since(cancelled))
}

/// Blocks in SQLite until it has counted, or until the job is cancelled.
fn count(job: &Job, db: &Connection) -> rusqlite::Result<i64> {
    let handle = db.get_interrupt_handle();
    // Bound to a name: the hook is taken back when the guard is dropped, before the connection is
    // anybody else's. It cannot interrupt the next query.
    let _guard = job.on_cancel(move || handle.interrupt());
    db.query_row(COUNT_FOR_EVER, [], |row| row.get(0))
}

/// Gives the connection a function `in_sight` that is always true, and says once for each query
/// that it has been called: the query is then being run, and not only prepared.
fn announce_progress(db: &Shared) -> rusqlite::Result<Mutex<mpsc::Receiver<()>>> {
    let (tell, under_way) = mpsc::channel();
    lock(db).create_scalar_function(
        "in_sight",
        1,
        rusqlite::functions::FunctionFlags::SQLITE_UTF8,
        move |context| {
            if context.get::<i64>(0)? == 10_000 {
                let _ = tell.send(());
            }
            Ok(true)
        },
    )?;
    Ok(Mutex::new(under_way))
}

/// A query that panicked leaves the connection as good as before.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
