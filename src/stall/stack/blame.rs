//! Whose code a function is.

use super::frame::Frame;

/// What the paths of code that came with the compiler or with Cargo have in them.
const FETCHED: &[&str] = &[
    "/rustc/",
    "/rustlib/src/",
    "/library/alloc/src/",
    "/library/core/src/",
    "/library/std/src/",
    "/.rustup/",
    "/.cargo/registry/",
    "/.cargo/git/",
    "/cargo/registry/",
    "/cargo/git/checkouts/",
];

/// The source of this library.
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");

/// Crates that are no program's own, wherever their source is said to be.
const NEVER: &[&str] = &["alloc", "core", "std", "tokio"];

/// Crates that a program uses and does not write. For builds that have no paths.
const KNOWN: &[&str] = &[
    "addr2line",
    "alloc",
    "anyhow",
    "axum",
    "axum_core",
    "backtrace",
    "blocking",
    "bytes",
    "color_eyre",
    "core",
    "criterion",
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
    "http_body",
    "http_body_util",
    "hyper",
    "isahc",
    "libc",
    "lock_api",
    "log",
    "longshore",
    "memchr",
    "minreq",
    "mio",
    "mongodb",
    "mysql",
    "native_tls",
    "object",
    "once_cell",
    "openssl",
    "openssl_sys",
    "panic_abort",
    "panic_unwind",
    "parking_lot",
    "parking_lot_core",
    "polling",
    "postgres",
    "quinn",
    "quinn_proto",
    "quinn_udp",
    "r2d2",
    "rayon",
    "rayon_core",
    "redis",
    "reqwest",
    "ring",
    "rusqlite",
    "rustix",
    "rustls",
    "serde",
    "serde_core",
    "serde_json",
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
    "ureq_proto",
    "webpki",
];

/// The same for all that begin like this.
const FAMILIES: &[&str] = &[
    "actix_",
    "async_",
    "crossbeam_",
    "deadpool_",
    "diesel_",
    "futures_",
    "hyper_",
    "mysql_",
    "r2d2_",
    "rustls_",
    "sqlx_",
    "tokio_",
    "tower_",
    "tracing_",
];

/// Whether this is where Tokio polls a task: what is outside of it is not of the task.
pub(super) fn is_outside_of_a_task(frame: &Frame) -> bool {
    let name = frame.function.as_deref().unwrap_or_default();
    let name = name.trim_start_matches('<');
    name.starts_with("tokio::runtime::task::") && name.contains("::poll")
}

/// Whether a function is of the program itself, by where its source is.
pub(super) fn is_own_by_file(frame: &Frame) -> bool {
    let name = frame.function.as_deref().unwrap_or_default();
    let never = |name: &str| crate_of(name).is_some_and(|name| NEVER.contains(&name));
    // A trait of the program's may be implemented for a type of others.
    let implemented = name.split_once(" as ").map(|(_, implemented)| implemented);
    let is_nobodys = never(name) && implemented.is_none_or(never);
    frame.file.as_deref().is_some_and(is_own_file) && !is_nobodys
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
        && !is_of_a_registry(file)
        && !is_vendored(file)
        && file
            .strip_prefix(OURS)
            .is_none_or(|file| file.starts_with("bin/"))
}

/// `…/registry/src/index-1949cf8c/ureq-3.5.1/…`, wherever Cargo has its home.
fn is_of_a_registry(file: &str) -> bool {
    let inside = file.split_once("/registry/src/");
    let index = inside.and_then(|(_, inside)| inside.split('/').next());
    index.is_some_and(|index| index.contains('-'))
}

/// `…/vendor/ureq/src/…`, and not a module of that name.
fn is_vendored(file: &str) -> bool {
    let inside = match file.split_once("/vendor/") {
        Some((_, inside)) => inside,
        None => match file.strip_prefix("vendor/") {
            Some(inside) => inside,
            None => return false,
        },
    };
    inside.split('/').nth(1) == Some("src")
}

fn is_own_name(function: &str) -> bool {
    crate_of(function).is_some_and(|name| {
        !KNOWN.contains(&name) && !FAMILIES.iter().any(|family| name.starts_with(family))
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
        assert!(is_own_file("/home/me/shop/registry/src/main.rs"));
        assert!(is_own_file("/home/me/shop/src/vendor/acme.rs"));
        assert!(is_own_file(&format!("{OURS}bin/longshore/main.rs")));
        for file in [
            &format!("{OURS}lane/worker.rs"),
            "/rustc/59807616e/library/std/src/thread/mod.rs",
            "library/std/src/thread/mod.rs",
            "/home/me/.cargo/registry/src/index-1949cf8c/ureq-3.5.1/src/run.rs",
            "/ci/cargo/git/checkouts/ureq-0a1b/src/run.rs",
            "/usr/src/rustc-1.88.0/library/std/src/sync/mutex.rs",
            "/build/rustc-1.88.0-src/library/core/src/ops/function.rs",
            "/usr/share/cargo/registry/ureq-3.5.1/src/run.rs",
            "/home/me/shop/vendor/ureq/src/run.rs",
            "vendor/ureq/src/run.rs",
            "./nptl/pthread_create.c",
        ] {
            assert!(!is_own_file(file), "{file}");
        }
    }

    #[test]
    fn the_standard_library_is_nobodys_own_wherever_it_was_built() {
        let frame = |function: &str| Frame {
            function: Some(String::from(function)),
            file: Some(String::from("/somewhere/src/mutex.rs")),
            line: None,
            column: None,
            module: String::new(),
            address: 0,
            inlined: false,
            confidence: super::super::Confidence::Known,
        };
        assert!(is_own_by_file(&frame("shop::lock")));
        assert!(is_own_by_file(&frame("lock")));
        assert!(!is_own_by_file(&frame("std::sync::mutex::Mutex<T>::lock")));
        assert!(is_own_by_file(&frame(
            "<core::time::Duration as shop::Nap>::nap"
        )));
        assert!(!is_own_by_file(&frame(
            "<std::fs::File as std::io::Read>::read"
        )));
    }

    #[test]
    fn a_task_is_what_tokio_polls() {
        let is = |function: &str| {
            is_outside_of_a_task(&Frame {
                function: Some(String::from(function)),
                file: None,
                line: None,
                column: None,
                module: String::new(),
                address: 0,
                inlined: false,
                confidence: super::super::Confidence::Known,
            })
        };
        assert!(is("tokio::runtime::task::raw::poll"));
        assert!(is("<tokio::runtime::task::harness::Harness<T,S>>::poll"));
        assert!(!is("tokio::runtime::task::waker::wake_by_val"));
        assert!(!is("shop::poll"));
    }

    #[test]
    fn a_name_tells_the_crate() {
        for name in [
            "shop::price::fetch::{{closure}}",
            "<shop::Cart as core::ops::drop::Drop>::drop",
            "<T as shop::Fetch>::fetch",
            "<&mut shop::Cart as core::fmt::Debug>::fmt",
            "ringer::call",
            "core_service::serve",
            "http_api::serve",
            "log_ingest::read",
            "object_store_of_ours::get",
        ] {
            assert!(is_own_name(name), "{name}");
        }
        for name in [
            "ring::aead::seal",
            "tokio_util::io::SyncIoBridge::read",
            "async_std::task::block_on",
            "rustls_pki_types::parse",
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
