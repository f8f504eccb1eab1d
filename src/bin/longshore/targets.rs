//! The endpoints of the command line, one by one and from a file.

use std::io::Read as _;

use crate::target::Target;
use crate::usage::hidden;
use crate::value::shown;

/// No more is read of a file of URLs, nor more URLs taken.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
const MOST: usize = 10_000;

/// Reads the URLs of `--url` and `--urls`, in this order.
///
/// # Errors
///
/// One line that names the option, and the line of the file.
pub(crate) fn read(urls: &[String], file: Option<&str>) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for text in urls {
        targets.push(Target::parse(text).map_err(|reason| format!("--url {reason}"))?);
    }
    if let Some(path) = file {
        // It may be a URL that lacks its option.
        let name = shown(&hidden(path));
        let text = contents(path).map_err(|reason| format!("--urls '{name}': {reason}"))?;
        let before = targets.len();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let target = Target::parse(line)
                    .map_err(|reason| format!("--urls '{name}', line {}: {reason}", number + 1))?;
                targets.push(target);
            }
        }
        if targets.len() == before {
            return Err(format!("--urls '{name}': has no URL in it, one a line"));
        }
    }
    if targets.len() > MOST {
        return Err(format!(
            "{} URLs are too many: at most {MOST}",
            targets.len()
        ));
    }
    Ok(targets)
}

fn contents(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin()
            .lock()
            .take(FILE_BYTES + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(format!("is longer than {} MiB", FILE_BYTES >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not text (UTF-8)".to_owned())?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
