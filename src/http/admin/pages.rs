//! The pages for people: status and API reference. Everything they need is in the binary, and they may load nothing else.

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What a page may load: its own scripts, styles and data, and pictures written into it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The pages and what they load, by path: the type and the text of each.
const FILES: [(&str, &str, &str); 10] = [
    ("/", HTML, include_str!("pages/status.html")),
    // Made from the OpenAPI documents by `tests/it/reference`.
    ("/docs", HTML, include_str!("pages/docs.html")),
    ("/docs/admin", HTML, include_str!("pages/docs-admin.html")),
    ("/assets/base.css", CSS, include_str!("pages/base.css")),
    ("/assets/docs.css", CSS, include_str!("pages/docs.css")),
    ("/assets/docs.js", SCRIPT, include_str!("pages/docs.js")),
    ("/assets/plot.js", SCRIPT, include_str!("pages/plot.js")),
    ("/assets/status.css", CSS, include_str!("pages/status.css")),
    ("/assets/status.js", SCRIPT, include_str!("pages/status.js")),
    ("/assets/words.js", SCRIPT, include_str!("pages/words.js")),
];

/// A route for each page and each file that one loads.
pub(super) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |routes, (path, kind, text)| {
        routes.route(path, get(async move || guarded(kind, text)))
    })
}

/// An answer whose type a browser does not guess, and that may load nothing from elsewhere.
pub(super) fn guarded(kind: &'static str, text: impl IntoResponse) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
