//! The story that the comparison tells: what is slow, what is fast, and who is held up.

use serde_json::Value;

use crate::run::{Running, STRATEGIES, command, run};

fn strategy<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["strategies"].as_array().expect("a list");
    rows.iter()
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn number(row: &Value, field: &str) -> f64 {
    row[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {row}"))
}

/// Runs of the same comparison, as many as are needed.
struct Rounds<'a> {
    arguments: &'a [&'a str],
    reports: Vec<Value>,
}

impl<'a> Rounds<'a> {
    /// One to begin with.
    fn of(arguments: &'a [&'a str]) -> Self {
        let reports = vec![run(arguments).expect_code(0).json()];
        Self { arguments, reports }
    }

    /// Something that a machine with other things to do may spoil, and does not spoil in each of five runs.
    #[track_caller]
    fn once(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let in_one = (0..5).any(|round| {
            if round == self.reports.len() {
                self.reports.push(run(self.arguments).json());
            }
            is_so(&self.reports[round])
        });
        assert!(in_one, "{what}: {:#?}", self.reports);
    }
}

#[test]
fn naive_gains_nothing_and_a_lane_does() {
    let mut rounds = Rounds::of(&["compare", "--json", "--speed", "10"]);
    let report = rounds.reports[0].clone();
    let row = |name| strategy(&report, name);
    let wall = |name| number(row(name), "wall_s");

    // One after the other cannot be faster than the sum of the latencies; at once, not faster than
    // the slowest of them.
    assert!(wall("serial") >= 1.8 && wall("naive") >= 1.8);
    for fast in ["offloaded", "spawn_blocking", "native"] {
        // How much faster is for `a_lane_is_as_good_as_native` to say.
        rounds.once(fast, |report| {
            let wall = |name| number(strategy(report, name), "wall_s");
            wall("serial") > 2.0 * wall(fast) && number(strategy(report, fast), "speedup") > 2.0
        });
    }
    rounds.once("naive gains nothing", |report| {
        number(strategy(report, "naive"), "speedup") < 1.5
    });

    let late = |name| number(row(name), "heartbeat_late_max_ms");
    assert!(late("naive") > 1_700.0, "{}", late("naive"));
    rounds.once("naive alone is late", |report| {
        let late = |name| number(strategy(report, name), "heartbeat_late_max_ms");
        late("naive") > 4.0 * late("offloaded") && late("naive") > 4.0 * late("native")
    });

    assert_eq!(row("naive")["peak_in_flight"], 1);
    rounds.once("all twenty at once", |report| {
        strategy(report, "offloaded")["peak_in_flight"].as_u64() > Some(10)
    });

    for name in STRATEGIES {
        let row = row(name);
        assert_eq!((&row["ok"], &row["failed"]), (&20.into(), &0.into()));
        assert_eq!(row["failures"], Value::Object(serde_json::Map::new()));
        assert_eq!(row["interrupted"], false);
        assert!(number(row, "slowest_call_s") <= wall(name));
        assert!(number(row, "heartbeat_late_p99_ms") <= late(name));
        let calls = row["calls"].as_array().expect("a list");
        assert_eq!(calls.len(), 20);
        for call in calls {
            assert!(
                call["url"]
                    .as_str()
                    .expect("text")
                    .starts_with("http://127.0.0.1:")
            );
            assert!(number(call, "start_s") < number(call, "end_s"));
            assert!(number(call, "end_s") <= wall(name));
            assert_eq!(call["status"], 200);
            assert_eq!(call.get("error"), None);
        }
        if cfg!(target_os = "linux") {
            assert!(number(row, "peak_rss_mib") > 0.0);
            assert!(number(row, "peak_threads") >= 1.0);
        }
    }
    if cfg!(target_os = "linux") {
        rounds.once("on a thread each", |report| {
            number(strategy(report, "offloaded"), "peak_threads") > 10.0
        });
        assert!(number(row("native"), "peak_threads") < 10.0);
    }

    assert_eq!(report["schema"], 1);
    assert_eq!(report["target"], "embedded");
    assert_eq!(report["runtime"], "current");
    assert_eq!(
        (&report["seed"], &report["speed"]),
        (&0.into(), &10.0.into())
    );
    assert_eq!(report["interrupted"], false);
    assert!(report["machine"]["cores"].as_u64().expect("a number") >= 1);
    assert!(
        report["conclusion"]
            .as_str()
            .expect("text")
            .contains("one after the other")
    );
}

#[test]
fn a_lane_is_as_good_as_native() {
    // 9 s of waiting, half a second the longest: what the machine does beside it comes to a tenth of
    // what is allowed here. The best of the rounds, since it may do more for a while.
    let arguments = [
        "--speed=2",
        "--repeat=3",
        "--strategies=offloaded,spawn_blocking,native",
    ];
    let report = run(&[&["compare", "--json"], &arguments[..]].concat())
        .expect_code(0)
        .json();
    let best = |name| number(strategy(&report, name), "wall_min_s");
    for fast in ["offloaded", "spawn_blocking", "native"] {
        assert!((0.4..9.0 / 4.0).contains(&best(fast)), "{}", best(fast));
    }
    let (lane, native) = (best("offloaded"), best("native"));
    assert!(lane <= 1.5 * native, "{lane} to {native}");
}

#[test]
fn naive_calls_block_one_worker_each_on_a_runtime_of_more_threads() {
    let arguments = [
        "--runtime",
        "multi",
        "--strategies",
        "serial,naive,offloaded",
    ];
    let arguments = [&["compare", "--json", "--speed", "10"], &arguments[..]].concat();
    let mut rounds = Rounds::of(&arguments);
    let report = rounds.reports[0].clone();
    let cores = report["machine"]["cores"].as_f64().expect("a number");
    let wall = |name| number(strategy(&report, name), "wall_s");
    // As many at once as there are workers, and no more.
    let peak = strategy(&report, "naive")["peak_in_flight"].as_f64();
    assert!(peak <= Some(cores), "{peak:?}");
    assert!(wall("naive") >= 1.8 / cores, "{}", wall("naive"));
    rounds.once("a lane gains", |report| {
        let wall = |name| number(strategy(report, name), "wall_s");
        wall("serial") > 2.0 * wall("offloaded")
    });
    assert_eq!(report["runtime"], "multi");

    // And that is said, above the table and below it.
    let conclusion = report["conclusion"].as_str().expect("text");
    let blocked = format!("as each blocks one of the runtime's {cores} worker threads");
    assert!(conclusion.contains(&blocked), "{conclusion}");
    let page = run(&["compare", "--speed=100", "--runtime=multi"]).expect_code(0);
    let workers = format!("runtime: {cores} worker threads, of which a naive call blocks one;");
    assert!(page.stdout.contains(&workers), "{page:#?}");
    let page = page.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&blocked), "{page}");
}

#[test]
fn a_variable_of_tokio_s_does_not_change_how_many_workers_there_are() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arguments = [
        "compare",
        "--json",
        "--speed=20",
        "--runtime=multi",
        "--strategies=naive",
    ];
    let mut command = command(&arguments);
    command.env("TOKIO_WORKER_THREADS", (cores + 2).to_string());
    let report = Running::start(command).end().expect_code(0).json();
    let peak = strategy(&report, "naive")["peak_in_flight"].as_u64();
    assert!(peak <= Some(cores as u64), "{peak:?} on {cores} cores");
}

#[test]
fn the_limit_is_kept_by_every_strategy_that_has_one() {
    let arguments = [
        "compare",
        "--json",
        "--speed",
        "50",
        "--limit",
        "2",
        "--strategies",
    ];
    for name in ["offloaded", "spawn_blocking", "native"] {
        let report = run(&[&arguments[..], &[name]].concat())
            .expect_code(0)
            .json();
        let row = strategy(&report, name);
        // Half of 18 s, divided by 50.
        assert!(number(row, "wall_s") >= 0.18, "{row}");
        assert_eq!(row["speedup"], Value::Null);
        assert!(row["peak_in_flight"].as_u64() <= Some(2), "{row}");
    }
}

fn plan(arguments: &[&str]) -> Vec<u64> {
    let fixed = [
        "compare",
        "--json",
        "--speed",
        "1000",
        "--strategies",
        "native",
    ];
    let report = run(&[&fixed, arguments].concat()).expect_code(0).json();
    let planned = report["plan"].as_array().expect("a list").clone();
    planned
        .iter()
        .map(|call| call["latency_ms"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_plan_of_exactly_the_total() {
    let default = plan(&[]);
    assert_eq!(default.len(), 20);
    assert_eq!(default, plan(&["--seed", "0"]));
    let other = plan(&["--seed", "7"]);
    assert_ne!(default, other);
    assert_eq!(other, plan(&["--seed", "7"]));
    for plan in [default, other] {
        assert_eq!(plan.iter().sum::<u64>(), 18_000);
        assert!(plan.iter().all(|&latency| latency <= 1_000), "{plan:?}");
    }
    let small = plan(&["--calls", "7", "--total", "1.234s"]);
    assert_eq!((small.len(), small.iter().sum::<u64>()), (7, 1_234));
}

#[test]
fn repeated_rounds_print_how_far_they_scatter() {
    let fixed = [
        "compare",
        "--speed",
        "100",
        "--repeat",
        "3",
        "--strategies",
        "serial,native",
    ];
    let text = run(&fixed).expect_code(0).stdout;
    assert!(
        text.contains("serial: 3 rounds, ") && text.contains("standard deviation"),
        "{text}"
    );

    let report = run(&[&fixed[..], &["--json"]].concat())
        .expect_code(0)
        .json();
    let row = strategy(&report, "serial");
    assert_eq!(row["ok"], 60);
    let (min, median, max) = (
        number(row, "wall_min_s"),
        number(row, "wall_s"),
        number(row, "wall_max_s"),
    );
    assert!(min <= median && median <= max && number(row, "wall_sd_s") >= 0.0);
    let rounds: Vec<_> = row["calls"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|call| &call["round"])
        .collect();
    assert_eq!((rounds[0], rounds[59]), (&1.into(), &3.into()));
}

#[test]
fn the_table_is_the_result_and_the_sentence_closes_it() {
    let done = run(&["compare", "--speed", "50"]).expect_code(0);
    // As one line, for it is wrapped where it is long.
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "strategy",
        "speed-up",
        "slowest",
        "threads",
        "memory",
        "heartbeat late",
        " ok",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(
        text.contains("18.000 s of waiting in all"),
        "{}",
        done.stdout
    );
    assert!(text.contains("all divided by 50"), "{text}");
    assert!(text.contains("plan, in ms: 898 "), "{text}");
    assert!(text.ends_with('.'), "{text}");
    assert!(
        done.stderr.contains("offloaded: 20 ok in "),
        "{}",
        done.stderr
    );
    let quiet = run(&["compare", "--speed", "200", "--quiet"]).expect_code(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn the_stall_detector_names_the_call_that_naive_blocks_in() {
    for runtime in ["current", "multi"] {
        let naive = [
            "compare",
            "--strategies",
            "naive",
            "--calls",
            "2",
            "--total",
            "1200ms",
            "--runtime",
            runtime,
        ];
        let named = |report: &Value| {
            let stalls = &strategy(report, "naive")["stalls"];
            let first = stalls["first"].as_str().unwrap_or_default();
            stalls["count"].as_u64() >= Some(1)
                && first.contains("longshore::offload")
                && (!cfg!(target_os = "linux") || first.contains(" in recvfrom (127.0.0.1:"))
        };
        // A detector that is itself kept from running says less, or nothing: not every time.
        let mut rounds = (0..5).map(|_| {
            run(&[&naive[..], &["--json"]].concat())
                .expect_code(0)
                .json()
        });
        let report = rounds.find(named).expect("one of five names the call");
        let row = strategy(&report, "naive");
        // Those that watch are not the strategy's threads.
        if let Some(threads) = row["peak_threads"].as_u64() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
            let workers = if runtime == "multi" { cores } else { 0 };
            // One for the block_on, and one at a time by which stock ureq looks a name up.
            assert!(
                threads <= workers + 2 + u64::from(runtime == "multi"),
                "{threads}"
            );
        }
    }
    let told = "naive: what longshore::stall said meanwhile: worker 0 blocked ";
    let mut pages = (0..5).map(|_| {
        let arguments = ["compare", "--strategies", "naive,offloaded", "--calls", "2"];
        let page = run(&arguments).expect_code(0).stdout;
        assert!(!page.contains("offloaded: what"), "{page}");
        page
    });
    assert!(pages.any(|page| page.contains(told)));
}
