//! A step with suppliers around it, and ways to wait for what is to happen.

use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    process,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use migration::{Browser, Goods, Program, Step, Stub};
use serde_json::{Value, json};

/// What a test may take; nothing in it should come near.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test wants otherwise.
pub struct Settings {
    pub threads: usize,
    pub supplier_limit: usize,
    pub supplier_queue: usize,
    pub supplier_timeout_ms: u64,
    /// How many of an article each supplier has.
    pub units: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 4,
            supplier_limit: 4,
            supplier_queue: 16,
            supplier_timeout_ms: 60_000,
            units: 20,
        }
    }
}

/// A step that runs, with suppliers a, b and c.
pub struct Scene {
    pub stubs: Vec<Stub>,
    pub program: Option<Box<dyn Program>>,
    pub database: PathBuf,
    folder: PathBuf,
}

/// Starts a step.
pub fn scene(step: &Step, settings: Settings) -> Scene {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let folder = env::temp_dir().join(format!("longshore-migration-{}-{number}", process::id()));
    fs::create_dir(&folder).expect("a folder of that name is nobody else's");
    let database = folder.join("quotes.sqlite");

    let stubs = [(100, 60), (105, 100), (110, 30)].map(|(cents, shipping_cents)| {
        let units = settings.units * if cents == 105 { 2 } else { 1 };
        Stub::start(Goods {
            cents,
            shipping_cents,
            units,
        })
        .expect("there is a port")
    });
    let suppliers = ["a", "b", "c"].iter().zip(&stubs);
    let suppliers: Vec<Value> = suppliers
        .map(|(name, stub)| json!({ "name": name, "url": stub.url() }))
        .collect();
    let config = json!({
        "listen": "127.0.0.1:0",
        "database": database,
        "suppliers": suppliers,
        "threads": settings.threads,
        "supplier_limit": settings.supplier_limit,
        "supplier_queue": settings.supplier_queue,
        "supplier_timeout_ms": settings.supplier_timeout_ms,
    });
    let program = (step.start)(&config.to_string()).expect("it starts");
    Scene {
        stubs: stubs.into(),
        program: Some(program),
        database,
        folder,
    }
}

impl Scene {
    /// A client that has had an answer. The first server leaves a connection waiting now and then that
    /// comes together with others; one that was served once is served again.
    pub fn browser(&self) -> Browser {
        let address = self.program.as_ref().expect("it runs").address();
        let mut browser = Browser::connect(address).expect("it listens");
        let (status, _) = browser.get("/health").expect("it answers");
        assert_eq!(status, 200);
        browser
    }

    /// What is under way, by where.
    pub fn busy(&self) -> BTreeMap<String, usize> {
        let (_, body) = self.browser().get("/health").expect("it answers");
        let health: Value = serde_json::from_str(&body).expect("it is JSON");
        serde_json::from_value(health["busy"].clone()).expect("it counts")
    }

    /// Waits until nothing is under way.
    pub fn is_idle(&self) {
        eventually(|| self.busy().values().all(|busy| *busy == 0));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // First, so that nothing waits for them.
        self.stubs.clear();
        if let Some(program) = self.program.take() {
            program.stop();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until it is so.
pub fn eventually(mut so: impl FnMut() -> bool) {
    let given_up = Instant::now() + PATIENCE / 2;
    while !so() {
        assert!(Instant::now() < given_up, "it never was");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a test, and fails if it does not end.
pub fn watched(test: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel::<()>();
    let test = thread::spawn(move || {
        let _ended = ended;
        test();
    });
    match end.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => test
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}
