//! What a step leaves behind when it has ended: no thread. In a process of its own, as threads are
//! counted.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "it is the suite that looks into the database")]
mod support;

use std::{collections::BTreeMap, fs};

use migration::{STEPS, Step};
use support::{Settings, eventually, scene, watched};

#[test]
fn a_step_that_has_ended_has_left_no_thread() {
    watched(|| {
        // Rayon's pool is the process's, and stays: its threads are to be there before the first count.
        run(&STEPS[5]);
        for step in &STEPS {
            let before = threads();
            run(step);
            // Some that were there may have been about to end.
            eventually(|| {
                let was_there = |name, number| before.get(name).is_some_and(|then| number <= then);
                threads()
                    .iter()
                    .all(|(name, number)| was_there(name, number))
            });
        }
    });
}

fn run(step: &Step) {
    let before = threads();
    let mut scene = scene(step, Settings::default());
    let mut browser = scene.browser();
    for sku in ["tea", "rice", "salt"] {
        let path = format!("/quote?sku={sku}&quantity=50");
        assert_eq!(browser.get(&path).expect("it answers").0, 200);
    }
    drop(browser);
    scene.is_idle();
    assert_ne!(threads(), before);
    scene.program.take().expect("it runs").stop();
}

/// The threads of this process that have a name of their own, by name. The others have that of the
/// thread which started them, as those of `tiny_http`, which keeps some for five seconds after its end.
fn threads() -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").expect("it is Linux") {
        let Ok(task) = task else { continue };
        // It may have ended meanwhile.
        if let Ok(name) = fs::read_to_string(task.path().join("comm")) {
            *names.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    let ours = fs::read_to_string("/proc/thread-self/comm").expect("it is Linux");
    names.remove(ours.trim());
    names
}
