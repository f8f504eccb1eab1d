//! Open files: what the process may have, and what a comparison needs.

/// Raises the soft limit of open files to the hard one, for this process and its children.
///
/// If that is refused the lower limit stays, which [`open_files`] then tells.
pub(crate) fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let now = getrlimit(Resource::Nofile);
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: now.maximum,
                maximum: now.maximum,
            },
        );
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
