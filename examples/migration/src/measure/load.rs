//! What clients do to a step.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use migration::{Browser, Failure};

/// How many ask at once.
pub const CLIENTS: usize = 16;

/// How many quotes are asked for to see how long one takes.
const SINGLE: usize = 9;

/// How often an unrelated client looks in.
const BEAT: Duration = Duration::from_millis(10);

/// What they have seen.
pub struct Load {
    /// Quotes a second.
    pub rate: f64,
    /// How long `/health` took, but for one time in a hundred.
    pub health_p99: Duration,
    /// And at worst.
    pub health_worst: Duration,
}

/// How long one quote takes where there is no other, the median of a few.
pub fn one_after_the_other(address: SocketAddr) -> Result<Duration, Failure> {
    let mut browser = Browser::connect(address)?;
    let mut times = Vec::new();
    for number in 0..=SINGLE {
        let start = Instant::now();
        ask(&mut browser, &format!("single-{number}"))?;
        times.push(start.elapsed());
    }
    // The first has connected to everybody.
    times.remove(0);
    times.sort();
    Ok(times[SINGLE / 2])
}

/// As many quotes as the clients can get in this time.
pub fn at_once(address: SocketAddr, time: Duration) -> Result<Load, Failure> {
    // One after the other, until each has had an answer: of connections that come at the same moment,
    // the first server leaves some waiting behind others.
    let mut browsers = Vec::new();
    for _ in 0..=CLIENTS {
        let mut browser = Browser::connect(address)?;
        browser.get("/health")?;
        browsers.push(browser);
    }
    let mut health = browsers.pop().ok_or("there is one")?;

    let start = Instant::now();
    let end = start + time;
    thread::scope(|scope| {
        let clients = browsers.into_iter().enumerate();
        let clients: Vec<_> = clients
            .map(|(number, browser)| scope.spawn(move || ask_until(number, browser, end)))
            .collect();
        let mut late = Vec::new();
        // Once in any case: a machine with other things to do may be late by all of that time.
        loop {
            let asked = Instant::now();
            health.get("/health")?;
            late.push(asked.elapsed());
            thread::sleep(BEAT);
            if Instant::now() >= end {
                break;
            }
        }
        let mut quotes = 0;
        for client in clients {
            quotes += client.join().map_err(|_| "a client has panicked")??;
        }
        late.sort();
        Ok(Load {
            rate: quotes as f64 / start.elapsed().as_secs_f64(),
            health_p99: late[late.len() * 99 / 100],
            health_worst: late[late.len() - 1],
        })
    })
}

fn ask_until(number: usize, mut browser: Browser, end: Instant) -> Result<usize, Failure> {
    let mut quotes = 0;
    loop {
        ask(&mut browser, &format!("of-{number}-{quotes}"))?;
        quotes += 1;
        if Instant::now() >= end {
            return Ok(quotes);
        }
    }
}

/// One quote that nobody has asked for before, with an offer of every supplier.
fn ask(browser: &mut Browser, sku: &str) -> Result<(), Failure> {
    let (status, body) = browser.get(&format!("/quote?sku={sku}&quantity=600"))?;
    if status == 200 && body.contains("\"missing\":[]") {
        Ok(())
    } else {
        Err(format!("a wrong answer, {status}: {body}").into())
    }
}
