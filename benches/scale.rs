//! What do thousands of slow calls at once cost in time and memory?
//!
//! Fixed: N GET requests, all at once and each on a connection of its own, to a server on 127.0.0.1
//! that takes 900 ms to answer. Varies: N, and who makes the calls. Each contender has a process of
//! its own, so that it starts with clean memory; the server has another. A machine without any
//! other work would need 900 ms.
//!
//! - `stock`: ureq in `tokio::task::spawn_blocking`, raw, on a pool of N threads (Tokio's default
//!   ends at 512), to 2,000. Its defaults: two buffers of 128 KiB a connection, and a thread more
//!   for each call that resolves an address.
//! - `reqwest`: the native async client.
//! - `agent`: `longshore::ureq::agent` through a lane with N threads of its own, whose stacks are
//!   512 KiB; of a stack only what is used takes memory.
//! - `client`: `longshore::ureq::Client` on the same.
//!
//! All of them keep 1,000 idle connections.
//!
//! Memory is what the process had resident at its peak, less what it had before the calls (when the
//! client had made one), for each call. It has all that the client's side needs but the sockets
//! and threads of the kernel.
//!
//! The contenders take turns. The table has medians of the rounds, 3 unless `LONGSHORE_ROUNDS` is
//! set; a ratio is the median of the ratios of each round. `LONGSHORE_CALLS` sets N.
//!
//! ```text
//! cargo bench --features cli --bench scale                              about 2 minutes
//! LONGSHORE_CALLS=2000 cargo bench --features cli --bench scale         one N alone
//! ```
//!
//! N of 10,000 needs as many threads, almost twice as many open files and three times as many memory
//! mappings (`ulimit -u`, `ulimit -n`, `vm.max_map_count`): where there are fewer files, N is less.
//! Memory is known on Linux alone.

#[path = "support/answers.rs"]
mod answers;
#[path = "support/caller.rs"]
mod caller;
#[path = "support/child.rs"]
mod child;
#[path = "support/figures.rs"]
mod figures;
#[path = "support/files.rs"]
mod files;

use std::{
    fs, panic,
    sync::Arc,
    time::{Duration, Instant},
};

use caller::{Caller, Contender};
use child::Child;
use figures::Ratio;
use longshore::{Lane, Threads};
use tokio::runtime::Builder;

const CALLS: [usize; 4] = [20, 200, 2_000, 10_000];

/// Where stock ureq ends: it takes two threads a call while it connects.
const MOST_STOCK_CALLS: usize = 2_000;

const DELAY: Duration = Duration::from_millis(900);

/// A client keeps so many connections for later, as an agent of Longshore's does by default. To
/// keep one takes ureq the longer the more it has kept, with all other calls waiting meanwhile.
const IDLE: usize = 1_000;

/// A call of an agent's has two, its connection and what wakes its thread. The rest is for
/// everything else.
const OTHER_FILES: u64 = 100;

/// Nobody should meet it, on a busy machine either.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() {
    files::raise_limit();
    match child::role().as_deref() {
        None => bench(),
        Some("server") => answers::serve(DELAY),
        Some(order) => Order::parse(order).carry_out(),
    }
}

/// Prints a table of all contenders and sizes. Only the smallest, once, if this is a test that was
/// not started by `cargo bench`.
fn bench() {
    let set = std::env::var("LONGSHORE_CALLS").ok();
    let set = set.map(|set| set.parse().expect("LONGSHORE_CALLS is a whole number"));
    let real = std::env::args().any(|argument| argument == "--bench");
    let (sizes, rounds) = match (real, set) {
        (true, Some(calls)) => (vec![calls], figures::rounds(3)),
        (true, None) => {
            // A socket for each call, and a descriptor for its thread as long as there are plenty.
            let most = files::limit().map_or(u64::MAX, |limit| {
                let limit = limit.max(200) - OTHER_FILES;
                limit / 2 + limit / 64
            });
            let possible = |calls: usize| calls.min(usize::try_from(most).unwrap_or(calls));
            (CALLS.map(possible).to_vec(), figures::rounds(3))
        }
        (false, _) => (vec![CALLS[0]], 1),
    };

    let mut server = Child::start("server");
    let address = server.line();
    println!("\nCalls of {DELAY:?}, all at once; medians of {rounds} rounds in turn");
    println!(
        "{:>6}  {:>8}  {:>9}  {:>18}  {:>13}",
        "calls", "", "wall", "/ reqwest", "memory a call"
    );
    for calls in sizes {
        let contenders: Vec<_> = Contender::ALL
            .into_iter()
            .filter(|&contender| contender != Contender::Stock || calls <= MOST_STOCK_CALLS)
            .collect();
        let mut walls = vec![Vec::new(); contenders.len()];
        let mut memory = walls.clone();
        // In turn, and without a round to warm up: processes are new.
        for _ in 0..rounds {
            for (at, &contender) in contenders.iter().enumerate() {
                let order = Order {
                    contender,
                    calls,
                    address: address.clone(),
                };
                let (wall, each) = order.hand_out();
                walls[at].push(wall);
                memory[at].push(each);
            }
        }
        let native = contenders
            .iter()
            .position(|&contender| contender == Contender::Reqwest)
            .expect("it is always run");
        for (at, contender) in contenders.iter().enumerate() {
            println!(
                "{calls:>6}  {:>8}  {:>7.3} s  {:>18}  {:>9.1} KiB",
                contender.name(),
                figures::median(&walls[at]),
                Ratio::of(&walls[at], &walls[native]).to_string(),
                figures::median(&memory[at])
            );
        }
    }
}

/// What a contender's process is to do.
struct Order {
    contender: Contender,
    calls: usize,
    /// The server's.
    address: String,
}

impl Order {
    /// Starts the process. Seconds from the first call to the last answer, and KiB a call.
    fn hand_out(&self) -> (f64, f64) {
        let Self {
            contender,
            calls,
            address,
        } = self;
        let mut child = Child::start(&format!("{} {calls} {address}", contender.name()));
        let line = child.line();
        let (wall, memory) = line.split_once(' ').expect("the line has two figures");
        let figure = |text: &str| text.parse().expect("a figure is a number");
        (figure(wall), figure(memory))
    }

    fn parse(text: &str) -> Self {
        let (name, rest) = text.split_once(' ').expect("a name comes first");
        let (calls, address) = rest
            .split_once(' ')
            .expect("then a number, then an address");
        let contender = Contender::ALL
            .into_iter()
            .find(|contender| contender.name() == name);
        Self {
            contender: contender.expect("the name is a contender's"),
            calls: calls.parse().expect("the number is whole"),
            address: address.to_owned(),
        }
    }

    /// Makes the calls, prints the figures, and ends the process.
    fn carry_out(&self) -> ! {
        let calls = self.calls;
        let url: Arc<str> = format!("http://{}/", self.address).into();
        // One call that fails is the end of it, and need not be said thousands of times.
        panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            std::process::exit(1);
        }));
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(calls.max(512))
            .build()
            .expect("a runtime can be had");
        let lane = Lane::builder("scale")
            .limit(calls)
            .own_threads(Threads::new().stack_size(512 * 1024));
        let caller = Caller::new(self.contender, IDLE, lane, TIMEOUT);

        runtime.block_on(async {
            caller.get(&url).await;
            let before = resident("VmRSS:");
            let start = Instant::now();
            let tasks: Vec<_> = (0..calls)
                .map(|_| {
                    let (caller, url) = (caller.clone(), url.clone());
                    tokio::spawn(async move { caller.get(&url).await })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.expect("all calls are answered"), answers::BODY);
            }
            let wall = start.elapsed().as_secs_f64();
            let memory = (resident("VmHWM:") - before) / calls as f64;
            println!("{wall} {memory}");
        });
        // Without taking thousands of threads and connections down in good order.
        std::process::exit(0)
    }
}

/// KiB of this process that are resident now, or were at most; not a number if nobody tells.
fn resident(which: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(f64::NAN)
}
