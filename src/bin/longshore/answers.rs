//! Whether the strategies were given the same answers.

use std::collections::BTreeMap;

use crate::runner::Run;
use crate::strategy::Strategy;
use crate::value::plural;
use crate::wire::{Answer, Ended, Failure};

/// Holds the answers of the reader's own endpoints against the first good one of the same URL:
/// strategies that were given different answers did not do the same work. Returns a line for each
/// URL whose answers differ. Those that differ from the first become failures, unless only the size
/// does and `any_size` allows it.
pub(crate) fn hold_together(runs: &mut [Run], urls: &[String], any_size: bool) -> Vec<String> {
    let mut first: BTreeMap<usize, (Strategy, Answer)> = BTreeMap::new();
    let mut differing: BTreeMap<usize, String> = BTreeMap::new();
    for run in runs {
        let strategy = run.strategy;
        for call in &mut run.calls {
            let url = call.index % urls.len();
            let Ok(answer) = &call.answer else { continue };
            let (other, wanted) = first
                .entry(url)
                .or_insert_with(|| (strategy, answer.clone()));
            if wanted == answer {
                continue;
            }
            let detail = format!(
                "status {}, {} (first, for {other}: status {}, {})",
                answer.status,
                plural(answer.bytes, "byte"),
                wanted.status,
                plural(wanted.bytes, "byte")
            );
            differing
                .entry(url)
                .or_insert_with(|| format!("{}: {strategy}: {detail}", urls[url]));
            if wanted.status != answer.status || !any_size {
                let status = Some(answer.status);
                *call = Ended {
                    answer: Err(Failure {
                        status,
                        ..Failure::new("different answer", detail)
                    }),
                    ..call.clone()
                };
            }
        }
    }
    differing.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::hold_together;
    use crate::strategy::Strategy;
    use crate::summary::tests::{call, run};

    #[test]
    fn answers_that_differ_from_the_first_are_failures() {
        let urls = ["http://127.0.0.1/".to_owned()];
        let runs = || {
            vec![
                run(Strategy::Serial, 1.0, vec![call(0, 1.0, 5)]),
                run(Strategy::Native, 1.0, vec![call(0, 1.0, 4)]),
            ]
        };
        let mut strict = runs();
        assert_eq!(hold_together(&mut strict, &urls, false).len(), 1);
        assert!(strict[0].calls[0].answer.is_ok() && strict[1].calls[0].answer.is_err());
        let mut lenient = runs();
        assert_eq!(hold_together(&mut lenient, &urls, true).len(), 1);
        assert!(lenient[1].calls[0].answer.is_ok());
    }
}
