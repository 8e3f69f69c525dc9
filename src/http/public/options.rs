//! What a request asks for beside the id: its query and its headers.

use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;

use crate::http::error::{ApiError, Code};

/// What a request asks for beside the id.
#[derive(Default)]
pub(super) struct RequestOptions<'a> {
    pub(super) region: Option<&'a str>,
    pub(super) decision_only: bool,
    pub(super) refresh: bool,
}

impl<'a> RequestOptions<'a> {
    pub(super) fn read(query: Option<&'a str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut options = Self { refresh: wants_refresh(headers), ..Self::default() };
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
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}
