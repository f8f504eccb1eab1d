//! Where the page goes: all of it or nothing, whenever the command is ended.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::usage::hidden;
use crate::value::shown;

/// A file that can be written, as far as that can be known beforehand.
#[derive(Debug)]
pub(crate) struct Destination {
    file: PathBuf,
}

impl Destination {
    /// Finds out whether `path` can be written, before a minute is spent on what goes there.
    ///
    /// # Errors
    ///
    /// One line that says why it cannot.
    pub(crate) fn check(path: &Path) -> Result<Self, String> {
        let wrong = |reason: &str| Err(format!("--html '{}': {reason}", named(path)));
        if path == Path::new("-") {
            return wrong("must be a file: standard output has the table, or the JSON");
        }
        // Through a link: it is to stay one, also if it leads nowhere yet.
        let file = match fs::canonicalize(path) {
            Ok(file) => file,
            Err(_) if path.is_symlink() => return wrong("is a link to nowhere"),
            Err(_) => path.to_owned(),
        };
        match fs::metadata(&file) {
            Ok(there) if there.is_dir() => return wrong("is a directory"),
            // To rename over a device would replace it.
            Ok(there) if !there.is_file() => return wrong("is not a regular file"),
            Ok(_) => {
                if let Err(error) = OpenOptions::new().append(true).open(&file) {
                    return wrong(&error.to_string());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return wrong(&error.to_string()),
        }
        if file.file_name().is_none() {
            return wrong("is not the name of a file");
        }
        let this = Self { file };
        let beside = this.beside();
        match create(&beside) {
            Ok(_) => {
                let _ = fs::remove_file(beside);
                Ok(this)
            }
            Err(error) => wrong(&error.to_string()),
        }
    }

    /// Writes it beside the file, and then puts it in its place, for the same readers.
    ///
    /// # Errors
    ///
    /// One line that says what failed. What was there before is still there.
    pub(crate) fn write(&self, text: &str) -> Result<(), String> {
        let beside = self.beside();
        let written = create(&beside)
            .and_then(|mut file| {
                // Before there is anything to read.
                if let Ok(before) = fs::metadata(&self.file) {
                    file.set_permissions(before.permissions())?;
                }
                file.write_all(text.as_bytes())
            })
            .and_then(|()| fs::rename(&beside, &self.file));
        written.map_err(|error| {
            let _ = fs::remove_file(&beside);
            format!("could not write {self}: {error}")
        })
    }

    /// In the same directory, since a file cannot be renamed from one file system to another.
    fn beside(&self) -> PathBuf {
        let name = format!(".longshore-{}.part", std::process::id());
        self.file.with_file_name(name)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(&self.file).fmt(f)
    }
}

/// The path as it can be shown: it may be a URL that was meant for another option.
fn named(path: &Path) -> String {
    shown(&hidden(&path.to_string_lossy()))
}

/// A file that was not there: neither another's nor a link to somewhere.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
