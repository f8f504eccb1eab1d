//! Open files: what the process may have, and what a comparison needs.

use crate::args::Compare;
use crate::exit::Exit;
use crate::strategy::Strategy;

/// Open files beside those of calls: pipes, the runtime's, standard input and output.
const OTHER_FILES: u64 = 24;

/// Open files of a thread that makes offloaded calls: what it is woken by, which is an `eventfd` or, where
/// there is none, a pair of sockets.
const FILES_TO_WAKE: u64 = if cfg!(target_os = "linux") { 1 } else { 2 };

/// What is going to be called, as far as it takes open files.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) calls: u32,
    /// Of these at once, where the strategy does not say otherwise.
    pub(crate) limit: u32,
    /// Different hosts and ports, no connection to one of which is of use for another.
    pub(crate) origins: u32,
    /// Different proxies, none at all being one as well: a client for each.
    pub(crate) proxies: u32,
}

impl Load {
    /// The most connections open at once of a strategy that makes `at_once` calls at once.
    fn connections(self, strategy: Strategy, at_once: u32) -> u32 {
        // None is opened while one to the same origin rests, and none for nobody.
        let useful = at_once.saturating_mul(self.origins).min(self.calls);
        match strategy {
            // It keeps those that rest for each origin, however many origins there are.
            Strategy::Native => useful,
            // ureq keeps so many over all, and beside them are those to origins that have none at rest.
            _ => {
                let resting = self.limit.min(self.calls).saturating_mul(self.proxies);
                useful.min(at_once.saturating_add(resting))
            }
        }
    }
}

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

/// Refuses a comparison that would fail for want of open files in the middle.
pub(crate) fn enough_files(args: &Compare, load: Load) -> Result<(), Exit> {
    let need = |strategy: Strategy| {
        let at_once = strategy.at_once(args.runtime, load.limit).min(load.calls);
        let connections = u64::from(load.connections(strategy, at_once));
        match strategy {
            Strategy::Offloaded => connections + u64::from(at_once) * FILES_TO_WAKE,
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
             or lower --limit or --calls",
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Load;
    use crate::strategy::Strategy;

    #[test]
    fn connections_are_counted_as_the_clients_keep_them() {
        let load = Load {
            calls: 240,
            limit: 8,
            origins: 60,
            proxies: 1,
        };
        assert_eq!(load.connections(Strategy::Native, 8), 240);
        assert_eq!(load.connections(Strategy::Native, 1), 60);
        // Eight at rest, and as many as there are calls under way.
        assert_eq!(load.connections(Strategy::SpawnBlocking, 8), 16);
        assert_eq!(load.connections(Strategy::Serial, 1), 9);
        let through_two = Load { proxies: 2, ..load };
        assert_eq!(through_two.connections(Strategy::Offloaded, 8), 24);
        // Of one origin none rests while another one is opened, and each is opened for a call.
        let one_host = Load { origins: 1, ..load };
        let few = Load { calls: 5, ..load };
        for strategy in Strategy::ALL {
            assert_eq!(one_host.connections(strategy, 8), 8, "{strategy}");
            assert_eq!(few.connections(strategy, 5), 5, "{strategy}");
        }
    }
}
