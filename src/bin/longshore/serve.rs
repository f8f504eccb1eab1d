//! `longshore serve`: the slow server alone.

use std::io;
use std::sync::Mutex;

use crate::args::Serve;
use crate::exit::{Exit, print};
use crate::random::Random;
use crate::server::{Open, Rule, Server, Site};
use crate::value::short;

/// Serves until a signal comes.
pub(crate) fn run(args: Serve) -> Result<(), Exit> {
    let total = Rule::total(&args.fail);
    // A little over one is rounding: 0.1 ten times.
    if total > 1.0 + 1e-9 {
        return Err(Exit::usage(format!(
            "--fail: the rates add up to {total}, more than 1"
        )));
    }
    let site = Site::Open(Open {
        latency: args.latency,
        jitter: args.jitter,
        body_size: args.body_size,
        rules: args.fail.clone(),
        random: Mutex::new(Random::new(args.seed)),
    });
    crate::limits::raise_open_files();
    let port = u16::try_from(args.port).expect("the command line allows no more");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::error(format!("could not start: {error}")))?;
    let server = runtime
        .block_on(Server::bind(port, site, args.connections as usize))
        .map_err(|error| {
            Exit::error(match error.kind() {
                io::ErrorKind::AddrInUse => {
                    format!("port {port} is in use: choose another, or --port 0 for a free one")
                }
                _ => format!("could not listen on 127.0.0.1:{port}: {error}"),
            })
        })?;

    let address = server.address();
    let stop = runtime
        .block_on(async { crate::signals::Signals::new() })
        .map_err(|error| Exit::error(format!("could not listen for signals: {error}")))?;
    print(&format!(
        "listening on http://{address}\n\
         answers take {}{}; these ask for something special (more at http://{address}/):\n\
         \x20 /delay/MS  /status/CODE  /bytes/N  /reset  /hang  /truncate\n\
         Ctrl-C ends it\n",
        short(args.latency),
        if args.jitter.is_zero() {
            String::new()
        } else {
            format!(" to {}", short(args.latency + args.jitter))
        },
    ))?;
    runtime.block_on(async move {
        let mut stop = stop;
        tokio::select! {
            () = server.run() => {}
            _ = stop.next() => {}
        }
    });
    Ok(())
}
