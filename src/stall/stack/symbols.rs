//! The names of functions and the places of calls in a file.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use addr2line::Loader;

/// What is known of a function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    /// Into the next one.
    pub(super) inlined: bool,
}

/// More answers than this are forgotten.
const MOST: usize = 16 * 1024;

/// Those of one file, read when they are first asked for and mapped from then on.
pub(super) struct Symbols {
    path: PathBuf,
    /// The file of that path that is meant: device and inode.
    file: (u64, u64),
    /// `Some(None)` if there are none.
    loader: Option<Option<Loader>>,
    answers: HashMap<u64, Arc<[Name]>>,
}

impl Symbols {
    pub(super) fn of(path: PathBuf, file: &Metadata) -> Self {
        Self {
            path,
            file: (file.dev(), file.ino()),
            loader: None,
            answers: HashMap::new(),
        }
    }

    /// The functions at an address, the innermost first: one, and those that were inlined there.
    pub(super) fn at(&mut self, address: u64) -> Arc<[Name]> {
        if let Some(answer) = self.answers.get(&address) {
            return answer.clone();
        }
        let loader = self.loader.get_or_insert_with(|| {
            // It may have been replaced since it was looked at.
            let program = Path::new("/proc/self/exe");
            let found = [self.path.as_path(), program].into_iter().find(|path| {
                fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.file)
            });
            Loader::new(found?).ok()
        });
        let names = loader.as_ref().map(|loader| look_up(loader, address));
        let answer: Arc<[Name]> = match names {
            Some(names) if !names.is_empty() => names.into(),
            _ => Arc::new([Name::default()]),
        };
        if self.answers.len() >= MOST {
            self.answers.clear();
        }
        self.answers.insert(address, answer.clone());
        answer
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn look_up(loader: &Loader, address: u64) -> Vec<Name> {
    let mut names = Vec::new();
    // Whether the last name says where the function is.
    let mut whole = false;
    if let Ok(mut frames) = loader.find_frames(address) {
        loop {
            let frame = match frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // Of those that were inlined, without what they were inlined into, nothing is known.
                Err(_) => {
                    names.clear();
                    break;
                }
            };
            let raw = frame
                .function
                .as_ref()
                .and_then(|name| name.raw_name().ok());
            let mangled = raw.as_deref().and_then(demangle);
            whole = mangled.is_some();
            let place = frame.location.as_ref();
            names.push(Name {
                function: mangled.or(raw.map(String::from)),
                file: place.and_then(|place| place.file).map(String::from),
                line: place.and_then(|place| place.line),
                column: place.and_then(|place| place.column),
                inlined: true,
            });
        }
    }
    let symbol = loader.find_symbol(address);
    if names.is_empty() && symbol.is_some() {
        names.push(Name::default());
    }
    if let Some(outermost) = names.last_mut() {
        outermost.inlined = false;
        if let Some(symbol) = symbol.filter(|_| !whole) {
            outermost.complete(symbol);
        }
    }
    names
}

impl Name {
    /// Line tables have bare names (`fetch`), and a symbol has the path of the module as well
    /// (`shop::price::fetch`). But functions with the same code may have been made one, which then
    /// has all their symbols.
    fn complete(&mut self, symbol: &str) {
        let symbol = demangle(symbol).unwrap_or_else(|| symbol.to_owned());
        let is_it = match &self.function {
            None => true,
            // `{closure#0}`, which a symbol may write in another way.
            Some(bare) if bare.starts_with('{') => symbol.contains('{'),
            Some(bare) => last_of(&symbol) == bare.split('<').next().unwrap_or(bare),
        };
        if is_it {
            self.function = Some(symbol);
        }
    }
}

/// `fetch` of `shop::price::fetch::<u8>`.
fn last_of(path: &str) -> &str {
    let path = match path.rsplit_once("::<") {
        Some((path, rest)) if rest.ends_with('>') && !rest.contains(">::") => path,
        _ => path,
    };
    path.rsplit_once("::").map_or(path, |(_, last)| last)
}

/// A name of Rust's, without the number at its end.
fn demangle(symbol: &str) -> Option<String> {
    let name = rustc_demangle::try_demangle(symbol).ok()?;
    Some(format!("{name:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_completes_the_name_of_the_same_function() {
        let complete = |bare: Option<&str>, symbol| {
            let mut name = Name {
                function: bare.map(String::from),
                ..Name::default()
            };
            name.complete(symbol);
            name.function.unwrap_or_default()
        };
        let symbol = "_ZN4shop5price5fetch17h0123456789abcdefE";
        assert_eq!(complete(None, symbol), "shop::price::fetch");
        assert_eq!(complete(Some("fetch<u8>"), symbol), "shop::price::fetch");
        assert_eq!(complete(Some("store"), symbol), "store");
        // Merged with another of the same code, whose name has this one in it.
        assert_eq!(complete(Some("fetc"), symbol), "fetc");
        let generic = "_RINvNtC4shop5price5fetchhEB4_";
        assert_eq!(
            complete(Some("fetch<u8>"), generic),
            "shop::price::fetch::<u8>"
        );
        assert_eq!(complete(Some("{async_fn#0}"), symbol), "{async_fn#0}");
        assert_eq!(complete(None, "__poll"), "__poll");
        let closure = "_ZN4shop5fetch28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE";
        assert_eq!(
            complete(Some("{async_fn#0}"), closure),
            "shop::fetch::{{closure}}"
        );
    }
}
