//! The pages for people: status and API reference. Everything they need is in the binary, and they may load nothing else.

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;

use crate::http::error::{self, ApiError};

/// What a page may load: its own scripts, styles and data, and pictures written into it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const STATUS: &str = include_str!("pages/status.html");
/// Made from the OpenAPI documents by `tests/it/reference`.
const DOCS: &str = include_str!("pages/docs.html");
const ADMIN_DOCS: &str = include_str!("pages/docs-admin.html");

/// What the pages load, by name: its type and its text.
const ASSETS: [(&str, &str, &str); 7] = [
    ("base.css", CSS, include_str!("pages/base.css")),
    ("docs.css", CSS, include_str!("pages/docs.css")),
    ("docs.js", SCRIPT, include_str!("pages/docs.js")),
    ("plot.js", SCRIPT, include_str!("pages/plot.js")),
    ("status.css", CSS, include_str!("pages/status.css")),
    ("status.js", SCRIPT, include_str!("pages/status.js")),
    ("words.js", SCRIPT, include_str!("pages/words.js")),
];

/// The status page.
pub(super) async fn status() -> Response {
    guarded(HTML, STATUS)
}

/// The API reference.
pub(super) async fn docs() -> Response {
    guarded(HTML, DOCS)
}

/// The reference of the admin listener.
pub(super) async fn admin_docs() -> Response {
    guarded(HTML, ADMIN_DOCS)
}

/// A file that a page loads.
pub(super) async fn asset(uri: Uri) -> Result<Response, ApiError> {
    let file = uri.path().strip_prefix("/assets/");
    let asset = ASSETS.iter().find(|(name, ..)| Some(*name) == file);
    let (_, kind, text) = asset.ok_or(error::no_such_route())?;
    Ok(guarded(kind, *text))
}

/// An answer that a browser takes for what it is, and that leads it nowhere else.
pub(super) fn guarded(kind: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
