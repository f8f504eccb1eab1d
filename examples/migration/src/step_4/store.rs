//! The database: quotes that may be given again, and a book of all that were given.

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use longshore::{Job, Resource, ResourcePool, cancel::HookGuard, lane::Stuck, resource::Recycle};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{config::Config, error::Error, quotes::Quote};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS cache (
        sku TEXT, quantity INTEGER, quote TEXT, expires INTEGER, PRIMARY KEY (sku, quantity)
    );
    CREATE TABLE IF NOT EXISTS book (
        sku TEXT, quantity INTEGER, cents INTEGER, at INTEGER
    );
    CREATE INDEX IF NOT EXISTS book_by_sku ON book (sku);
";

/// How long anything may take, waiting for a writer of another process included.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many may read at once.
const READERS: usize = 4;

/// The database.
pub struct Store {
    readers: ResourcePool<Connection>,
    writer: Resource<Connection>,
    cache_seconds: u32,
}

/// What the book says of an article.
#[derive(Debug, Serialize)]
pub struct Report {
    sku: String,
    quotes: u64,
    units: u64,
    cents: u64,
}

impl Store {
    /// Opens the database of a configuration.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let (ours, theirs) = (config.database.clone(), config.database.clone());
        let writer = Resource::builder("store-writer", move || connect(&ours))
            .timeout(PATIENCE)
            .recycle(recycle)
            .build();
        let readers = Resource::builder("store-readers", move || connect(&theirs))
            .timeout(PATIENCE)
            .recycle(recycle)
            .build_pool(READERS);
        writer.with(|db, _| db.execute_batch(SCHEMA)).await??;
        Ok(Self {
            readers,
            writer,
            cache_seconds: config.cache_seconds,
        })
    }

    /// A quote that was given a short while ago.
    pub async fn find(&self, sku: &str, quantity: u32) -> Result<Option<Quote>, Error> {
        let sku = sku.to_owned();
        let text = self
            .readers
            .with(move |db, job| {
                let _interrupt = interrupt(db, job);
                find(db, &sku, quantity)
            })
            .await??;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Enters a quote in the book, and keeps it if it may be given again.
    pub async fn keep(&self, quote: &Quote) -> Result<(), Error> {
        let text = serde_json::to_string(quote)?;
        let (quote, cache_seconds) = (quote.clone(), self.cache_seconds);
        self.writer
            .with(move |db, job| {
                let _interrupt = interrupt(db, job);
                keep(db, &quote, &text, cache_seconds)
            })
            .await??;
        Ok(())
    }

    /// What the book says of an article.
    pub async fn report(&self, sku: &str) -> Result<Report, Error> {
        let sku = sku.to_owned();
        let report = self
            .readers
            .with(move |db, job| {
                let _interrupt = interrupt(db, job);
                report(db, &sku)
            })
            .await??;
        Ok(report)
    }

    /// Ends what is under way at once, and says what does not end.
    pub async fn end(&self) -> Vec<Stuck> {
        let mut stuck = Vec::new();
        stuck.extend(self.readers.shutdown(Duration::ZERO).await.err());
        stuck.extend(self.writer.shutdown(Duration::ZERO).await.err());
        stuck
    }

    /// How much of it is in use at this moment.
    pub fn busy(&self) -> BTreeMap<String, usize> {
        let (readers, writer) = (self.readers.stats(), self.writer.stats());
        BTreeMap::from([
            (
                self.readers.name().to_owned(),
                readers.running + readers.draining,
            ),
            (
                self.writer.name().to_owned(),
                writer.running + writer.draining,
            ),
        ])
    }
}

/// What a reader and the writer are made with, on their threads.
fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(file)?;
    db.busy_handler(Some(wait_for_others))?;
    Ok(db)
}

/// While another process writes: whether to wait on. An interrupt does not reach this, so it looks
/// for itself whether anybody still waits for the job that it is in.
fn wait_for_others(_times: i32) -> bool {
    thread::sleep(Duration::from_millis(2));
    !Job::current().is_some_and(|job| job.is_cancelled())
}

/// Ends a query when nobody waits for it any more.
fn interrupt(db: &Connection, job: &Job) -> HookGuard {
    let handle = db.get_interrupt_handle();
    job.on_cancel(move || handle.interrupt())
}

/// What an interrupted query has left is in order, unless it is a transaction.
fn recycle(db: &mut Connection) -> Recycle {
    if db.is_autocommit() {
        Recycle::Keep
    } else {
        Recycle::Discard
    }
}

fn find(db: &Connection, sku: &str, quantity: u32) -> rusqlite::Result<Option<String>> {
    let query = "SELECT quote FROM cache WHERE sku = ?1 AND quantity = ?2 AND expires > ?3";
    db.prepare_cached(query)?
        .query_row(params![sku, quantity, now()], |row| row.get(0))
        .optional()
}

fn keep(
    db: &mut Connection,
    quote: &Quote,
    text: &str,
    cache_seconds: u32,
) -> rusqlite::Result<()> {
    let (sku, quantity) = (&quote.sku, quote.quantity);
    let transaction = db.transaction()?;
    transaction
        .prepare_cached("INSERT INTO book VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sku, quantity, quote.cents, now()])?;
    if quote.missing.is_empty() && cache_seconds > 0 {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO cache VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                sku,
                quantity,
                text,
                now() + i64::from(cache_seconds)
            ])?;
    }
    transaction.commit()
}

fn report(db: &Connection, sku: &str) -> rusqlite::Result<Report> {
    let query = "SELECT count(*), coalesce(sum(quantity), 0), coalesce(sum(cents), 0)
                 FROM book WHERE sku = ?1";
    db.prepare_cached(query)?.query_row([sku], |row| {
        Ok(Report {
            sku: sku.to_owned(),
            quotes: row.get(0)?,
            units: row.get(1)?,
            cents: row.get(2)?,
        })
    })
}

/// In seconds.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs() as i64)
}
