//! The database: quotes that may be given again, and a book of all that were given.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

/// How long a writer of another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The database.
pub struct Store {
    db: Mutex<Connection>,
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
    pub fn open(config: &Config) -> Result<Self, Error> {
        let db = Connection::open(&config.database)?;
        db.busy_timeout(PATIENCE)?;
        db.execute_batch(SCHEMA)?;
        Ok(Self {
            db: Mutex::new(db),
            cache_seconds: config.cache_seconds,
        })
    }

    /// A quote that was given a short while ago.
    pub fn find(&self, sku: &str, quantity: u32) -> Result<Option<Quote>, Error> {
        let text = find(&self.db(), sku, quantity)?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Enters a quote in the book, and keeps it if it may be given again.
    pub fn keep(&self, quote: &Quote) -> Result<(), Error> {
        let text = serde_json::to_string(quote)?;
        let cache_seconds = self.cache_seconds;
        keep(&mut self.db(), quote, &text, cache_seconds)?;
        Ok(())
    }

    /// What the book says of an article.
    pub fn report(&self, sku: &str) -> Result<Report, Error> {
        Ok(report(&self.db(), sku)?)
    }

    /// How much of it is in use at this moment.
    pub fn busy(&self) -> BTreeMap<String, usize> {
        let in_use = self.db.try_lock().is_err();
        BTreeMap::from([(String::from("store"), usize::from(in_use))])
    }

    /// A query that panicked has left nothing behind: its transaction was rolled back.
    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
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
