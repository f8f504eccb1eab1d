//! Whose code a function is.

use super::frame::Frame;

/// What the paths of code that came with the compiler or through Cargo have in them.
const FETCHED: &[&str] = &[
    "/rustc/",
    "/rustlib/src/",
    "/.rustup/",
    "/registry/src/",
    "/git/checkouts/",
    "/.cargo/registry/",
    "/.cargo/git/",
];

/// The source of this library.
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");

/// Crates that a program uses and does not write, or names of several that begin so. For builds that
/// have no paths.
const KNOWN: &[&str] = &[
    "actix",
    "addr2line",
    "alloc",
    "anyhow",
    "async_",
    "axum",
    "backtrace",
    "blocking",
    "bytes",
    "core",
    "criterion",
    "crossbeam",
    "curl",
    "deadpool",
    "diesel",
    "eyre",
    "flate2",
    "futures",
    "gimli",
    "h2",
    "hashbrown",
    "http",
    "hyper",
    "libc",
    "log",
    "longshore",
    "lock_api",
    "memchr",
    "minreq",
    "mio",
    "mongodb",
    "mysql",
    "native_tls",
    "object",
    "once_cell",
    "openssl",
    "panic_",
    "parking_lot",
    "polling",
    "postgres",
    "quinn",
    "r2d2",
    "rayon",
    "redis",
    "reqwest",
    "ring",
    "rusqlite",
    "rustix",
    "rustls",
    "serde",
    "smol",
    "socket2",
    "sqlx",
    "std",
    "sync_wrapper",
    "test",
    "thread_local",
    "tokio",
    "tonic",
    "tower",
    "tracing",
    "tungstenite",
    "ureq",
    "webpki",
];

/// Whether a function is of the program itself, by where its source is.
pub(super) fn is_own_by_file(frame: &Frame) -> bool {
    frame.file.as_deref().is_some_and(is_own_file)
}

/// The same by its name, if it is not known where its source is.
pub(super) fn is_own_by_name(frame: &Frame) -> bool {
    frame.file.is_none() && frame.function.as_deref().is_some_and(is_own_name)
}

fn is_own_file(file: &str) -> bool {
    // What is written in another language was not written for Tokio: its caller is to blame.
    file.ends_with(".rs")
        && !FETCHED.iter().any(|part| file.contains(part))
        && !file.starts_with("library/")
        && file
            .strip_prefix(OURS)
            .is_none_or(|file| file.starts_with("bin/"))
}

fn is_own_name(function: &str) -> bool {
    crate_of(function).is_some_and(|name| {
        !KNOWN.iter().any(|known| {
            name.strip_prefix(known).is_some_and(|rest| {
                known.ends_with('_') || rest.is_empty() || rest.starts_with('_')
            })
        })
    })
}

/// The crate in the path of a function; of `<shop::Cart as core::ops::Drop>::drop` that of the type,
/// since that is where the function is, mostly.
fn crate_of(function: &str) -> Option<&str> {
    let path = function.trim_start_matches(['<', '&', '[', '(', '*']);
    let path = ["mut ", "const ", "dyn "]
        .iter()
        .fold(path, |path, word| path.strip_prefix(word).unwrap_or(path));
    let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let (name, rest) = path.split_at(end);
    if rest.starts_with("::") && !name.is_empty() {
        return Some(name);
    }
    // `<T as shop::Fetch>::fetch`: of the trait.
    let (_, implemented) = path.split_once(" as ")?;
    crate_of(implemented)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_or_the_compiler_brought_is_not_the_programs_own() {
        assert!(is_own_file("/home/me/shop/src/price.rs"));
        assert!(is_own_file("src/price.rs"));
        assert!(is_own_file(&format!("{OURS}bin/longshore/main.rs")));
        for file in [
            &format!("{OURS}lane/worker.rs"),
            "/rustc/59807616e/library/std/src/thread/mod.rs",
            "library/std/src/thread/mod.rs",
            "/home/me/.cargo/registry/src/index-1949cf8c/ureq-3.5.1/src/run.rs",
            "/ci/cargo/git/checkouts/ureq-0a1b/src/run.rs",
            "./nptl/pthread_create.c",
        ] {
            assert!(!is_own_file(file), "{file}");
        }
    }

    #[test]
    fn a_name_tells_the_crate() {
        for name in [
            "shop::price::fetch::{{closure}}",
            "<shop::Cart as core::ops::drop::Drop>::drop",
            "<T as shop::Fetch>::fetch",
            "<&mut shop::Cart as core::fmt::Debug>::fmt",
            "ringer::call",
        ] {
            assert!(is_own_name(name), "{name}");
        }
        for name in [
            "ring::aead::seal",
            "tokio_util::io::SyncIoBridge::read",
            "async_std::task::block_on",
            "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
            "core::ptr::drop_in_place<shop::Cart>",
            "__clock_nanosleep",
            "start_thread",
            "",
        ] {
            assert!(!is_own_name(name), "{name}");
        }
    }
}
