//! One step, served.

use std::{
    env, fs,
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use migration::{Failure, Goods, Mode, STEPS, Step, Stub};
use serde_json::{Value, json};

/// How long a supplier takes for an answer. An offer is two of them.
pub const LATENCY: Duration = Duration::from_millis(20);

const DATABASE: &str = "quotes.sqlite";

/// Serves a step with suppliers of its own, until a line is typed.
pub fn to_a_reader(step: &str) -> Result<(), Failure> {
    let step = step_of(step)?;
    let suppliers = Suppliers::start()?;
    let folder = Folder::new()?;
    // A limit that a reader can reach, and no queue.
    let config = suppliers.config(&folder.0, "127.0.0.1:8080", (8, 0));
    let program = (step.start)(&config)?;
    let url = format!("http://{}", program.address());
    println!("step {}, {}. Ask it, for example:", step.number, step.title);
    println!("  curl '{url}/quote?sku=tea&quantity=600'");
    println!("  curl '{url}/report?sku=tea'");
    println!("  curl '{url}/health'");
    println!("Its database is {}.", folder.0.join(DATABASE).display());
    println!("Then type: `hang` or `answer`, for the first supplier; nothing, to end.");
    for line in io::stdin().lock().lines() {
        match line?.trim() {
            "hang" => suppliers.stubs[0].set(Mode::Hang),
            "answer" => suppliers.stubs[0].set(Mode::After(LATENCY)),
            _ => break,
        }
    }
    // First, so that nothing waits for them.
    drop(suppliers);
    program.stop();
    Ok(())
}

/// Serves a step whose configuration comes by standard input, until that ends.
pub fn to_our_parent(step: &str) -> Result<(), Failure> {
    let mut config = String::new();
    io::stdin().lock().read_line(&mut config)?;
    let program = (step_of(step)?.start)(&config)?;
    println!("{}", program.address());
    io::stdout().flush()?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    program.stop();
    Ok(())
}

fn step_of(number: &str) -> Result<&'static Step, Failure> {
    let step = STEPS.get(number.parse::<usize>()?);
    step.ok_or_else(|| "steps are from 0 to 5".into())
}

/// Six suppliers, each of which takes its time.
pub struct Suppliers {
    stubs: Vec<Stub>,
}

impl Suppliers {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        let mut stubs = Vec::new();
        for number in 0..6 {
            let stub = Stub::start(Goods {
                cents: 1000 + 10 * number,
                shipping_cents: 900 - 100 * number,
                units: 400,
            })?;
            stub.set(Mode::After(LATENCY));
            stubs.push(stub);
        }
        Ok(Self { stubs })
    }

    /// The configuration of a program that asks them.
    ///
    /// `room` is how many offers of a supplier may be asked for at once, and how many more may wait.
    pub fn config(&self, folder: &Path, listen: &str, room: (usize, usize)) -> String {
        let names = ["ahorn", "birke", "eiche", "fichte", "linde", "ulme"];
        let suppliers = names.iter().zip(&self.stubs);
        let suppliers: Vec<Value> = suppliers
            .map(|(name, stub)| json!({ "name": name, "url": stub.url() }))
            .collect();
        let database = folder.join(DATABASE);
        json!({
            "listen": listen,
            "database": database,
            "suppliers": suppliers,
            "supplier_limit": room.0,
            "supplier_queue": room.1,
        })
        .to_string()
    }
}

/// A folder that is gone when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Makes one.
    pub fn new() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("longshore-migration-{}", process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
