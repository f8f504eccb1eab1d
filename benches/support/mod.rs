//! What the comparison of strategies stands on: slow answers, and a heartbeat that notices harm.

pub(crate) mod heartbeat;
pub(crate) mod server;
