//! A lane in a web service: in its state, in its handlers, in its answers to what goes wrong, and at
//! its end.
//!
//! ```text
//! cargo run --example service              serves until Ctrl-C or SIGTERM
//! cargo run --example service -- --check   asks itself for each of its answers, and ends
//! ```

use std::{env, error::Error, io, net::SocketAddr, thread, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use longshore::{Lane, Threads};
use tokio::{net::TcpListener, signal, sync::oneshot};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stock = stock();
    let shop = Shop {
        stock: stock.clone(),
    };
    let routes = Router::new()
        .route("/price/{sku}", get(price))
        .with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("http://{address}/price/tea");

    if env::args().any(|arg| arg == "--check") {
        let (end, told) = oneshot::channel::<()>();
        let told = async { drop(told.await) };
        let served = tokio::spawn(serve(listener, routes, stock.clone(), told));
        check(address, &stock).await?;
        drop(end);
        served.await??;
    } else {
        serve(listener, routes, stock, told_to_end()).await?;
    }
    Ok(())
}

/// The lane of one thing that is called: here the database with what is in stock.
fn stock() -> Lane {
    Lane::builder("stock")
        .limit(20)
        .queue(80)
        .timeout(Duration::from_secs(2))
        // Tokio's own pool would have the process wait for a call that is stuck.
        .own_threads(Threads::new())
        .build()
}

/// What every handler is given. A clone of a lane is the same lane.
#[derive(Clone)]
struct Shop {
    stock: Lane,
}

async fn price(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<String, Failed> {
    let price = shop.stock.offload(move || look_up(&sku)).await??;
    Ok(format!("{price}\n"))
}

/// Stands for the call that blocks.
fn look_up(sku: &str) -> io::Result<u32> {
    match sku {
        "tea" => Ok(7),
        "slow" => {
            thread::sleep(Duration::from_secs(5));
            Ok(7)
        }
        "broken" => panic!("nobody has thought of this"),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

enum Failed {
    /// What the lane has to say.
    Lane(longshore::Error),
    /// What the call has to say.
    Stock(io::Error),
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::Stock(error) if error.kind() == io::ErrorKind::NotFound => {
                (StatusCode::NOT_FOUND, error.to_string())
            }
            Self::Stock(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
            Self::Lane(error) if error.is_timeout() => {
                (StatusCode::GATEWAY_TIMEOUT, error.to_string())
            }
            // Its message may say what is nobody's business. The panic hook has told it to the log.
            Self::Lane(error) if error.is_panic() => (
                StatusCode::INTERNAL_SERVER_ERROR,
                String::from("an error of ours"),
            ),
            // It is full, or about to end, or there is no thread to be had: others may do better.
            Self::Lane(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
        .into_response()
    }
}

impl From<longshore::Error> for Failed {
    fn from(error: longshore::Error) -> Self {
        Self::Lane(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Stock(error)
    }
}

/// Serves until it is told to end, and then ends.
async fn serve(
    listener: TcpListener,
    routes: Router,
    lane: Lane,
    told: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // First nobody is let in any more, and those who are in are answered: that takes no longer than
    // the timeout of the lane.
    axum::serve(listener, routes)
        .with_graceful_shutdown(told)
        .await?;
    // Then what their callers have left behind has a second to end. What does not is named.
    if let Err(stuck) = lane.shutdown(Duration::from_secs(1)).await {
        eprintln!("{stuck}");
    }
    Ok(())
}

async fn told_to_end() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = signal::ctrl_c().await;
}

// ===== The check =====

async fn check(address: SocketAddr, stock: &Lane) -> Result<(), Box<dyn Error>> {
    for (sku, expected) in [("tea", 200), ("gold", 404), ("slow", 504), ("broken", 500)] {
        assert_eq!(ask(address, sku).await?, expected, "{sku}");
        println!("{expected} for {sku}");
    }
    stock.close();
    assert_eq!(ask(address, "tea").await?, 503);
    println!("503 for tea when the lane is closed");
    Ok(())
}

/// The status of an answer.
async fn ask(address: SocketAddr, sku: &str) -> Result<u16, Box<dyn Error>> {
    let url = format!("http://{address}/price/{sku}");
    let config = longshore::ureq::config()
        .http_status_as_error(false)
        .proxy(None);
    let agent = longshore::ureq::agent(config.build());
    let status = longshore::offload(move || agent.get(url).call().map(|answer| answer.status()));
    Ok(status.await??.as_u16())
}
