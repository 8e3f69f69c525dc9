//! What a request asks for besides the id: its query and its headers.

use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, HeaderName};

use crate::http::code::Code;
use crate::http::error::ApiError;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What a request asks for besides the id.
#[derive(Default)]
pub(super) struct RequestOptions<'a> {
    pub(super) region: Option<&'a str>,
    pub(super) decision_only: bool,
    pub(super) refresh: bool,
    /// `Prefer: wait=N`: how many seconds to wait for a final result.
    pub(super) wait: Option<u64>,
}

impl<'a> RequestOptions<'a> {
    pub(super) fn read(query: Option<&'a str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut options =
            Self { refresh: wants_refresh(headers), wait: preferred_wait(headers), ..Self::default() };
        let parameters =
            query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&'));
        for parameter in parameters {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "region" if options.region.is_none() => options.region = Some(value),
                "view" if value == "decision" && !options.decision_only => options.decision_only = true,
                "view" if !options.decision_only => return Err(bad_query("The only view is view=decision.")),
                "region" | "view" => return Err(bad_query("A query parameter is given twice.")),
                _ => return Err(bad_query("The query parameters are region and view.")),
            }
        }
        Ok(options)
    }
}

const fn bad_query(detail: &'static str) -> ApiError {
    ApiError::new(Code::BadRequest, detail)
}

fn wants_refresh(headers: &HeaderMap) -> bool {
    items(headers, CACHE_CONTROL).any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

/// The items of a header that is a list. A comma between quotes separates none.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| {
        let mut is_quoted = false;
        value.split(move |letter| {
            is_quoted ^= letter == '"';
            letter == ',' && !is_quoted
        })
    })
}

/// The seconds of `Prefer: wait=N` (RFC 7240): the first `wait` counts, and one that is not a number is ignored.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let mut preferences = items(headers, PREFER).filter_map(|preference| {
        let (preference, _parameters) = preference.split_once(';').unwrap_or((preference, ""));
        preference.split_once('=')
    });
    let (_, value) = preferences.find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    let value = value.trim();
    let digits = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are more than any limit.
    is_number.then(|| digits.parse().unwrap_or(u64::MAX)).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_wait_counts_and_what_is_no_number_is_ignored() {
        for (values, wait) in [
            (&["wait=10"][..], Some(10)),
            (&["respond-async, WAIT = 7 ; foo=bar"], Some(7)),
            (&["respond-async", "wait=\"3\""], Some(3)),
            (&["wait=5, wait=9"], Some(5)),
            (&["note=\"a, wait=9, b\", wait=5"], Some(5)),
            (&["wait=5", "wait=9"], Some(5)),
            (&["wait=99999999999999999999999"], Some(u64::MAX)),
            (&["wait=0"], None),
            (&["wait=-1"], None),
            (&["wait=+1"], None),
            (&["wait=1.5"], None),
            (&["wait=ten, wait=9"], None),
            (&["wait="], None),
            (&["wait"], None),
            (&["waiting=5"], None),
            (&[""], None),
        ] {
            let headers = values.iter().map(|value| (PREFER, HeaderValue::from_static(value)));
            assert_eq!(preferred_wait(&headers.collect()), wait, "{values:?}");
        }
    }
}
