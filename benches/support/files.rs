//! Open files, of which a connection is one.

/// Raises the soft limit of open files to the hard one, for this process and its children.
///
/// If that is refused the lower limit stays, and what needs more fails.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

#[cfg(not(unix))]
pub(crate) fn raise_limit() {}
