//! The fetcher: what it promises, over services that do as they are told, over the offloaded client
//! and over a native one.

mod batches;
#[cfg(feature = "ureq")]
mod clients;
mod layers;
mod limits;
#[cfg(feature = "ureq")]
mod once;
mod ordered;
mod outside;
mod panics;
mod parsing;
mod progress;
mod readiness;
mod retries;
mod service;
mod timeless;
mod times;
#[cfg(feature = "ureq")]
mod verdicts;

use std::{error::Error as StdError, future::Future};

use longshore::fetch::Fetched;

use crate::support::{Flavour, watched};

/// Runs a test, watched, on both flavours of runtime.
#[track_caller]
fn on_both<F>(test: fn() -> F)
where
    F: Future<Output = ()> + 'static,
{
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        watched(move || flavour.runtime().block_on(test()));
    }
}

/// The body as text, or all that is said of the error.
fn told(fetched: &Fetched<http::Response<bytes::Bytes>>) -> Result<String, String> {
    match &fetched.result {
        Ok(response) => Ok(String::from_utf8_lossy(response.body()).into_owned()),
        Err(error) => Err(all_of(error)),
    }
}

fn all_of(error: &dyn StdError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}
