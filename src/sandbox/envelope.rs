//! The form of every answer: the vendor's JSON envelope, its documented refusals, and the HTML of the edge before it.

use super::people::marker;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// A refusal the vendor documents: envelope code and message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

pub(super) const BAD_REQUEST: Refusal = Refusal { code: "CLIENT_ERROR", message: "HTTP 400 - Bad Request" };
pub(super) const METHOD: Refusal = Refusal { code: "CLIENT_ERROR", message: "HTTP 405 - Method Not Allowed" };
pub(super) const EMPTY: Refusal =
    Refusal { code: "PARAMETER_ERROR", message: "Parameter should not be empty" };
pub(super) const ILLEGAL: Refusal = Refusal {
    code: "PARAMETER_ERROR",
    message: "Parameter error, please check your request whether has illegal parameters",
};
pub(super) const TIMESTAMP: Refusal = Refusal { code: "PARAMETER_ERROR", message: "Timestamp error" };
pub(super) const SIGNATURE: Refusal = Refusal { code: "PARAMETER_ERROR", message: "Signature error" };
pub(super) const ACCESS_KEY: Refusal = Refusal { code: "IAM_FAILED", message: "Access Key not found" };
pub(super) const TOKEN: Refusal = Refusal { code: "IAM_FAILED", message: "Token not found or expired" };
pub(super) const ACCOUNT: Refusal =
    Refusal { code: "INSUFFICIENT_BALANCE", message: "Account balance is insufficient" };
pub(super) const NOT_EXIST: Refusal =
    Refusal { code: "SIGNATURE_NOT_EXIST", message: "This signatureId is not exist" };
pub(super) const SERVER: Refusal = Refusal { code: "ERROR", message: "Server error" };
pub(super) const BUSY: Refusal = Refusal {
    code: "SERVICE_BUSY",
    message: "Rate limit is exceeded, please retry after the suggested time in HTTP Header. `Retry-After :10s`",
};

impl Refusal {
    /// The refusal as an answer about `id`, or about no id.
    pub(super) fn respond(self, id: Option<&str>) -> Response {
        envelope(StatusCode::OK, self.code, self.message, &Value::Null, id)
    }
}

pub(super) fn success(data: &Value, id: Option<&str>) -> Response {
    envelope(StatusCode::OK, "SUCCESS", "OK", data, id)
}

/// The status is 200 for everything documented; the vendor says that may change, so faults may choose another.
pub(super) fn envelope(
    status: StatusCode,
    code: &str,
    message: &str,
    data: &Value,
    id: Option<&str>,
) -> Response {
    let transaction = id.map_or_else(|| format!("{:016x}", rand::random::<u64>()), marker);
    let body = json!({
        "code": code, "message": message, "data": data,
        "extra": null, "transactionId": transaction, "pricingStrategy": "FREE",
    });
    (status, JSON, body.to_string()).into_response()
}

pub(super) async fn method_not_allowed() -> Response {
    METHOD.respond(None)
}

/// The answer of the vendor's edge to any path it does not know: no JSON.
pub(super) async fn edge_not_found() -> Response {
    (StatusCode::NOT_FOUND, page("404 Not Found")).into_response()
}

pub(super) fn page(title: &str) -> Html<String> {
    Html(format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ))
}
