//! A step in a process of its own.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use migration::Failure;

use super::load::CLIENTS;
use crate::serve::{Folder, Suppliers};

/// It ends when it is dropped, at the latest.
pub struct Child {
    process: process::Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Child {
    /// Starts a step and waits until it listens.
    pub fn start(step: usize, suppliers: &Suppliers) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let mut process = Command::new(env::current_exe()?)
            .args(["--measured", &step.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let config = suppliers.config(&folder.0, "127.0.0.1:0", (CLIENTS, CLIENTS));
        let input = process.stdin.as_mut().ok_or("it has no input")?;
        writeln!(input, "{config}")?;
        let output = process.stdout.take().ok_or("it has no output")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self {
            process,
            address: address.trim().parse()?,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The most threads that it has while `during` runs; 0 where that cannot be known.
    pub fn threads_during<T>(&self, during: impl FnOnce() -> T) -> Result<(T, usize), Failure> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let most = scope.spawn(|| {
                let mut most = 0;
                while !over.load(Ordering::SeqCst) {
                    most = most.max(self.threads());
                    thread::sleep(Duration::from_millis(5));
                }
                most
            });
            let value = during();
            over.store(true, Ordering::SeqCst);
            let most = most.join().map_err(|_| "the count has panicked")?;
            Ok((value, most))
        })
    }

    fn threads(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap_or_default();
        let mut lines = status.lines();
        let threads = lines.find_map(|line| line.strip_prefix("Threads:"));
        threads.map_or(0, |threads| threads.trim().parse().unwrap_or(0))
    }

    /// Has it end in good order.
    pub fn end(mut self) -> Result<(), Failure> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| format!("a step has ended with {status}").into())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // In vain where it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
