//! The closing sentence: what the numbers mean, as far as they mean something.

use crate::args::Runtime;
use crate::strategy::Strategy;
use crate::summary::Summary;
use crate::table::{memory, millis, seconds};

/// Says what these rows show, and no more than that.
pub(crate) fn of(
    rows: &[Summary],
    calls: usize,
    runtime: Runtime,
    cores: usize,
    interrupted: bool,
) -> String {
    if interrupted {
        return "Interrupted: these are the results up to then, and nothing follows from them."
            .to_owned();
    }
    let died = rows.iter().filter(|row| row.died.is_some());
    let died: Vec<&str> = died.map(|row| row.strategy.name()).collect();
    if !died.is_empty() {
        let whose = if died.len() == 1 { "its" } else { "their" };
        return format!(
            "Nothing follows from these results, as {} did not come to {whose} end.",
            died.join(" and ")
        );
    }
    let failed: u64 = rows.iter().map(|row| row.failed).sum();
    let all: u64 = rows.iter().map(|row| row.ok).sum::<u64>() + failed;
    if failed > 0 {
        return format!(
            "{failed} of {all} calls failed: a strategy with failed calls is given no speed-up, \
             because to fail is often faster than to answer{}.",
            match row(rows, Strategy::Serial) {
                Some(serial) if !serial.is_sound() =>
                    ", and as serial is one of them there is nothing to compare the others with",
                _ => "",
            }
        );
    }
    if calls == 1 {
        return "One call alone has no other to wait for: what the ways to make it are worth shows with \
                more of them (--calls)."
            .to_owned();
    }

    let mut parts: Vec<String> = Vec::new();
    let time = |row: &Summary| row.wall.as_ref().map_or(0.0, |wall| wall.median);
    let serial = row(rows, Strategy::Serial);
    if let Some(naive) = row(rows, Strategy::Naive) {
        let factor = serial.map(|serial| time(serial) / time(naive));
        parts.push(naive_part(naive, factor, runtime, cores));
    }
    if let Some(offloaded) = row(rows, Strategy::Offloaded) {
        let mut part = format!("through a lane the calls took {}", seconds(time(offloaded)));
        if let Some(factor) = offloaded.speedup {
            part.push_str(&format!(", {} serial", times(factor)));
        }
        if let Some(late) = offloaded.heartbeat_late_max_ms {
            part.push_str(&format!(
                ", with the heartbeat at most {} late",
                millis(late)
            ));
        }
        if let Some(native) = row(rows, Strategy::Native) {
            part.push_str(&format!(
                " (a native async client: {})",
                seconds(time(native))
            ));
        }
        parts.push(part);
    } else if let Some(native) = row(rows, Strategy::Native) {
        parts.push(format!(
            "a native async client took {}",
            seconds(time(native))
        ));
    }
    if let Some(raw) = row(rows, Strategy::SpawnBlocking) {
        parts.push(raw_part(raw, time(raw), row(rows, Strategy::Offloaded)));
    }
    if let Some(rayon) = row(rows, Strategy::Rayon) {
        let took = seconds(time(rayon));
        match (row(rows, Strategy::Offloaded), rayon.speedup) {
            (Some(offloaded), _) if time(rayon) > 1.5 * time(offloaded) => parts.push(format!(
                "a rayon pool of one thread a core took {took}, as its threads are for computing and \
                 not for waiting"
            )),
            (Some(_), _) => {}
            (None, Some(factor)) => parts.push(format!(
                "a rayon pool of one thread a core took {took}, {} serial",
                times(factor)
            )),
            (None, None) => parts.push(format!("a rayon pool of one thread a core took {took}")),
        }
    }
    if serial.is_none() {
        parts.push("serial was not run, so there is no speed-up to tell".to_owned());
    }
    let mut sentence = parts.join("; ");
    if sentence.is_empty() {
        // Serial's: of any other there is something to tell.
        sentence = "one strategy alone tells nothing, compare it with another".to_owned();
    }
    sentence[..1].make_ascii_uppercase();
    sentence + "."
}

fn naive_part(naive: &Summary, factor: Option<f64>, runtime: Runtime, cores: usize) -> String {
    let once = match naive.peak_in_flight {
        0 | 1 => "one after the other".to_owned(),
        many => format!("at most {many} at once"),
    };
    let why = match runtime {
        Runtime::Current => String::new(),
        Runtime::Multi => {
            format!(", as each blocks one of the runtime's {cores} worker threads")
        }
    };
    let mut part = format!("awaited naively in async code the calls still ran {once}{why}");
    if let Some(factor) = factor {
        part.push_str(&format!(" ({} serial)", times(factor)));
    }
    if let Some(late) = naive.heartbeat_late_max_ms.filter(|&late| late >= 50.0) {
        part.push_str(&format!(
            ", and held up an unrelated task by {}",
            millis(late)
        ));
    }
    part
}

/// Where every call ends there is little between a lane and none but what they take.
fn raw_part(raw: &Summary, time: f64, offloaded: Option<&Summary>) -> String {
    let mut part = format!("in spawn_blocking, without a lane, {}", seconds(time));
    if let Some(offloaded) = offloaded
        && let (Some(threads), Some(its_threads)) = (raw.peak_threads, offloaded.peak_threads)
        && let (Some(mib), Some(its_mib)) = (raw.peak_rss_mib, offloaded.peak_rss_mib)
    {
        part.push_str(&format!(
            ", with {threads} threads and {} at their peaks to the lane's {its_threads} and {}",
            memory(mib),
            memory(its_mib)
        ));
    }
    part
}

fn row(rows: &[Summary], strategy: Strategy) -> Option<&Summary> {
    rows.iter().find(|row| row.strategy == strategy)
}

/// `17.9 times as fast as`, `as fast as`, `0.5 times as fast as`.
fn times(factor: f64) -> String {
    if (0.95..1.05).contains(&factor) {
        "as fast as".to_owned()
    } else {
        format!("{factor:.1} times as fast as")
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::args::Runtime;
    use crate::runner::{Outcome, Run};
    use crate::strategy::Strategy;
    use crate::summary;
    use crate::summary::tests::{call, run};

    #[test]
    fn the_sentence_says_what_the_rows_show() {
        let rows = summary::of(
            vec![
                run(Strategy::Serial, 18.0, vec![call(0, 0.9, 5)]),
                run(Strategy::Naive, 18.1, vec![call(0, 0.9, 5)]),
                run(Strategy::Offloaded, 1.0, vec![call(0, 0.9, 5)]),
                run(Strategy::SpawnBlocking, 1.1, vec![call(0, 0.9, 5)]),
            ],
            1,
        );
        let sentence = of(&rows, 20, Runtime::Current, 2, false);
        assert!(
            sentence.contains("one after the other (as fast as serial)"),
            "{sentence}"
        );
        assert!(
            sentence.contains("18.0 times as fast as serial"),
            "{sentence}"
        );
        assert!(
            sentence.contains("in spawn_blocking, without a lane, 1.100 s"),
            "{sentence}"
        );
        assert!(of(&rows, 20, Runtime::Current, 2, true).starts_with("Interrupted"));
    }

    #[test]
    fn on_a_runtime_of_more_threads_it_says_what_a_naive_call_blocks() {
        let mut rows = summary::of(
            vec![
                run(Strategy::Serial, 18.0, vec![call(0, 0.9, 5)]),
                run(Strategy::Naive, 4.5, vec![call(0, 0.9, 5)]),
            ],
            1,
        );
        rows[1].peak_in_flight = 4;
        let blocked = "ran at most 4 at once, as each blocks one of the runtime's 4 worker threads \
                       (4.0 times as fast as serial)";
        let sentence = of(&rows, 20, Runtime::Multi, 4, false);
        assert!(sentence.contains(blocked), "{sentence}");
        let sentence = of(&rows, 20, Runtime::Current, 4, false);
        assert!(!sentence.contains("worker threads"), "{sentence}");
    }

    #[test]
    fn of_one_call_there_is_nothing_to_tell() {
        let runs =
            [Strategy::Serial, Strategy::Naive].map(|way| run(way, 1.0, vec![call(0, 0.9, 5)]));
        let sentence = of(&summary::of(runs.into(), 1), 1, Runtime::Current, 2, false);
        assert!(sentence.starts_with("One call alone"), "{sentence}");
    }

    #[test]
    fn no_praise_where_calls_failed_or_serial_is_missing() {
        let failed = summary::of(vec![run(Strategy::Native, 0.1, vec![])], 1);
        let sentence = of(&failed, 20, Runtime::Current, 2, false);
        assert!(sentence.starts_with("1 of 1 calls failed"), "{sentence}");
        let alone = summary::of(vec![run(Strategy::Native, 0.1, vec![call(0, 0.1, 5)])], 1);
        let sentence = of(&alone, 20, Runtime::Current, 2, false);
        assert!(sentence.contains("serial was not run"), "{sentence}");
    }

    #[test]
    fn no_praise_where_a_strategy_died_though_each_of_its_calls_had_ended() {
        let mut runs = vec![
            run(Strategy::Serial, 18.0, vec![call(0, 0.9, 5)]),
            run(Strategy::Offloaded, 1.0, vec![call(0, 0.9, 5)]),
            run(Strategy::Native, 1.0, vec![call(0, 0.9, 5)]),
        ];
        let died = |run: &mut Run| run.outcome = Outcome::Died("it panicked".to_owned());
        died(&mut runs[1]);
        let of = |runs: &mut Vec<Run>| {
            let rows = summary::of(std::mem::take(runs), 1);
            assert!(rows.iter().all(|row| row.failed == 0));
            of(&rows, 20, Runtime::Current, 2, false)
        };
        assert_eq!(
            of(&mut runs),
            "Nothing follows from these results, as offloaded did not come to its end."
        );
        // In one round of several, or more than one of them.
        for strategy in [Strategy::Serial, Strategy::Serial, Strategy::Naive] {
            runs.push(run(strategy, 1.0, vec![call(0, 0.9, 5)]));
        }
        runs[1..].iter_mut().for_each(died);
        assert_eq!(
            of(&mut runs),
            "Nothing follows from these results, as serial and naive did not come to their end."
        );
    }

    #[test]
    fn each_strategy_beside_serial_is_told_and_serial_alone_tells_nothing() {
        let with = |strategies: &[Strategy]| {
            let runs = strategies.iter().map(|&strategy| {
                let wall = if strategy == Strategy::Serial {
                    6.0
                } else {
                    2.0
                };
                run(strategy, wall, vec![call(0, 0.9, 5)])
            });
            of(
                &summary::of(runs.collect(), 1),
                20,
                Runtime::Current,
                2,
                false,
            )
        };
        let rayon = with(&[Strategy::Serial, Strategy::Rayon]);
        let told = "A rayon pool of one thread a core took 2.000 s, 3.0 times as fast as serial.";
        assert_eq!(rayon, told);
        let [serial, others @ ..] = Strategy::ALL;
        assert!(with(&[serial]).starts_with("One strategy alone"));
        for strategy in others {
            let sentence = with(&[serial, strategy]);
            assert!(!sentence.starts_with("One"), "{strategy}: {sentence}");
            let sentence = with(&[strategy]);
            assert!(!sentence.starts_with("Serial"), "{strategy}: {sentence}");
            assert!(
                sentence.contains("serial was not run"),
                "{strategy}: {sentence}"
            );
        }
    }
}
