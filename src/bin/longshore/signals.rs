//! Ctrl-C and SIGTERM: a chance to print what was measured, and an end within half a second.

use std::io;
use std::time::Duration;

use crate::exit::Exit;

/// How long the first signal leaves for printing.
const GRACE: Duration = Duration::from_millis(350);

/// The two signals that end the command.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes over both signals. Needs a runtime.
    ///
    /// # Errors
    ///
    /// The handlers cannot be installed.
    pub(crate) fn new() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The number of the next signal.
    pub(crate) async fn next(&mut self) -> u8 {
        #[cfg(unix)]
        {
            tokio::select! {
                _ = self.interrupt.recv() => 2,
                _ = self.terminate.recv() => 15,
            }
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            2
        }
    }
}

/// Tells `told` the first signal. A second one, or the end of the grace, ends the process whatever
/// the rest of it does, as for instance writing into a pipe that nobody reads.
///
/// # Errors
///
/// No thread, or no runtime for it, can be had.
pub(crate) fn watch(told: impl FnOnce(u8) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let number = signals.next().await;
                told(number);
                let _ = tokio::time::timeout(GRACE, signals.next()).await;
                std::process::exit(i32::from(Exit::Signal(number).report()));
            });
        })?;
    Ok(())
}
