//! Who blocks this service?
//!
//! A service with three handlers. Two of them do as they should; in the third somebody has forgotten
//! that the client of the price service blocks. Under load a request takes as long as those that are
//! stuck in front of it, and nothing says why. One line turns the detector on, and it says which call it
//! is, while it happens. Then the ranking of what blocks, the repair, and the proof.
//!
//! ```text
//! cargo run --features stall --example find_stall
//! ```

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use longshore::{
    Lane,
    stall::{Stall, Watch, watched},
};
use tokio::runtime::Handle;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let prices = price_service()?;

    // The one line, here with a channel, so that this program can check what it is told.
    let (tell, told) = mpsc::channel::<Stall>();
    let watching = Watch::new()
        .on_stall(move |stall| drop(tell.send(stall.clone())))
        .attach(&Handle::current())?;

    println!("== as it is");
    // With whom it is may be missed on a machine with other things to do.
    for tries in 1.. {
        serve(prices, Client::Forgotten).await?;
        let stall = told.recv_timeout(Duration::from_secs(10))?;
        println!("{stall}");
        if cfg!(not(target_os = "linux")) {
            break;
        }
        assert!(stall.is_at("find_stall.rs"));
        let peer = stall.call.and_then(|call| call.peer);
        if peer == Some(prices.to_string()) {
            break;
        }
        assert!(tries < 5, "{peer:?}");
    }

    println!("\n== what is left to do");
    for tries in 1.. {
        let profile = watching.profile_for(Duration::from_secs(1));
        serve(prices, Client::Forgotten).await?;
        let profile = profile.await;
        println!("{profile}");
        let call = profile.rows.first().and_then(|row| row.call.as_ref());
        let peer = call.and_then(|call| call.peer.clone());
        if peer == Some(prices.to_string()) || cfg!(not(target_os = "linux")) {
            break;
        }
        assert!(tries < 5, "{peer:?}");
    }

    println!("\n== repaired");
    let lane = Lane::builder("prices").limit(8).build();
    for tries in 1.. {
        let before = watching.stalls();
        serve(prices, Client::Offloaded(lane.clone())).await?;
        let stalls = watching.stalls() - before;
        println!("{stalls} stalls");
        if stalls == 0 {
            break;
        }
        // What is kept from going on by a busy machine is not kept so each time.
        assert!(tries < 5, "it stalls as before");
    }
    Ok(())
}

/// How the handler calls the price service.
#[derive(Clone)]
enum Client {
    Forgotten,
    Offloaded(Lane),
}

/// A few requests of each kind.
async fn serve(prices: SocketAddr, client: Client) -> Result<(), Box<dyn Error>> {
    let mut requests = Vec::new();
    for _ in 0..2 {
        requests.push(tokio::spawn(watched(index())));
        requests.push(tokio::spawn(watched(search())));
        requests.push(tokio::spawn(watched(price(prices, client.clone()))));
    }
    for request in requests {
        request.await??;
    }
    Ok(())
}

async fn index() -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(())
}

async fn search() -> io::Result<()> {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn price(prices: SocketAddr, client: Client) -> io::Result<()> {
    match client {
        Client::Forgotten => ask(prices),
        Client::Offloaded(lane) => lane
            .offload(move || ask(prices))
            .await
            .map_err(io::Error::other)?,
    }
}

/// A client as they are: it blocks until the answer is there.
fn ask(prices: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(prices)?;
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0])
}

/// Takes its time.
fn price_service() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let _ = stream.read_exact(&mut [0]);
                thread::sleep(Duration::from_secs(1));
                let _ = stream.write_all(b"!");
            });
        }
    });
    Ok(address)
}
