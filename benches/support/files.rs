//! Open files, of which a connection is one.

/// Raises the soft limit of open files to the hard one, for this process and its children.
///
/// If that is refused the lower limit stays, and what needs more fails.
pub(crate) fn raise_limit() {
    // Where there are no such limits there is nothing to raise.
    #[cfg(unix)]
    raise();
}

/// How many files may be open at once; `None` if there is no limit, or none that is known.
pub(crate) fn limit() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

#[cfg(unix)]
fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}
