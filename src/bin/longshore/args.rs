//! The command line: what may be asked for, within which range, and what it means if left out.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::server::Rule;
use crate::strategy::Strategy;
use crate::value::{count, decimal, duration, duration_ms, whole};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Takes blocking calls off async threads: see what it is worth.
///
/// `longshore compare` makes the same slow HTTP calls in six ways (a plain loop, async code that
/// blocks, a Longshore lane, blocking threads without one, a rayon pool, a native async client) and
/// shows what each costs in time, threads and memory, and what it does to an unrelated task on the
/// same runtime.
/// `longshore serve` is the slow HTTP server alone.
#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    version,
    term_width = 80,
    after_help = "\
Examples:
  longshore compare             the story: 20 calls, 18 s of waiting
  longshore compare --speed 10  the same, ten times as fast
  longshore compare --url http://127.0.0.1:8080/delay/300
  longshore serve --port 8080 --fail status:500:0.1

Exit codes: 0 all went well, 1 something failed, 2 bad arguments,
130 interrupted (Ctrl-C), 143 terminated.
`longshore help compare` and `longshore help serve` tell the rest."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compare(Compare),
    Serve(Serve),
    /// One strategy, in a process of its own: `compare` starts it and reads what it prints.
    #[command(name = "__strategy", hide = true)]
    Strategy,
}

/// Make the same HTTP calls in six ways and compare.
///
/// Without --url it starts a server on a free port of 127.0.0.1, with 20 endpoints
/// whose answers take 18 s when they are awaited one after the other (none takes
/// over 1 s), and makes each call once with each strategy:
///
///   serial          plain ureq in a loop: the blocking code one starts with
///   naive           async functions that call ureq directly, joined: looks
///                   concurrent, is not
///   offloaded       ureq through Longshore: a lane, and its async client
///   spawn_blocking  plain ureq on Tokio's blocking threads, without a lane
///   rayon           a lane on a rayon pool of one thread a core: the wrong
///                   place for waiting
///   native          reqwest, a native async client
///
/// Each strategy runs in a process of its own, so threads and memory are its own.
/// Beside it, on the same async runtime, runs a heartbeat: an unrelated task that
/// is due every 10 ms. How late it runs is what every other task of the program
/// would have suffered.
#[derive(Clone, Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
What the table says:
  time       from the first call to the last answer (clients are built before
             the clock starts); in parentheses if calls failed, since to fail
             is often faster than to answer
  speed-up   serial time / time; '-' if serial was not run, or if any call of
             either failed
  slowest    the slowest single call, from the start of its request to the end
             of its answer
  threads    most threads at once in the strategy's process, without the one
             that counts them; stock ureq starts a short-lived one for each
             name or address that it looks up
  memory     most memory resident at once in the strategy's process
  ok         calls whose whole answer came and was good, of those that ended
  late       how late the heartbeat ran: worst, and 99th percentile of all
             beats that were due

The runtime (--runtime):
  current  one thread, on which every strategy starts: a call that blocks it
           blocks the heartbeat, in serial as in naive
  multi    one worker thread a core: each naive call blocks one of them, so
           that as many run at once as there are cores, and the heartbeat is
           late when all are blocked; serial blocks the main thread, which is
           no worker, and disturbs nobody

Your own endpoints (--url, --urls):
  It first says what it will send. For targets that are not on this machine it
  then asks, or wants --yes. Redirects are not followed. HTTP_PROXY,
  HTTPS_PROXY, ALL_PROXY and NO_PROXY are honoured and shown; targets on this
  machine and the embedded server are always reached directly.
  NO_PROXY has names, each for all below it as well (example.com, .example.com,
  *.example.com), addresses, networks (10.0.0.0/8, fd00::/8) and * for all,
  separated by commas; no ports.
  The certificates of the system are read by native when its client is built,
  before the clock starts, and by the others with their first call of https.
  An answer counts as failed if its status is 400 or more, if it took longer
  than --timeout, or if its size differs from the first answer of the same URL
  (see --any-size). Passwords and the values of a query are sent, and shown as
  ***: in the terminal, in the JSON and on the page.

Examples:
  longshore compare
  longshore compare --speed 10 --strategies serial,offloaded,native
  longshore compare --runtime multi --repeat 3
  longshore compare --html result.html
  longshore compare --calls 200 --total 100s --speed 10 --limit 50
  longshore compare --url http://127.0.0.1:8080/delay/300 --calls 40
  longshore compare --urls endpoints.txt --yes --json > result.json

Exit codes:
  0    every call of every strategy was answered as it should be
  1    a call failed, or the comparison could not run
  2    bad arguments, or consent is missing (--yes)
  130  interrupted by Ctrl-C, 143 terminated: what was measured until then is
       printed, and marked"
)]
pub(crate) struct Compare {
    /// How many calls each strategy makes, 1 to 10000 [default: 20; with --url: 20, or each URL
    /// once if there are more]
    #[arg(long, value_name = "N", value_parser = count(1..=10_000),
        allow_hyphen_values = true, help_heading = "Calls")]
    pub(crate) calls: Option<u32>,

    /// What the latencies add up to, 1ms to 1s for each call [default: 900ms for each call, which
    /// is 18s for 20]
    #[arg(long, value_name = "TIME", value_parser = duration_ms(MS(1)..=MS(10_000_000)),
        allow_hyphen_values = true,
        conflicts_with_all = ["url", "urls"], help_heading = "Calls")]
    pub(crate) total: Option<Duration>,

    /// Vary the latencies: each seed is another plan with the same total, 0 to 2^64-1
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole(0..=u64::MAX),
        allow_hyphen_values = true,
        conflicts_with_all = ["url", "urls"], help_heading = "Calls")]
    pub(crate) seed: u64,

    /// Divide all latencies by this, 1 to 1000; the output says so
    #[arg(long, value_name = "X", default_value = "1", value_parser = decimal(1.0..=1_000.0),
        allow_hyphen_values = true,
        conflicts_with_all = ["url", "urls"], help_heading = "Calls")]
    pub(crate) speed: f64,

    /// Call this URL instead of the embedded server; repeat it for more, http and https
    #[arg(long, value_name = "URL", help_heading = "Calls")]
    pub(crate) url: Vec<String>,

    /// Call the URLs of this file, one a line; a line that begins with # is a comment; - reads standard
    /// input
    #[arg(long, value_name = "FILE", help_heading = "Calls")]
    pub(crate) urls: Option<String>,

    /// Which strategies to run, and in which order
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum,
        default_values_t = Strategy::ALL, hide_default_value = true, hide_possible_values = true,
        help = "Which strategies, separated by commas, in this order \
                [default: serial,naive,offloaded,spawn_blocking,rayon,native]",
        help_heading = "How")]
    pub(crate) strategies: Vec<Strategy>,

    /// The async runtime: `current` has one thread, as in the story; `multi` has one a core, and
    /// naive calls block one each
    #[arg(long, value_enum, default_value_t = Runtime::Current, value_name = "KIND",
        hide_possible_values = true, help_heading = "How")]
    pub(crate) runtime: Runtime,

    /// Most calls in flight at once for offloaded, spawn_blocking, rayon and native, 1 to 512 [default:
    /// all; with --url: 8]
    #[arg(long, value_name = "N", value_parser = count(1..=512),
        allow_hyphen_values = true, help_heading = "How")]
    pub(crate) limit: Option<u32>,

    /// Longest time for one call, 1ms to 10m, counted from the start of its request
    #[arg(long, value_name = "TIME", default_value = "10s",
        value_parser = duration_ms(MS(1)..=MS(600_000)),
        allow_hyphen_values = true, help_heading = "How")]
    pub(crate) timeout: Duration,

    /// Run it all this often, 1 to 1000: the table then shows medians and how far they scatter
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1..=1_000),
        allow_hyphen_values = true, help_heading = "How")]
    pub(crate) repeat: u32,

    /// Do not ask before sending to targets that are not on this machine
    #[arg(long, short = 'y', help_heading = "Your own endpoints")]
    pub(crate) yes: bool,

    /// Most requests in all to targets that are not on this machine, 1 to 1000000
    #[arg(long, value_name = "N", default_value = "200", value_parser = whole(1..=1_000_000),
        allow_hyphen_values = true, help_heading = "Your own endpoints")]
    pub(crate) max_requests: u64,

    /// Ignore the proxies named in the environment
    #[arg(long, help_heading = "Your own endpoints")]
    pub(crate) no_proxy: bool,

    /// Accept answers whose size differs from call to call
    #[arg(long, help_heading = "Your own endpoints")]
    pub(crate) any_size: bool,

    /// Print one JSON object instead of the table (its fields: docs/compare-json.md)
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// Also write the result as a page for a browser, with every call drawn: one file that needs
    /// nothing else. The file is replaced when the page is complete
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,

    /// Show no progress, print the result alone
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Run the slow HTTP server alone, on 127.0.0.1.
///
/// Any path answers after --latency; some paths ask for something special:
///
///   /delay/MS        answer after MS milliseconds
///   /status/CODE     answer with this status, 200 to 599
///   /bytes/N         answer with a body of N bytes
///   /reset           reset the connection instead of answering
///   /hang            never answer
///   /truncate        close the connection in the middle of the body
///   /                a list of these, at once
///
/// A query refines any of them: `/status/503?delay=200`, `/truncate?bytes=5000`.
///
/// Any method will do. The body of a request is read and thrown away: up to 1 MiB,
/// and with a Content-Length; a larger one is answered 413, one in chunks 501.
///
/// A client that closes its own side of the connection before the answer, and
/// listens on, is taken for one that has gone: it gets none.
#[derive(Clone, Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Failures (--fail KIND:RATE, repeatable; the rates together are at most 1):
  status:CODE:RATE   answer with this status, 400 to 599
  reset:RATE         reset the connection
  hang:RATE          never answer
  truncate:RATE      close the connection in the middle of the body
  size:RATE          answer with a body of half the size, which nobody can tell
                     from a good one
Which requests fail depends on --seed and on the order in which they arrive.

Examples:
  longshore serve
  longshore serve --port 0 --latency 300ms --jitter 100ms
  longshore serve --fail status:500:0.1 --fail reset:0.05 --seed 7
  curl -i http://127.0.0.1:8080/delay/750

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 the port is in use or cannot be had,
2 bad arguments."
)]
pub(crate) struct Serve {
    /// The port, 0 to 65535; 0 takes a free one and prints it
    #[arg(long, value_name = "N", default_value = "8080", value_parser = count(0..=65_535),
        allow_hyphen_values = true)]
    pub(crate) port: u32,

    /// How long an answer takes, 0ms to 10m
    #[arg(long, value_name = "TIME", default_value = "100ms",
        value_parser = duration(MS(0)..=MS(600_000)), allow_hyphen_values = true)]
    pub(crate) latency: Duration,

    /// Add a random part to the latency, from nothing to this, 0ms to 10m
    #[arg(long, value_name = "TIME", default_value = "0ms",
        value_parser = duration(MS(0)..=MS(600_000)), allow_hyphen_values = true)]
    pub(crate) jitter: Duration,

    /// How many bytes a body has, 0 to 1073741824
    #[arg(long, value_name = "N", default_value = "64", value_parser = whole(0..=1 << 30),
        allow_hyphen_values = true)]
    pub(crate) body_size: u64,

    /// Let a part of the requests fail, see below
    #[arg(long, value_name = "KIND:RATE", value_parser = Rule::parse, allow_hyphen_values = true)]
    pub(crate) fail: Vec<Rule>,

    /// What the random parts are drawn from, 0 to 2^64-1
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole(0..=u64::MAX),
        allow_hyphen_values = true)]
    pub(crate) seed: u64,

    /// Most connections at once, 1 to 100000; one more is answered 503 and closed
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count(1..=100_000),
        allow_hyphen_values = true)]
    pub(crate) connections: u32,
}

/// The kind of async runtime every strategy runs on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    Current,
    Multi,
}
