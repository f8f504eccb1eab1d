//! What the server answers: the planned endpoints of `compare`, or whatever a path asks for.

use std::sync::Mutex;
use std::time::Duration;

use super::answer::{Answer, Body, Ending};
use super::rule::{Failure, Rule};
use crate::random::Random;
use crate::value::{shown, whole};

/// The slowest answer a path may ask for, and the largest.
const SLOWEST_MS: u64 = 600_000;
const LARGEST: u64 = 1 << 30;

const LIST: &str = "\
/delay/MS        answer after MS milliseconds
/status/CODE     answer with this status, 200 to 599
/bytes/N         answer with a body of N bytes
/reset           reset the connection instead of answering
/hang            never answer
/truncate        close the connection in the middle of the body
/                this list
any other path   answer after the latency the server was started with
?delay=MS, ?status=CODE and ?bytes=N refine any of these
";

/// A set of endpoints.
#[derive(Debug)]
pub(crate) enum Site {
    /// One endpoint for each call of a comparison, with its latency in milliseconds.
    Planned { latencies: Vec<u64>, speed: f64 },
    /// Paths that say what they want.
    Open(Open),
}

/// The options of `longshore serve`.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    pub(crate) body_size: u64,
    pub(crate) rules: Vec<Rule>,
    pub(crate) random: Mutex<Random>,
}

/// The path of the planned endpoint `index`.
pub(crate) fn planned_path(index: usize) -> String {
    format!("/endpoint/{}", index + 1)
}

/// What the planned endpoint `index` answers, so that a client can check it.
pub(crate) fn planned_body(index: usize, latency_ms: u64) -> String {
    format!(
        "{{\"endpoint\":{},\"latency_ms\":{latency_ms}}}\n",
        index + 1
    )
}

impl Site {
    /// The answer for a request target (`/delay/50?bytes=100`).
    pub(super) fn answer(&self, target: &str) -> Answer {
        match self {
            Self::Planned { latencies, speed } => {
                let index = target
                    .strip_prefix("/endpoint/")
                    .and_then(|number| number.parse::<usize>().ok())
                    .and_then(|number| number.checked_sub(1));
                match index.and_then(|index| Some((index, *latencies.get(index)?))) {
                    Some((index, ms)) => Answer {
                        after: Duration::from_secs_f64(ms as f64 / 1_000.0 / speed),
                        ..Answer::text(200, planned_body(index, ms))
                    },
                    None => Answer::text(404, "no such endpoint\n".to_owned()),
                }
            }
            Self::Open(open) => open
                .answer(target)
                .unwrap_or_else(|reason| Answer::text(400, reason)),
        }
    }
}

impl Open {
    fn answer(&self, target: &str) -> Result<Answer, String> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut segments = path.trim_start_matches('/').splitn(2, '/');
        let name = segments.next().unwrap_or_default();
        let argument = segments.next();

        let (mut answer, rules_apply) = match (name, argument) {
            ("", None) => (Answer::text(200, LIST.to_owned()), false),
            ("delay" | "status" | "bytes", Some(value)) => {
                let mut answer = self.usual();
                refine(&mut answer, name, value)?;
                (answer, false)
            }
            ("reset", None) => (
                Answer {
                    ending: Ending::Reset,
                    ..self.usual()
                },
                false,
            ),
            ("hang", None) => (
                Answer {
                    ending: Ending::Never,
                    ..self.usual()
                },
                false,
            ),
            ("truncate", None) => (
                Answer {
                    ending: Ending::Half,
                    ..self.usual()
                },
                false,
            ),
            _ => (self.usual(), true),
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            // Other names are left alone: they make URLs differ, which is a use in itself.
            if matches!(name, "delay" | "status" | "bytes") {
                refine(&mut answer, name, value)?;
            }
        }
        // What a path asks for it gets; the rates apply to all the others.
        if rules_apply {
            let failure = {
                let mut random = self.random.lock().expect("no code that holds it panics");
                Rule::draw(&self.rules, &mut random)
            };
            match failure {
                Some(Failure::Status(status)) => answer.status = status,
                Some(Failure::Reset) => answer.ending = Ending::Reset,
                Some(Failure::Hang) => answer.ending = Ending::Never,
                Some(Failure::Truncate) => answer.ending = Ending::Half,
                Some(Failure::Size) => answer.body = Body::Filler(answer.body.len() / 2),
                None => {}
            }
        }
        Ok(answer)
    }

    /// The answer of a path that asks for nothing.
    fn usual(&self) -> Answer {
        let most = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX - 1);
        let jitter = {
            let mut random = self.random.lock().expect("no code that holds it panics");
            Duration::from_micros(random.up_to(most))
        };
        Answer {
            after: self.latency + jitter,
            body: Body::Filler(self.body_size),
            ..Answer::text(200, String::new())
        }
    }
}

fn refine(answer: &mut Answer, name: &str, value: &str) -> Result<(), String> {
    let number = |range| {
        whole(range)(value).map_err(|reason| format!("{name} '{}': {reason}\n", shown(value)))
    };
    match name {
        "delay" => answer.after = Duration::from_millis(number(0..=SLOWEST_MS)?),
        "status" => {
            answer.status = u16::try_from(number(200..=599)?).expect("at most 599");
        }
        _ => answer.body = Body::Filler(number(0..=LARGEST)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::{Body, Ending, Open, Random, Rule, Site};

    fn open(rules: &[&str]) -> Site {
        Site::Open(Open {
            latency: Duration::from_millis(100),
            jitter: Duration::ZERO,
            body_size: 64,
            rules: rules
                .iter()
                .map(|rule| Rule::parse(rule).expect("well-formed"))
                .collect(),
            random: Mutex::new(Random::new(0)),
        })
    }

    #[test]
    fn paths_and_queries_say_what_they_want() {
        let site = open(&[]);
        let answer = site.answer("/status/503?delay=7&bytes=9&other=1");
        assert_eq!(
            (answer.status, answer.after),
            (503, Duration::from_millis(7))
        );
        assert_eq!(answer.body.len(), 9);
        assert!(matches!(site.answer("/hang").ending, Ending::Never));
        assert!(matches!(
            site.answer("/truncate?bytes=10").ending,
            Ending::Half
        ));
        assert!(matches!(
            site.answer("/anything/else").body,
            Body::Filler(64)
        ));
        assert_eq!(site.answer("/delay/soon").status, 400);
        assert_eq!(site.answer("/bytes/9999999999").status, 400);
    }

    #[test]
    fn rates_spare_the_paths_that_ask_for_something() {
        let site = open(&["status:500:1"]);
        assert_eq!(site.answer("/orders").status, 500);
        assert_eq!(site.answer("/delay/5").status, 200);
        assert_eq!(site.answer("/").status, 200);
    }

    #[test]
    fn jitter_is_drawn_for_each_answer_and_the_same_for_a_seed() {
        let drawn = |seed| -> Vec<Duration> {
            let site = Site::Open(Open {
                latency: Duration::from_millis(100),
                jitter: Duration::from_millis(50),
                body_size: 64,
                rules: Vec::new(),
                random: Mutex::new(Random::new(seed)),
            });
            (0..1_000).map(|_| site.answer("/orders").after).collect()
        };
        let first = drawn(1);
        let (least, most) = (first.iter().min(), first.iter().max());
        // All of the range is used, and nothing beside it.
        assert!((100..102).contains(&least.expect("a thousand").as_millis()));
        assert!((148..=150).contains(&most.expect("a thousand").as_millis()));
        assert_eq!(first, drawn(1));
        assert_ne!(first, drawn(2));
    }

    #[test]
    fn planned_endpoints_answer_after_their_latency() {
        let site = Site::Planned {
            latencies: vec![900, 450],
            speed: 10.0,
        };
        assert_eq!(site.answer("/endpoint/2").after, Duration::from_millis(45));
        assert_eq!(site.answer("/endpoint/3").status, 404);
        assert_eq!(site.answer("/endpoint/0").status, 404);
    }
}
