//! The HTTP API.
//!
//! | request | answer |
//! |---|---|
//! | `GET /quote?sku=SKU&quantity=N` | the cheapest way to buy so many |
//! | `GET /report?sku=SKU` | what was quoted so far |
//! | `GET /health` | what is under way |

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle, time::timeout};

use super::{
    config::Config,
    error::Error,
    quotes::{Quote, Quotes},
    store::Report,
};

/// How long requests that were taken have to end, when it ends.
const GRACE: Duration = Duration::from_secs(1);

/// The API, while it is served.
pub struct Server {
    runtime: Runtime,
    quotes: Arc<Quotes>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// Has the runtime take requests and answer them.
    ///
    /// # Errors
    ///
    /// The address is taken.
    pub fn start(config: &Config, runtime: Runtime, quotes: Arc<Quotes>) -> Result<Self, Error> {
        let listener = runtime.block_on(TcpListener::bind(config.listen))?;
        let address = listener.local_addr()?;
        let routes = Router::new()
            .route("/quote", get(quote))
            .route("/report", get(report))
            .route("/health", get(health))
            .with_state(quotes.clone());
        let (stop, stopped) = oneshot::channel();
        let served = runtime.spawn(async move {
            let server = axum::serve(listener, routes);
            let until = async { drop(stopped.await) };
            if let Err(error) = server.with_graceful_shutdown(until).await {
                eprintln!("the API has ended: {error}");
            }
        });
        Ok(Self {
            runtime,
            quotes,
            address,
            stop,
            served,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests. Those that were taken have a second to end; then they go without the
    /// suppliers that they wait for, and are answered. What does not end is named.
    pub fn stop(self) {
        let mut served = self.served;
        let _ = self.stop.send(());
        self.runtime.block_on(async {
            if timeout(GRACE, &mut served).await.is_err() {
                self.quotes.end_asking().await;
                let _ = timeout(GRACE, served).await;
            }
            for stuck in self.quotes.end().await {
                eprintln!("{stuck}");
            }
        });
        self.runtime.shutdown_background();
    }
}

#[derive(Deserialize)]
struct Wanted {
    sku: String,
    quantity: u32,
}

/// A client that goes away has this future dropped, and all that it has started is cancelled.
async fn quote(
    State(quotes): State<Arc<Quotes>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Quote>, Error> {
    Ok(Json(quotes.quote(&wanted.sku, wanted.quantity).await?))
}

#[derive(Deserialize)]
struct Article {
    sku: String,
}

async fn report(
    State(quotes): State<Arc<Quotes>>,
    Query(article): Query<Article>,
) -> Result<Json<Report>, Error> {
    Ok(Json(quotes.report(&article.sku).await?))
}

async fn health(State(quotes): State<Arc<Quotes>>) -> Json<Value> {
    Json(json!({ "busy": quotes.busy() }))
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}
