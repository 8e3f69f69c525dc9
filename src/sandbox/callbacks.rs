//! Callbacks: posts to a URL that a verification has changed, as the vendor does. `ids` says when.
//! Each is sent once: the vendor may try again, but promises nothing.

use axum::body::Body;
use axum::http::uri::Scheme;
use axum::http::{Request, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Callbacks that wait for their time, or for their receiver. Beyond it they are not sent at all.
pub(super) const MOST_WAITING: usize = 10_000;
const TIMEOUT: Duration = Duration::from_secs(10);
/// What stands for the region in a URL.
const REGION: &str = "{region}";

/// Where callbacks go: a URL in which the region's name is still to be put.
#[derive(Clone, Debug)]
pub struct CallbackUrl(String);

/// One callback.
#[derive(Debug)]
pub(super) struct Callback {
    pub(super) region: &'static str,
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) at: Instant,
}

impl FromStr for CallbackUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str = "expected a URL such as http://127.0.0.1:8082/callbacks/{region}?key=…";
        // Braces are not allowed in a URL, so the region is filled in before it is parsed.
        let uri: Uri = text.replace(REGION, "region").parse().map_err(|_| WANTED)?;
        let is_http = uri.scheme() == Some(&Scheme::HTTP);
        if is_http { Ok(Self(text.to_owned())) } else { Err(WANTED.to_owned()) }
    }
}

/// Sends each callback when it is due, for as long as it is polled.
pub(super) async fn deliver(url: CallbackUrl, mut callbacks: Receiver<Callback>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            Some(callback) = callbacks.recv(), if waiting.len() < MOST_WAITING => {
                waiting.spawn(send(client.clone(), url.clone(), callback));
            }
            Some(_) = waiting.join_next() => {}
            else => return,
        }
    }
}

async fn send(client: Client<HttpConnector, Body>, url: CallbackUrl, callback: Callback) {
    sleep_until(callback.at).await;
    let body = json!({ "signatureId": callback.id, "type": callback.kind }).to_string();
    let request = Request::post(url.0.replace(REGION, callback.region))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body));
    if let Ok(request) = request {
        let _ = timeout(TIMEOUT, client.request(request)).await;
    }
}
