//! Something that a job needs could not be made.

use std::{error::Error as StdError, fmt, sync::Arc};

/// Why the object of a [`Resource`](crate::Resource) is not there.
///
/// The `source()` is what the maker returned, and can be downcast to its type; if the maker
/// panicked, it is a [`Panic`](super::Panic). One failure is told to everyone who waited for it, so
/// that clones share it.
///
/// # Examples
///
/// ```
/// use std::{error::Error as _, io};
/// use longshore::{Error, Resource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let port = Resource::new("port", || Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)));
/// let Err(Error::Unavailable(why)) = port.with(|_, _| ()).await else { unreachable!() };
/// let cause = why.source().and_then(|cause| cause.downcast_ref::<io::Error>());
/// assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::NotFound));
/// # }
/// ```
#[derive(Clone)]
pub struct Unavailable {
    lane: Arc<str>,
    cause: Arc<dyn StdError + Send + Sync>,
}

impl Unavailable {
    pub(crate) fn new(lane: Arc<str>, cause: Arc<dyn StdError + Send + Sync>) -> Self {
        Self { lane, cause }
    }

    /// The name of the resource.
    #[must_use]
    pub fn lane(&self) -> &str {
        &self.lane
    }

    /// What the maker said.
    #[must_use]
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.cause
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object of `{}` could not be made", self.lane)
    }
}

impl fmt::Debug for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unavailable")
            .field("lane", &self.lane)
            .field("cause", &self.cause)
            .finish()
    }
}

impl StdError for Unavailable {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.cause)
    }
}
