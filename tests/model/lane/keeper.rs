//! The twin of `src/lane/keeper.rs`: models have no clock, and look themselves where a deadline is to
//! pass.

use std::io;

use tokio::runtime;

use super::{core::Core, home::HomeId};
use crate::sync::Arc;

pub(crate) fn spawn(_core: &Arc<Core>, _home: HomeId, _runtime: &runtime::Handle) {}

pub(crate) fn spawn_thread(_core: &Arc<Core>, _home: HomeId) -> io::Result<()> {
    unreachable!("every job of a model has a runtime that would keep its deadline")
}
