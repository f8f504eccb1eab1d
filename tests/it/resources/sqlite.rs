//! A real object: a connection of SQLite, whose handle, transactions and data can all be spoiled.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use futures::stream::{FuturesUnordered, StreamExt as _};
use longshore::{Error, Job, Resource, ResourcePool, resource::Recycle};
use rusqlite::{Connection, ErrorCode, functions::FunctionFlags};

use super::on_both_flavours;
use crate::support::{AT_ONCE, Gate, eventually};

const COUNT_FOR_EVER: &str = "
    WITH RECURSIVE numbers (n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000000
    )
    SELECT count(*) FROM numbers WHERE in_sight(n)";

/// A connection with a function that tells, once a query, that the query is under way.
fn open_announcing(tell: &mpsc::SyncSender<()>) -> rusqlite::Result<Connection> {
    let db = Connection::open_in_memory()?;
    let tell = tell.clone();
    let flags = FunctionFlags::SQLITE_UTF8;
    db.create_scalar_function("in_sight", 1, flags, move |context| {
        if context.get::<i64>(0)? == 10_000 {
            let _ = tell.try_send(());
        }
        Ok(true)
    })?;
    Ok(db)
}

/// Blocks in SQLite until the job is cancelled; tells when it has left and why.
fn count(db: &Connection, job: &Job) -> (rusqlite::Result<i64>, Instant) {
    let interrupt = db.get_interrupt_handle();
    let _guard = job.on_cancel(move || interrupt.interrupt());
    let counted = db.query_row(COUNT_FOR_EVER, [], |row| row.get(0));
    (counted, Instant::now())
}

#[test]
fn a_long_query_that_is_cancelled_frees_its_thread_at_once() {
    on_both_flavours(|| async {
        let (tell, under_way) = mpsc::sync_channel(1);
        let db = Resource::builder("long-query", move || open_announcing(&tell))
            .recycle(|db| match db.is_autocommit() {
                true => Recycle::Keep,
                false => Recycle::Discard,
            })
            .build();
        db.with(|db, _| db.execute_batch("CREATE TABLE kept (n)"))
            .await
            .unwrap()
            .unwrap();
        for _ in 0..10 {
            let (left, heard) = mpsc::channel();
            let query = db.with(move |db, job| left.send(count(db, job)).is_ok());
            eventually("the query runs", || under_way.try_recv().is_ok()).await;
            let cancelled = Instant::now();
            drop(query);
            // The next is behind it in the same line, and finds the connection as it was.
            let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'kept'";
            let next = db.with(move |db, _| db.query_row(tables, [], |row| row.get::<_, i64>(0)));
            assert_eq!(next.await.unwrap().unwrap(), 1);
            let (counted, at) = heard.recv().unwrap();
            let error = counted.unwrap_err();
            assert_eq!(
                error.sqlite_error_code(),
                Some(ErrorCode::OperationInterrupted)
            );
            assert!(at.saturating_duration_since(cancelled) < AT_ONCE);
        }
    });
}

/// A file for one test, which is gone afterwards.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = format!("{name}-{}-{number}.sqlite", std::process::id());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn rows(db: &Connection) -> i64 {
    db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))
        .unwrap()
}

/// The statements of the next closure would otherwise go into the transaction of the last one, and
/// be lost with it.
#[test]
fn a_transaction_that_is_cancelled_half_way_leaves_nothing_behind() {
    on_both_flavours(|| async {
        let file = File::new("half-way");
        let path = file.0.clone();
        let db = Resource::new("half-way", move || Connection::open(&path));
        let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
        db.with(move |db, _| db.execute_batch(create))
            .await
            .unwrap()
            .unwrap();
        for round in 0..5 {
            let gate = Gate::new();
            let door = gate.door();
            let half = db.with(move |db, job| {
                db.execute_batch("BEGIN; INSERT INTO orders DEFAULT VALUES")
                    .unwrap();
                door.pass();
                // An early way out, that forgets to roll back.
                job.check()?;
                db.execute_batch("COMMIT").unwrap();
                Ok::<_, longshore::error::Cancelled>(())
            });
            gate.arrived(1).await;
            let next = db.with(|db, _| {
                assert!(db.is_autocommit(), "in somebody else's transaction");
                db.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
                rows(db)
            });
            drop(half);
            gate.open();
            assert_eq!(next.await.unwrap(), round + 1);
        }
        db.shutdown(Duration::from_secs(5)).await.unwrap();
        // What was committed is there for others, and nothing else.
        assert_eq!(rows(&Connection::open(&file.0).unwrap()), 5);
    });
}

const ACCOUNTS: &str = "
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
    INSERT INTO accounts VALUES (1, 0), (2, 0);
    CREATE TABLE moves (id INTEGER PRIMARY KEY);";

fn move_one(db: &Connection, job: &Job, id: i64, panics: bool) -> rusqlite::Result<bool> {
    db.execute_batch("BEGIN")?;
    db.execute("INSERT INTO moves VALUES (?1)", [id])?;
    db.execute("UPDATE accounts SET balance = balance - 1 WHERE id = 1", [])?;
    assert!(!panics, "as planned");
    if job.is_cancelled() {
        // In the middle, and without a word to the connection.
        return Ok(false);
    }
    db.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 2", [])?;
    db.execute_batch("COMMIT")?;
    Ok(true)
}

#[test]
fn ten_thousand_closures_with_cancels_and_panics_keep_the_data_right() {
    const CLOSURES: i64 = 10_000;
    on_both_flavours(|| async {
        let made = Arc::new(AtomicU64::new(0));
        let counted = made.clone();
        let db = Resource::builder("ledger", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let db = Connection::open_in_memory()?;
            db.execute_batch(ACCOUNTS).map(|()| db)
        })
        .recycle(|db: &mut Connection| {
            if !db.is_autocommit() && db.execute_batch("ROLLBACK").is_err() {
                return Recycle::Discard;
            }
            Recycle::Keep
        })
        .build();

        let (mut done, mut panicked, mut cancelled) = (Vec::new(), 0, 0);
        let mut under_way = FuturesUnordered::new();
        for id in 0..CLOSURES {
            // 1 in 100 panics, 5 in 100 are cancelled: while they wait, while they run, or too late.
            let panics = id % 100 == 7;
            let cancel = id % 20 == 3;
            let task = db.with(move |db, job| move_one(db, job, id, panics));
            let canceller = cancel.then(|| task.canceller());
            under_way.push(async move { (id, task.await) });
            if let Some(canceller) = canceller {
                if id % 40 == 3 {
                    tokio::task::yield_now().await;
                }
                canceller.cancel();
            }
            while under_way.len() >= 32 || id == CLOSURES - 1 && !under_way.is_empty() {
                match under_way.next().await {
                    Some((id, Ok(moved))) => {
                        assert!(moved.unwrap(), "its caller is still there");
                        done.push(id);
                    }
                    Some((_, Err(Error::Panicked(panic)))) => {
                        assert_eq!(panic.message(), "as planned");
                        panicked += 1;
                    }
                    Some((_, Err(Error::Cancelled { .. }))) => cancelled += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(done.len() + panicked + cancelled, CLOSURES as usize);
        assert_eq!(panicked, 100);
        assert!(cancelled > 0);

        let (balances, moves) = db
            .with(|db, _| {
                let mut balances = db.prepare("SELECT balance FROM accounts ORDER BY id")?;
                let balances = balances.query_map([], |row| row.get::<_, i64>(0))?;
                let mut moves = db.prepare("SELECT id FROM moves ORDER BY id")?;
                let moves = moves.query_map([], |row| row.get::<_, i64>(0))?;
                Ok::<_, rusqlite::Error>((
                    balances.collect::<Result<Vec<_>, _>>()?,
                    moves.collect::<Result<Vec<_>, _>>()?,
                ))
            })
            .await
            .unwrap()
            .unwrap();
        let count = moves.len() as i64;
        assert_eq!(balances, [-count, count], "a move is whole or not there");
        assert!(moves.iter().all(|id| id % 100 != 7), "no move of a panic");
        assert!(
            done.iter().all(|id| moves.binary_search(id).is_ok()),
            "none is lost"
        );
        assert!(moves.len() <= done.len() + cancelled);
        assert_eq!(
            made.load(Ordering::SeqCst),
            1,
            "the one connection did all of it"
        );
    });
}

#[test]
fn a_pool_of_connections_reads_while_one_writes() {
    on_both_flavours(|| async {
        let file = File::new("pool");
        let path = file.0.clone();
        let db = ResourcePool::new("pool", 4, move || {
            let db = Connection::open(&path)?;
            db.busy_timeout(Duration::from_secs(5))?;
            Ok::<_, rusqlite::Error>(db)
        });
        let create = "PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY)";
        db.with(move |db, _| db.execute_batch(create))
            .await
            .unwrap()
            .unwrap();
        let gate = Gate::new();
        let door = gate.door();
        let writer = db.with(move |db, _| {
            let transaction = db.transaction()?;
            transaction.execute("INSERT INTO orders DEFAULT VALUES", [])?;
            door.pass();
            transaction.commit()
        });
        gate.arrived(1).await;
        let readers: Vec<_> = (0..20).map(|_| db.with(|db, _| rows(db))).collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 0);
        }
        gate.open();
        writer.await.unwrap().unwrap();
        assert_eq!(db.with(|db, _| rows(db)).await.unwrap(), 1);
        db.shutdown(Duration::from_secs(5)).await.unwrap();
    });
}
