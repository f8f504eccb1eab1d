//! How the command ends: the exit code, and the one line that goes with it.

use std::io::{self, Write as _};

/// The end of the command.
#[derive(Debug)]
pub(crate) enum Exit {
    Success,
    /// Something failed that the output has already told.
    Failed,
    /// Something failed, and this line tells what.
    Error(String),
    /// Bad arguments, with the line that tells what was wrong unless it is printed already.
    Usage(Option<String>),
    /// A signal ended it: its number.
    Signal(u8),
}

impl Exit {
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::Usage(Some(reason.into()))
    }

    pub(crate) fn error(reason: impl Into<String>) -> Self {
        Self::Error(reason.into())
    }

    /// Prints the line, if there is one, and gives the code.
    pub(crate) fn report(&self) -> u8 {
        if let Self::Error(line) | Self::Usage(Some(line)) = self {
            note(&format!("longshore: {line}"));
        }
        match self {
            Self::Success => 0,
            Self::Failed | Self::Error(_) => 1,
            Self::Usage(_) => 2,
            Self::Signal(number) => 128 + number,
        }
    }
}

/// Prints a line on standard error. There is nobody left to tell if that fails.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints the result on standard output.
///
/// # Errors
///
/// Says what failed (`/dev/full`). A reader that has gone away (`| head -1`) is no error: it has
/// seen what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Exit::error(format!(
            "could not write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
