//! Row L5: the same figures whatever the terminal, and nothing but text.

use serde_json::Value;

use crate::run::{Running, STRATEGIES, command};

const FAST: [&str; 3] = ["compare", "--speed", "200"];

#[test]
fn any_environment_gets_plain_text() {
    for (name, value) in [
        ("COLUMNS", "1"),
        ("COLUMNS", "zero"),
        ("NO_COLOR", "1"),
        ("LANG", "C"),
        ("TERM", "dumb"),
    ] {
        let mut command = command(&FAST);
        command.env(name, value);
        let done = Running::start(command).end().expect_code(0);
        for text in [&done.stdout, &done.stderr] {
            assert!(
                text.is_ascii() && !text.contains('\u{1b}') && !text.contains('\r'),
                "{text:?}"
            );
        }
        // Twenty calls of each strategy were good: in the table, or in the list where that has no
        // room.
        let list = (name, value) == ("COLUMNS", "1");
        let good = |line: &str| match list {
            true => line == "  ok: 20/20",
            false => line.ends_with("  20/20"),
        };
        let good = done.stdout.lines().filter(|line| good(line));
        let rows: Vec<_> = good.map(|line| line.split_whitespace().next()).collect();
        let expected = if list { ["ok:"; 6] } else { STRATEGIES };
        assert_eq!(rows, expected.map(Some), "{name}={value}: {}", done.stdout);
    }
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let mut command = command(&[&FAST[..], &["--json"]].concat());
    command.env("COLUMNS", "1").env("LANG", "C");
    let done = Running::start(command).end().expect_code(0);
    assert_eq!(done.stderr, "");
    assert_eq!(done.stdout.lines().count(), 1);
    assert!(matches!(done.json(), Value::Object(_)));
}

/// `docs/compare-json.md` names every field that there is.
#[test]
fn every_field_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compare-json.md");
    let docs = std::fs::read_to_string(path).expect("the schema is part of the project");
    let report = Running::start(command(&[&FAST[..], &["--json"]].concat()))
        .end()
        .json();
    let mut objects = vec![&report];
    while let Some(value) = objects.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    assert!(docs.contains(&format!("`{name}`")), "{name}");
                    objects.push(value);
                }
            }
            Value::Array(values) => objects.extend(values.first()),
            _ => {}
        }
    }
}
