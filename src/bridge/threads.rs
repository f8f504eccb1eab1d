//! The threads of a bridge: the one that owns its runtime, and the clock's. The only place that
//! starts them.

use std::{io, thread};

/// Starts a thread that owns a runtime.
pub(super) fn start_owner(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    start(thread::Builder::new().name(name), body)
}

/// Starts the thread of the clock, which does little and needs little.
pub(super) fn start_clock(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name(String::from("longshore-clock"))
        .stack_size(256 * 1024);
    start(builder, body)
}

fn start(builder: thread::Builder, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    builder.spawn(body).map(drop)
}
