//! The result as a table, or as a list where a table has no room. ASCII only: it is read in any
//! locale, and in files.

use crate::summary::Summary;

/// A column: its title and how a row fills it.
pub(crate) struct Column {
    title: &'static str,
    /// The longer title, for the list and the page.
    pub(crate) name: &'static str,
    pub(crate) cell: fn(&Summary) -> String,
}

pub(crate) const COLUMNS: [Column; 8] = [
    Column {
        title: "time",
        name: "time",
        cell: time,
    },
    Column {
        title: "speed-up",
        name: "speed-up",
        cell: |row| {
            row.speedup
                .map_or_else(none, |factor| format!("{factor:.2} x"))
        },
    },
    Column {
        title: "slowest",
        name: "slowest call",
        cell: |row| row.slowest_call_s.map_or_else(none, seconds),
    },
    Column {
        title: "threads",
        name: "threads",
        cell: |row| {
            row.peak_threads
                .map_or_else(none, |count| count.to_string())
        },
    },
    Column {
        title: "memory",
        name: "memory",
        cell: |row| row.peak_rss_mib.map_or_else(none, memory),
    },
    Column {
        title: "worst",
        name: "heartbeat late, worst",
        cell: |row| row.heartbeat_late_max_ms.map_or_else(none, millis),
    },
    Column {
        title: "p99",
        name: "heartbeat late, p99",
        cell: |row| row.heartbeat_late_p99_ms.map_or_else(none, millis),
    },
    Column {
        title: "ok",
        name: "ok",
        cell: |row| format!("{}/{}", row.ok, row.ok + row.failed),
    },
];

/// Over these columns stands what they are of.
const GROUP: (&str, std::ops::RangeInclusive<usize>) = ("heartbeat late", 5..=6);

/// The rows as a table of at most `width` characters, or as a list if that is too narrow.
pub(crate) fn of(rows: &[Summary], width: Option<usize>) -> String {
    let table = [2, 1].map(|gap| drawn(rows, gap));
    let room = width.unwrap_or(usize::MAX);
    let fits = |text: &String| text.lines().all(|line| line.len() <= room);
    table.into_iter().find(fits).unwrap_or_else(|| listed(rows))
}

fn drawn(rows: &[Summary], gap: usize) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| COLUMNS.iter().map(|column| (column.cell)(row)).collect())
        .collect();
    let names: Vec<String> = rows.iter().map(name).collect();
    let first = names
        .iter()
        .map(String::len)
        .max()
        .unwrap_or(0)
        .max("strategy".len());
    let widths: Vec<usize> = COLUMNS
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let longest = cells.iter().map(|row| row[at].len()).max().unwrap_or(0);
            longest.max(column.title.len())
        })
        .collect();
    let end = |column: usize| {
        first
            + widths[..=column]
                .iter()
                .map(|width| width + gap)
                .sum::<usize>()
    };

    let (group, of) = GROUP;
    let mut text = format!("{group:>width$}\n", width = end(*of.end()));
    let mut line = |start: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut row = format!("{start:<first$}");
        for (cell, width) in cells.zip(&widths) {
            row.push_str(&format!("{:gap$}{cell:>width$}", ""));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line("strategy", &mut COLUMNS.iter().map(|column| column.title));
    for (name, cells) in names.iter().zip(&cells) {
        line(name, &mut cells.iter().map(String::as_str));
    }
    text
}

fn listed(rows: &[Summary]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(&format!("{}\n", name(row)));
        for column in &COLUMNS {
            text.push_str(&format!("  {}: {}\n", column.name, (column.cell)(row)));
        }
    }
    text
}

/// A strategy that did not come to its end is marked.
pub(crate) fn name(row: &Summary) -> String {
    format!(
        "{}{}",
        row.strategy,
        if row.interrupted { " (partial)" } else { "" }
    )
}

/// In parentheses if it means nothing: to fail is often faster than to answer.
pub(crate) fn time(row: &Summary) -> String {
    match &row.wall {
        Some(wall) if row.is_sound() => seconds(wall.median),
        Some(wall) => format!("({})", seconds(wall.median)),
        None => none(),
    }
}

fn none() -> String {
    "-".to_owned()
}

/// Seconds to the millisecond.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.3} s")
}

/// Milliseconds, or seconds from one second on, with no more digits than have a meaning.
pub(crate) fn millis(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{:.2} s", ms / 1_000.0)
    } else {
        format!("{} ms", three_digits(ms))
    }
}

/// MiB.
pub(crate) fn memory(mib: f64) -> String {
    format!("{} MiB", three_digits(mib))
}

/// One decimal below a hundred, none above: a wider cell would cost the table its 80 columns.
fn three_digits(number: f64) -> String {
    if number < 99.95 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

/// How many characters a line of standard output has room for: `COLUMNS` if it is set, else what
/// the terminal says; `None` for a file or a pipe.
pub(crate) fn width() -> Option<usize> {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    set.or_else(|| columns_of(std::io::stdout()))
}

/// How many characters a line of this terminal has room for, if it is one and says so.
#[cfg(unix)]
pub(crate) fn columns_of(terminal: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

#[cfg(not(unix))]
pub(crate) fn columns_of<T>(_terminal: T) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::{millis, of};
    use crate::strategy::Strategy;
    use crate::summary::tests::{call, run};

    fn rows() -> Vec<crate::summary::Summary> {
        crate::summary::of(
            vec![
                run(Strategy::Serial, 18.048, vec![call(0, 0.9, 5)]),
                run(Strategy::SpawnBlocking, 1.01, vec![call(0, 0.9, 5)]),
            ],
            1,
        )
    }

    #[test]
    fn the_table_fits_an_ordinary_terminal() {
        // As wide as they come at ordinary times.
        let mut rows = rows();
        for row in &mut rows {
            (row.ok, row.peak_threads, row.peak_rss_mib) = (20, Some(24), Some(11.7));
            row.heartbeat_late_max_ms = Some(18_030.0);
            row.heartbeat_late_p99_ms = Some(999.9);
        }
        let table = of(&rows, Some(80));
        assert!(
            table
                .lines()
                .all(|line| line.len() <= 80 && line.is_ascii()),
            "{table}"
        );
        assert!(table.contains("17.87 x"), "{table}");
        assert_eq!(table.lines().count(), 4);
    }

    #[test]
    fn a_narrow_terminal_gets_the_same_figures_as_a_list() {
        let list = of(&rows(), Some(1));
        assert!(
            list.contains("  time: 18.048 s\n  speed-up: 1.00 x\n"),
            "{list}"
        );
    }

    #[test]
    fn the_time_of_a_strategy_that_failed_is_in_parentheses() {
        let rows = crate::summary::of(vec![run(Strategy::Native, 0.001, vec![])], 1);
        assert!(of(&rows, None).contains("(0.001 s)"));
    }

    #[test]
    fn lateness_has_the_unit_that_fits() {
        assert_eq!(millis(1.26), "1.3 ms");
        assert_eq!(millis(17_990.0), "17.99 s");
        assert_eq!(
            (millis(99.94), millis(99.96)),
            ("99.9 ms".into(), "100 ms".into())
        );
    }
}
