//! `docs/migrating.md`, held against the steps that it tells of.

use std::{fs, path::Path};

use migration::STEPS;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn guide() -> String {
    read("../../docs/migrating.md")
}

/// What stands in the fences of this kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let opening = format!("```{kind}\n");
    let parts = text.split(&opening).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap_or_default())
        .collect()
}

/// One place that a step changes, as it was and as it is.
#[derive(Default)]
struct Hunk {
    before: String,
    after: String,
}

/// The names of the two files, and what is shown of their difference.
fn hunks(block: &str) -> (&str, &str, Vec<Hunk>) {
    let mut lines = block.lines();
    let mut file = |mark: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(mark)
            .unwrap_or_else(|| panic!("no `{mark}`: {block}"))
    };
    let (before, after) = (file("--- "), file("+++ "));
    let mut hunks: Vec<Hunk> = Vec::new();
    for line in lines {
        if line == "@@" {
            hunks.push(Hunk::default());
            continue;
        }
        let hunk = hunks.last_mut().expect("a hunk begins with `@@`");
        let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
        if mark != "+" {
            hunk.before.push_str(text);
            hunk.before.push('\n');
        }
        if mark != "-" {
            hunk.after.push_str(text);
            hunk.after.push('\n');
        }
    }
    (before, after, hunks)
}

#[test]
fn what_is_shown_of_a_step_is_what_it_changes() {
    let guide = guide();
    let blocks = blocks(&guide, "diff");
    for step in &STEPS[1..] {
        let file = format!("+++ step_{}/", step.number);
        assert!(
            blocks.iter().any(|block| block.contains(&file)),
            "nothing is shown of step {}",
            step.number
        );
    }
    for block in blocks {
        let (before, after, hunks) = hunks(block);
        let (was, is) = (
            read(&format!("src/{before}")),
            read(&format!("src/{after}")),
        );
        assert!(!hunks.is_empty(), "{block}");
        for hunk in hunks {
            assert!(was.contains(&hunk.before), "{before}:\n{}", hunk.before);
            assert!(is.contains(&hunk.after), "{after}:\n{}", hunk.after);
        }
    }
}

#[test]
fn the_lines_that_it_finds_are_where_it_says() {
    let guide = guide();
    let mut found = 0;
    for line in guide.lines().filter(|line| line.starts_with("src/step_")) {
        let mut parts = line.splitn(3, ':');
        let mut next = || parts.next().expect("path, number and line");
        let (path, number, text) = (next(), next(), next());
        let number: usize = number.parse().expect("it is a number");
        assert_eq!(read(path).lines().nth(number - 1), Some(text), "{line}");
        found += 1;
    }
    assert!(found > 2, "{found}");
}

#[test]
fn the_tests_that_it_names_are_there() {
    let guide = guide();
    let suite = read("tests/suite.rs");
    let names = guide.split('`').skip(1).step_by(2);
    let names: Vec<&str> = names
        .filter(|name| name.matches('_').count() > 3 && !name.contains(char::is_whitespace))
        .collect();
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        assert!(suite.contains(&format!("fn {name}(")), "{name}");
    }
}

#[test]
fn every_step_is_in_its_table_and_the_same_table_is_with_the_benchmarks() {
    let guide = guide();
    let table = blocks(&guide, "text");
    let table = table.iter().find(|block| block.contains("quotes a second"));
    let table = table.expect("there is a table");
    for step in &STEPS {
        let row = format!("\n{} {}", step.number, step.title);
        assert!(table.contains(&row), "{row}");
    }
    assert!(read("../../docs/benchmarks.md").contains(table));
}

/// It says that these are never touched.
#[test]
fn the_calls_themselves_are_those_of_the_first_step() {
    let calls = |step: usize| {
        let text = read(&format!("src/step_{step}/suppliers.rs"));
        let start = text.find("/// The two calls.\n").expect("there are two");
        text[start..].to_owned()
    };
    let first = calls(0);
    assert!(first.contains("fn ask(") && first.contains("fn get<"));
    for step in [1, 2, 4] {
        assert_eq!(calls(step), first);
    }
}

/// How many lines it says that a step changes, and how many these are.
#[test]
fn the_lines_that_a_step_changes_are_counted() {
    const FILES: [&str; 7] = [
        "api",
        "config",
        "error",
        "pricing",
        "quotes",
        "store",
        "suppliers",
    ];
    let guide = guide();
    for step in &STEPS[1..] {
        let mut lines = 0;
        for file in FILES {
            let of = |number| format!("{}/src/step_{number}/{file}.rs", env!("CARGO_MANIFEST_DIR"));
            let Ok(is) = fs::read_to_string(of(step.number)) else {
                continue;
            };
            let before = (0..step.number).rev().map(of);
            let was = before
                .filter_map(|path| fs::read_to_string(path).ok())
                .next();
            lines += changed(&was.expect("no step adds a file"), &is);
        }
        let row = guide
            .lines()
            .find(|line| line.starts_with(&format!("| {} |", step.number)));
        let row = row.unwrap_or_else(|| panic!("step {} is in no table", step.number));
        let said: usize = row
            .split('|')
            .nth(2)
            .unwrap_or_default()
            .trim()
            .parse()
            .unwrap();
        assert_eq!(said, lines, "{row}");
    }
}

/// Lines that are only in the one or only in the other, by the longest sequence that is in both.
fn changed(was: &str, is: &str) -> usize {
    let (was, is): (Vec<_>, Vec<_>) = (was.lines().collect(), is.lines().collect());
    let mut common = vec![0; is.len() + 1];
    for old in &was {
        let mut diagonal = 0;
        for (at, new) in is.iter().enumerate() {
            let above = common[at + 1];
            common[at + 1] = if old == new {
                diagonal + 1
            } else {
                above.max(common[at])
            };
            diagonal = above;
        }
    }
    was.len() + is.len() - 2 * common[is.len()]
}
