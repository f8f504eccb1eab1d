//! Open files: what the process may have, and what a comparison needs.

use crate::args::Compare;
use crate::exit::Exit;
use crate::strategy::Strategy;

/// Open files beside those of calls: pipes, the runtime's, standard input and output.
const OTHER_FILES: u64 = 24;

/// Open files of an offloaded call: its connection, and what its thread is woken by, which is an `eventfd`
/// or, where there is none, a pair of sockets.
const FILES_OFFLOADED: u64 = if cfg!(target_os = "linux") { 2 } else { 3 };

/// Raises the soft limit of open files to the hard one, for this process and its children.
///
/// If that is refused the lower limit stays, which [`open_files`] then tells.
pub(crate) fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // `OPEN_MAX` of macOS, which tells of a hard limit that is none and allows no more than this.
        const OPEN_MAX: u64 = 10_240;
        let now = getrlimit(Resource::Nofile);
        let raised = |current| {
            let maximum = now.maximum;
            setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok()
        };
        if !raised(now.maximum) && now.current.is_some_and(|current| current < OPEN_MAX) {
            raised(Some(OPEN_MAX));
        }
    }
}

/// How many files may be open at once; `None` if there is no limit, or none that is known.
pub(crate) fn open_files() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

/// Refuses a comparison that would fail for want of open files in the middle: one of so many calls, no
/// more than `limit` of them at once where the strategy does not say otherwise, to so many hosts at most.
pub(crate) fn enough_files(args: &Compare, calls: u32, limit: u32, hosts: u32) -> Result<(), Exit> {
    let need = |strategy: Strategy| {
        let at_once = strategy.at_once(args.runtime, limit).min(calls);
        // Of a host that is not called any more the connections are kept, as far as there is room for them.
        let kept = at_once.saturating_mul(hosts).min(limit).min(calls);
        let connections = u64::from(at_once.max(kept));
        match strategy {
            Strategy::Offloaded => connections * FILES_OFFLOADED,
            _ => connections,
        }
    };
    let needs = args
        .strategies
        .iter()
        .map(|&strategy| (need(strategy), strategy));
    let Some((most, strategy)) = needs.max_by_key(|&(files, _)| files) else {
        return Ok(());
    };
    let needed = most + OTHER_FILES;
    match open_files() {
        Some(limit) if limit < needed => Err(Exit::error(format!(
            "the limit of open files is {limit} (ulimit -n), and {strategy} may need {needed}: raise it, \
             or lower --limit",
        ))),
        _ => Ok(()),
    }
}
