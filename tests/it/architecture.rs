//! The house rules of the source, held against the source.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The floors: a module imports from lower ones, and from its own folder.
const FLOORS: &[&[&str]] = &[
    &["error", "sync"],
    &["cancel"],
    // What stands beside the tower uses nothing of it.
    &["job", "stall"],
    &["lane"],
    &["ureq", "group", "bridge", "resource"],
    &["fetch"],
    // The chapters, and no code.
    &["tutorial"],
];

/// The only files that start threads.
const START_THREADS: &[&str] = &[
    "bridge/threads.rs",
    "lane/source.rs",
    "lane/keeper.rs",
    "lane/timer.rs",
    "stall/samples.rs",
    "stall/tell.rs",
    "stall/watchdog.rs",
];

struct Source {
    /// Below `src`, with slashes.
    path: String,
    /// Without comments, strings, and the tests at its end.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the source is there") {
            let path: PathBuf = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let path = path.strip_prefix(&root).expect("it is below the root");
                found.push(Source {
                    path: path.to_string_lossy().replace('\\', "/"),
                    code: code_of(&text),
                });
            }
        }
    }
    // The programs stand on top of everything.
    found.retain(|source| !source.path.starts_with("bin/") && source.path != "main.rs");
    assert!(found.len() > 10, "the source was not found");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Takes out comments, what is between quotes, and test modules.
fn code_of(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if next == '"' {
            rest = after_string(&rest[1..]);
            code.push_str("\"\"");
        } else if next == '\'' && is_char(rest) {
            let skip = if rest[1..].starts_with('\\') { 3 } else { 2 };
            rest = rest[skip..]
                .find('\'')
                .map_or("", |end| &rest[skip + end + 1..]);
            code.push_str("' '");
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    code
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// A character, not a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    let first = chars.next();
    first == Some('\\') || chars.next() == Some('\'')
}

/// The modules of this crate that a file names: what follows `crate::`, in braces or not.
fn modules_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => named.extend(first_name(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            named.extend(first_name(&item));
                            item.clear();
                            continue;
                        }
                        _ => {}
                    }
                    item.push(c);
                }
                named.extend(first_name(&item));
            }
        }
    }
    named
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

/// `lane` of `lane/core.rs`, `sync` of `sync.rs`.
fn module_of(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs")
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn a_module_imports_only_from_lower_floors() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let module = module_of(&source.path);
        let Some(floor) = floor_of(module) else {
            wrong.push(format!("{}: `{module}` is on no floor", source.path));
            continue;
        };
        for named in modules_named(&source.code) {
            if named == module {
                continue;
            }
            match floor_of(&named) {
                Some(other) if other < floor => {}
                Some(_) => wrong.push(format!("{} imports `{named}`", source.path)),
                // Re-exports of the root are for users, not for ourselves.
                None => wrong.push(format!("{} imports `{named}` of the root", source.path)),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `super` does not leave the folder, or the floors could be walked round.
#[test]
fn a_module_reaches_other_folders_by_their_whole_path() {
    for source in sources() {
        let depth = source.path.matches('/').count();
        let file = source.path.rsplit('/').next().unwrap_or_default();
        // In `mod.rs` and in `name.rs` beside a folder, `super` is one folder further out.
        let reach = if file == "mod.rs" {
            depth.saturating_sub(1)
        } else {
            depth
        };
        let longest = "super::".repeat(reach + 1);
        assert!(
            !source.code.contains(&longest),
            "{} leaves its folder with `{longest}`",
            source.path
        );
    }
}

#[test]
fn threads_are_started_in_few_files_only() {
    for source in sources() {
        let starts = ["thread::Builder", "thread::spawn", "spawn_blocking"]
            .iter()
            .any(|call| source.code.contains(call));
        assert!(
            !starts || START_THREADS.contains(&source.path.as_str()),
            "{} starts threads",
            source.path
        );
    }
    let all = sources();
    for file in START_THREADS {
        let source = all.iter().find(|source| source.path == *file);
        let code = &source
            .unwrap_or_else(|| panic!("{file} is gone: mend this list"))
            .code;
        assert!(code.contains("spawn"), "{file} starts none: mend this list");
    }
}

/// What may change under us is in one place.
#[test]
fn the_crate_ureq_is_named_in_its_folder_and_its_unstable_part_in_one_folder() {
    for source in sources() {
        // Our own module of that name is none of the crate's business.
        let code = source.code.replace("crate::ureq::", "");
        let names = |part: &str| code.contains(part);
        assert!(
            source.path.starts_with("ureq/") || source.path == "lib.rs" || !names("ureq::"),
            "{} uses ureq",
            source.path
        );
        assert!(
            source.path.starts_with("ureq/cut/") || !names("unversioned"),
            "{} uses the unstable part of ureq",
            source.path
        );
    }
}

#[test]
fn the_two_lowest_floors_use_nothing_of_tokio_but_its_time() {
    for source in sources() {
        if floor_of(module_of(&source.path)).is_some_and(|floor| floor <= 1) {
            let others = source.code.replace("tokio::time", "");
            assert!(!others.contains("tokio"), "{} uses tokio", source.path);
        }
    }
}

#[test]
fn there_is_no_unsafe_code() {
    for source in sources() {
        let words = source
            .code
            .split(|c: char| !(c.is_alphanumeric() || c == '_'));
        assert!(
            words.into_iter().all(|word| word != "unsafe"),
            "{}",
            source.path
        );
    }
}

#[test]
fn nothing_is_exported_with_a_star() {
    for source in sources() {
        for line in source
            .code
            .lines()
            .filter(|line| line.trim_start().starts_with("pub use"))
        {
            assert!(!line.contains('*'), "{}: {line}", source.path);
        }
    }
}

/// The rules above are worth something only if they see what is there.
#[test]
fn the_reader_of_the_source_sees_what_is_there() {
    let code = code_of(
        "use crate::{a::B, c, d::{e, f}};\n/// [`crate::not`]\nlet s = \"crate::nor \\\" crate::that\"; \
         let c = '\"'; fn g<'a>() { crate::h::i() } // crate::no\nmy_crate::j();\
         \n#[cfg(test)]\nmod tests {\n use crate::k; }",
    );
    let named: Vec<_> = modules_named(&code).into_iter().collect();
    assert_eq!(named, ["a", "c", "d", "h"]);
    assert_eq!(
        (module_of("lane/state/mod.rs"), module_of("sync.rs")),
        ("lane", "sync")
    );
}
