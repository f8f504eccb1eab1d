//! One function of a stack.

use std::{env, fmt, sync::LazyLock};

/// One function of a [`Stack`](super::Stack), as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Its name, with the path of its module where the file has that. A function that was inlined has its
    /// name alone in builds with line tables only; one that takes an optimised tail call's place is
    /// missing, as in every stack.
    pub function: Option<String>,
    /// The source file: as a rule its whole path, on the machine that compiled it.
    pub file: Option<String>,
    /// The line of the call, counted from one.
    pub line: Option<u32>,
    /// The column of the call, counted from one.
    pub column: Option<u32>,
    /// The name of the executable file or shared library that it is in.
    pub module: String,
    /// The address in that file, as `addr2line` and `objdump` count: of what is executed next where
    /// the thread sleeps, and elsewhere of the last byte of the call.
    pub address: u64,
    /// Whether it was inlined into the next frame, and so has no address of its own.
    pub inlined: bool,
    /// How it was found.
    pub confidence: Confidence,
}

/// How a [`Frame`] was found. What lies outside of a frame is known no better than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Confidence {
    /// A register that was not known was taken from what looked most like it on the stack. The frame
    /// exists, or existed a moment ago, but some between it and the next inner one may be missing.
    Guessed,
    /// A register that was not known was worked out from the code of the function, or found on the stack
    /// next to an address behind a call of this very function.
    Checked,
    /// It follows from what the compiler has written down.
    Known,
}

impl Frame {
    /// Its place in the source, `src/price.rs:41`, if that is known.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        Some(match self.line {
            Some(line) => format!("{file}:{line}"),
            None => file.to_owned(),
        })
    }

    /// `shop+0x172a27`.
    fn offset(&self) -> String {
        format!("{}+{:#x}", self.module, self.address)
    }
}

/// The name, and on a second line the place in the source, from the working directory of the process
/// if it is below that (as it was when this was first asked for). With `{:#}` on one line, and a
/// closure or the inside of an async function by the name of the function that it is in.
///
/// ```text
/// shop::price::fetch
///           at src/price.rs:41:9
/// ```
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if f.alternate() { " " } else { "\n          " };
        match &self.function {
            Some(function) if f.alternate() => f.write_str(named(function))?,
            Some(function) => f.write_str(function)?,
            None => f.write_str(&self.offset())?,
        }
        if self.confidence == Confidence::Guessed {
            f.write_str(" (guessed)")?;
        }
        match &self.file {
            Some(file) => {
                write!(f, "{gap}at {}", from_here(file))?;
                for number in [self.line, self.column].into_iter().flatten() {
                    write!(f, ":{number}")?;
                }
                Ok(())
            }
            None if self.function.is_some() => write!(f, "{gap}in {}", self.offset()),
            None => Ok(()),
        }
    }
}

/// The path without that of the working directory.
fn from_here(file: &str) -> &str {
    static HERE: LazyLock<Option<String>> = LazyLock::new(|| {
        let here = env::current_dir().ok()?.into_os_string();
        here.into_string().ok().filter(|here| here.len() > 1)
    });
    let inside = HERE.as_ref().and_then(|here| {
        let rest = file.strip_prefix(here.as_str())?;
        rest.strip_prefix('/')
    });
    inside.unwrap_or(file)
}

/// Without `::{{closure}}` at its end.
fn named(mut function: &str) -> &str {
    while let Some((outside, last)) = function.rsplit_once("::")
        && last.starts_with('{')
    {
        function = outside;
    }
    function
}
