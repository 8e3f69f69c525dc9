//! A simulator of the vendor's API: an independent statement of its contract, to build, test and demonstrate a client
//! against. It says what the vendor promises and how the vendor misbehaves, and imports nothing of the gateway.
//!
//! One port, one path prefix per region: `/my` stands for the vendor's host in Malaysia. Under each prefix
//!
//! - `POST /openapi/auth/ticket/v1/generate-token` checks keys, clock and signature and grants a token that expires;
//! - `POST /intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result` tells the result of a signature id.
//!
//! Ids say what they do, such as `sim-fail-liveness-1`: [`ids()`] lists them, and `idv-gateway sandbox --help` shows that list.
//!
//! An id with a part that names a region (`sim-pass-ph-7`) exists in that region alone. Any other exists in the region
//! that is asked for it first and does not exist elsewhere, so that one configured region works as well as six.
//!
//! Every text about a person, every link and every transaction id in the answer for an id holds that id's marker:
//! the first 16 hex digits of SHA-256 over `sandbox:` and the id. Words of the protocol, types, dates and countries
//! are everybody's.
//!
//! With a callback URL, it sends a callback there when the person has submitted everything (`SUBMIT_COMPLETED`, half of
//! N) and when the result can be read (`COMPLETED`, N); none where the end is INCOMPLETE.
//!
//! Tests control it: `PUT /_sandbox/faults` sets faults to inject (see `faults.rs`), `DELETE` clears them, and
//! `GET /_sandbox/hits` counts the calls per region, endpoint and id.

mod api;
mod callbacks;
mod envelope;
mod faults;
mod get_result;
mod host;
mod ids;
mod people;
mod results;
mod serve;
mod state;
mod token;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use std::future::Future;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub use api::{ACCESS_KEY, REGIONS, SECRET_KEY};
pub use callbacks::CallbackUrl;
pub use ids::ids;

use faults::Faults;
use host::Host;

/// The requests of the API are far smaller.
const BODY_LIMIT: usize = 64 * 1024;

/// Serves the simulator on `listener` until `shutdown` completes; connections still open then have half a second.
/// Callbacks go to `callback_url`, if there is one.
pub async fn run(
    listener: TcpListener,
    callback_url: Option<CallbackUrl>,
    shutdown: impl Future<Output = ()>,
) {
    let Some(url) = callback_url else {
        return serve::serve(listener, router(Host::new(None)), shutdown).await;
    };
    let (sender, receiver) = mpsc::channel(callbacks::MOST_WAITING);
    let serving = serve::serve(listener, router(Host::new(Some(sender))), shutdown);
    tokio::select! {
        () = serving => {}
        () = callbacks::deliver(url, receiver) => {}
    }
}

fn router(host: Host) -> Router {
    let control = Router::new()
        .route("/faults", put(set_faults).delete(clear_faults))
        .route("/hits", get(show_hits))
        .with_state(host.clone());
    REGIONS
        .iter()
        .fold(Router::new(), |router, region| router.nest(&format!("/{region}"), api(host.of(region))))
        .nest("/_sandbox", control)
        .fallback(envelope::edge_not_found)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

fn api(host: Host) -> Router {
    Router::new()
        .route("/openapi/auth/ticket/v1/generate-token", post(token::generate))
        .route("/intl/openapi/identity-risk/idvs-h5/ekyc/v1/get-result", post(get_result::get_result))
        .method_not_allowed_fallback(envelope::method_not_allowed)
        .with_state(host)
}

/// 204, or 400 with what is wrong in plain text and nothing changed.
async fn set_faults(State(host): State<Host>, body: Bytes) -> Response {
    match Faults::parse(&body) {
        Ok(faults) => {
            host.state.lock().faults = faults;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, mistake).into_response(),
    }
}

async fn clear_faults(State(host): State<Host>) -> StatusCode {
    host.state.lock().faults = Faults::default();
    StatusCode::NO_CONTENT
}

async fn show_hits(State(host): State<Host>) -> Response {
    let report = host.state.lock().calls.report().to_string();
    ([(header::CONTENT_TYPE, "application/json")], report).into_response()
}
