//! Callbacks: tells a URL that a verification has changed, as the vendor does. It owns how they are sent; ids say when.
//! Each is sent once: the vendor may try again, but promises nothing.

use axum::body::Body;
use axum::http::uri::{PathAndQuery, Scheme};
use axum::http::{Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Callbacks that wait for their time, or for their receiver. Beyond it they are not sent at all.
pub(super) const MOST_WAITING: usize = 10_000;
const TIMEOUT: Duration = Duration::from_secs(10);
/// What stands for the region in a URL.
const REGION: &str = "{region}";

/// Where callbacks go.
#[derive(Clone, Debug)]
pub struct CallbackUrl {
    authority: String,
    target: String,
}

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
        // Braces are no URL, so the region is put in before it is read.
        let uri: Uri = text.replace(REGION, "region").parse().map_err(|_| WANTED)?;
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP)).ok_or(WANTED)?;
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        let path = text.splitn(4, '/').nth(3).unwrap_or_default();
        Ok(Self { authority, target: format!("/{path}") })
    }
}

/// Sends each callback when its time has come, for as long as it is polled.
pub(super) async fn deliver(url: CallbackUrl, mut callbacks: Receiver<Callback>) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            Some(callback) = callbacks.recv(), if waiting.len() < MOST_WAITING => {
                waiting.spawn(send(url.clone(), callback));
            }
            Some(_) = waiting.join_next() => {}
            else => return,
        }
    }
}

async fn send(url: CallbackUrl, callback: Callback) {
    sleep_until(callback.at).await;
    let _ = timeout(TIMEOUT, post(&url, &callback)).await;
}

async fn post(url: &CallbackUrl, callback: &Callback) -> io::Result<()> {
    let target: PathAndQuery =
        url.target.replace(REGION, callback.region).parse().map_err(io::Error::other)?;
    let body = json!({ "signatureId": callback.id, "type": callback.kind }).to_string();
    let request = Request::post(Uri::from(target))
        .header(header::HOST, &url.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(io::Error::other)?;
    let stream = TcpStream::connect(&url.authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let sent = async move { sender.send_request(request).await.map(drop) };
    tokio::try_join!(sent, connection).map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::CallbackUrl;

    #[test]
    fn a_url_is_plain_http_and_may_name_the_region() {
        let parts = |text: &str| text.parse().map(|url: CallbackUrl| (url.authority, url.target));
        let read = |authority: &str, target: &str| Ok((authority.to_owned(), target.to_owned()));
        assert_eq!(
            parts("http://127.0.0.1:8082/cb/{region}?key=a"),
            read("127.0.0.1:8082", "/cb/{region}?key=a")
        );
        assert_eq!(parts("http://gateway"), read("gateway:80", "/"));
        for text in ["", "gateway:8082", "/callbacks", "https://gateway/", "http:///callbacks", "http://a b/"]
        {
            assert!(parts(text).is_err(), "{text}");
        }
    }
}
