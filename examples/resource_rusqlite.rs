//! A connection of SQLite as a resource: one thread, whose closures may be cancelled at any point.
//!
//! `adapter_rusqlite` puts a connection behind a mutex and a lane, and gets it back usable because
//! each query interrupts itself. This program does what a mutex cannot:
//!
//! 1. *A transaction is cancelled in its middle.* Its closure returns without a commit and without
//!    a rollback, as one does that leaves with `?`. The next closure finds the connection in order,
//!    since the resource has it rolled back in between.
//! 2. *A closure panics*, in its transaction too. Its caller is told; the connection is good.
//! 3. *There is no connection*: the maker fails for a while, as with a server that restarts. Calls
//!    are told its error, with one attempt for all that wait, and the next call tries again.
//! 4. *A long query is interrupted* 50 times by dropping its task, and it is measured how long it
//!    takes until the next closure has the connection.
//!
//! ```text
//! cargo run --example resource_rusqlite
//! ```

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use longshore::{Job, Resource, error::Cancelled, resource::Recycle};
use rusqlite::Connection;

const ROUNDS: usize = 50;

const A_BILLION_ROWS: &str = "
    WITH RECURSIVE numbers (n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000000
    )
    SELECT n FROM numbers";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What stands in for a database server: a file, and whether anybody is let in.
#[derive(Clone)]
struct Server {
    file: std::path::PathBuf,
    is_up: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
}

impl Server {
    fn connect(&self) -> Result<Connection, Box<dyn Error + Send + Sync>> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        if !self.is_up.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        Ok(Connection::open(&self.file)?)
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let server = Server {
        file: std::env::temp_dir().join(format!("longshore-{}.sqlite", std::process::id())),
        is_up: Arc::new(AtomicBool::new(true)),
        attempts: Arc::default(),
    };
    let theirs = server.clone();
    let db = Resource::builder("orders-db", move || theirs.connect())
        .queue(100)
        .recycle(roll_back)
        .build();
    db.with(|db, _| db.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        .await??;

    cancel_in_a_transaction(&db).await?;
    panic_in_a_transaction(&db).await?;
    do_without_a_connection(&server).await?;
    interrupt_queries(&db).await?;

    db.shutdown(Duration::from_secs(1)).await?;
    assert_eq!(db.objects(), 0, "the file is closed");
    std::fs::remove_file(&server.file)?;
    Ok(())
}

/// Runs after closures that were cancelled or have panicked, before the next one.
fn roll_back(db: &mut Connection) -> Recycle {
    if db.is_autocommit() || db.execute_batch("ROLLBACK").is_ok() {
        Recycle::Keep
    } else {
        Recycle::Discard
    }
}

async fn orders(db: &Resource<Connection>) -> Outcome<i64> {
    let count = |db: &mut Connection, _: &Job| {
        assert!(db.is_autocommit(), "in the transaction of somebody else");
        db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))
    };
    Ok(db.with(count).await??)
}

async fn cancel_in_a_transaction(db: &Resource<Connection>) -> Outcome {
    let (tell, inserted) = tokio::sync::oneshot::channel();
    let half = db.with(|db, job| -> Result<(), Cancelled> {
        db.execute_batch("BEGIN; INSERT INTO orders DEFAULT VALUES")
            .expect("nobody else uses the file");
        let _ = tell.send(());
        // More steps of the same transaction, between which it looks whether to go on.
        loop {
            job.check()?;
            std::thread::yield_now();
        }
    });
    inserted.await?;
    drop(half);
    let left = orders(db).await?;
    println!("cancelled in the middle of a transaction: {left} orders, as before");
    assert_eq!(left, 0);
    Ok(())
}

async fn panic_in_a_transaction(db: &Resource<Connection>) -> Outcome {
    let told = db
        .with(|db, _| -> () {
            db.execute_batch("BEGIN; INSERT INTO orders DEFAULT VALUES")
                .expect("nobody else uses the file");
            panic!("an order without an amount");
        })
        .await;
    let left = orders(db).await?;
    println!("panicked in one ({}): {left} orders", told.unwrap_err());
    assert_eq!(left, 0);
    Ok(())
}

async fn do_without_a_connection(server: &Server) -> Outcome {
    let theirs = server.clone();
    let db = Resource::new("reports-db", move || theirs.connect());
    server.is_up.store(false, Ordering::SeqCst);
    server.attempts.store(0, Ordering::SeqCst);
    let calls: Vec<_> = (0..20).map(|_| db.with(|_, _| ())).collect();
    for call in calls {
        let error = call.await.unwrap_err();
        assert!(error.never_started());
    }
    let attempts = server.attempts.load(Ordering::SeqCst);
    println!("20 calls while the server was down: all told; attempts: {attempts}");

    server.is_up.store(true, Ordering::SeqCst);
    let left = orders(&db).await?;
    println!("and up again: {left} orders");
    db.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}

async fn interrupt_queries(db: &Resource<Connection>) -> Outcome {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (tell, started) = tokio::sync::oneshot::channel();
        let query = db.with(|db, job| {
            let interrupt = db.get_interrupt_handle();
            let _guard = job.on_cancel(move || interrupt.interrupt());
            let mut query = db.prepare(A_BILLION_ROWS)?;
            let mut rows = query.query([])?;
            rows.next()?;
            // From here on there is something to interrupt.
            let _ = tell.send(());
            let mut sum = 0_i64;
            while let Some(row) = rows.next()? {
                sum += row.get::<_, i64>(0)?;
            }
            Ok::<_, rusqlite::Error>(sum)
        });
        started.await?;
        let cancelled = Instant::now();
        drop(query);
        orders(db).await?;
        times.push(cancelled.elapsed());
    }
    times.sort_unstable();
    let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("{ROUNDS} queries cancelled; until the next closure had been served:");
    println!("  p50 {median:.1?}, max {worst:.1?}");
    assert!(worst < Duration::from_millis(250), "{worst:?}");
    Ok(())
}
