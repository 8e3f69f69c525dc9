//! `/_sandbox`: what tests steer the simulator with.

use super::faults::Faults;
use super::host::Host;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// `PUT /_sandbox/faults`: 204, or 400 with what is wrong in plain text and nothing changed.
pub(super) async fn set_faults(State(host): State<Host>, body: Bytes) -> Response {
    match Faults::parse(&body) {
        Ok(faults) => {
            host.books.lock().faults = faults;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(mistake) => (StatusCode::BAD_REQUEST, mistake).into_response(),
    }
}

/// `DELETE /_sandbox/faults`
pub(super) async fn clear_faults(State(host): State<Host>) -> StatusCode {
    host.books.lock().faults = Faults::default();
    StatusCode::NO_CONTENT
}

/// `GET /_sandbox/hits`
pub(super) async fn show_hits(State(host): State<Host>) -> Response {
    let report = serde_json::to_string(&host.books.lock().hits).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], report).into_response()
}
