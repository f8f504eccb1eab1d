//! The HTTP API.
//!
//! | request | answer |
//! |---|---|
//! | `GET /quote?sku=SKU&quantity=N` | the cheapest way to buy so many |
//! | `GET /report?sku=SKU` | what was quoted so far |
//! | `GET /health` | what is under way |

use std::{io, net::SocketAddr, sync::Arc, thread};

use serde::Serialize;
use serde_json::json;
use tiny_http::{Header, Request, Response};

use super::{config::Config, error::Error, quotes::Quotes};

/// The API, while it is served.
pub struct Server {
    http: Arc<tiny_http::Server>,
    address: SocketAddr,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts threads that take requests and answer them.
    ///
    /// # Errors
    ///
    /// The address is taken, or there is no thread.
    pub fn start(config: &Config, quotes: Arc<Quotes>) -> Result<Self, Error> {
        let http = tiny_http::Server::http(config.listen).map_err(io::Error::other)?;
        let http = Arc::new(http);
        let address = http.server_addr().to_ip();
        let address = address.ok_or_else(|| io::Error::other("not an IP address"))?;
        let mut threads = Vec::new();
        for number in 0..config.threads {
            let (http, quotes) = (http.clone(), quotes.clone());
            let thread = thread::Builder::new().name(format!("api-{number}"));
            threads.push(thread.spawn(move || {
                for request in http.incoming_requests() {
                    serve(&quotes, request);
                }
            })?);
        }
        Ok(Self {
            http,
            address,
            threads,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and returns when those that were taken are answered.
    pub fn stop(self) {
        for _ in &self.threads {
            self.http.unblock();
        }
        for thread in self.threads {
            // It has panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn serve(quotes: &Quotes, request: Request) {
    let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
    let (status, body) = match path {
        "/quote" => told(quote(quotes, query)),
        "/report" => told(quotes.report(value(query, "sku"))),
        "/health" => told(Ok(json!({ "busy": quotes.busy() }))),
        _ => (404, json!({ "error": "no such path" }).to_string()),
    };
    let kind = Header::from_bytes("Content-Type", "application/json");
    let mut response = Response::from_string(body).with_status_code(status);
    response.add_header(kind.expect("it is a header"));
    // A client that has gone is no failure of ours.
    let _ = request.respond(response);
}

fn quote(quotes: &Quotes, query: &str) -> Result<impl Serialize, Error> {
    let quantity = value(query, "quantity").parse();
    let quantity = quantity.map_err(|_| Error::BadRequest("`quantity` is a number"))?;
    quotes.quote(value(query, "sku"), quantity)
}

/// The value of a parameter. None of ours needs an escape.
fn value<'a>(query: &'a str, name: &str) -> &'a str {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value)
}

/// The status and the body of a response.
fn told(outcome: Result<impl Serialize, Error>) -> (u16, String) {
    match outcome {
        Ok(answer) => (200, json!(answer).to_string()),
        Err(error) => (
            error.status(),
            json!({ "error": error.to_string() }).to_string(),
        ),
    }
}
