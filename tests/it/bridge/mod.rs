//! From synchronous code into async code: contracts K16 and K17.

mod calls;
mod ending;
mod jobs;
mod matrix;
mod rows;
mod scopes;
mod shutdown;
mod threads;

use std::time::Duration;

use longshore::Bridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Flavour, settles};

const FLAVOURS: [Flavour; 2] = [Flavour::CurrentThread, Flavour::MultiThread];

/// A started bridge of either kind, whose threads bear this name.
fn started(name: &str, flavour: Flavour) -> Bridge {
    let builder = Bridge::builder().name(name);
    match flavour {
        Flavour::CurrentThread => builder.start(),
        Flavour::MultiThread => builder.workers(2).start(),
    }
    .expect("threads can be had")
}

/// Shuts the bridge down, until it says that nothing is left. Once is not enough on a busy machine, where
/// what was cancelled may take longer than a shutdown waits for it.
fn is_over(bridge: &Bridge) {
    settles("the bridge is over", || {
        bridge.shutdown(Duration::ZERO).wait().is_ok()
    });
}

/// Needs a runtime's timer, its I/O and its tasks.
async fn seven() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody connects");
        stream.write_all(&[6]).await.expect("they listen");
    });
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let six = stream.read_u8().await.expect("it answers");
    server.await.expect("it does not panic");
    u32::from(six) + 1
}
