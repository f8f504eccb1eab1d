//! Open files: what the process may have, and what a comparison needs.

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
