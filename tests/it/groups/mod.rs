//! Groups: K10, K14, K15; G1 to G8, and what C6 and R8 say of groups.

mod deadlines;
mod ending;
mod limits;
mod nesting;
mod orphans;
mod outcomes;
mod scale;
mod stopping;
mod waiting;

use std::future::pending;

use longshore::{Group, group::Spawner};

use crate::support::{DropFlag, eventually};

/// A future that never ends, and that shows when it has been dropped.
fn endless<T>(flag: &DropFlag) -> impl Future<Output = T> + Send + use<T> {
    let watched = flag.watched();
    async move {
        let _watched = watched;
        pending().await
    }
}

/// Nothing is left of any child.
async fn is_over<T: Send + 'static>(group: &Group<T>) {
    eventually("the group is over", || {
        group.is_empty() && group.children().is_empty()
    })
    .await;
}

/// As [`is_over`], of a group whose owner has gone.
async fn nothing_is_left<T: Send + 'static>(spawner: &Spawner<T>) {
    eventually("the group is over", || spawner.children().is_empty()).await;
}
