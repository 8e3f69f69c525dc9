//! `/idv/{signatureId}`: the way through, from a request's head to its answer.

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};

use super::Public;
use super::caller::Caller;
use super::error::{ApiError, Code, no_such_route};
use super::lifecycle::Stage;
use super::render;
use crate::domain::failure::{Failure, Kind};
use crate::domain::region::{RegionName, Route, RouteError};
use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::lookup::{Ask, Missed, Source};
use crate::telemetry::metrics::RouteLabel;
use crate::telemetry::traces::Span;

/// The methods of this route.
const METHODS: &str = "GET, HEAD, DELETE";

/// What was learned of a request, for its answer's headers, its log line, the metrics and the audit.
#[derive(Default)]
pub(super) struct Seen<'a> {
    pub(super) route: RouteLabel,
    pub(super) caller: Option<&'a str>,
    pub(super) id: Option<SignatureId>,
    pub(super) source: Option<Source>,
    /// What of the person was shown, and from which region.
    pub(super) disclosed: Scopes,
    pub(super) region: Option<&'a RegionName>,
}

/// Answers a request to any other path of the public listener.
pub(super) fn elsewhere(head: &Parts) -> ApiError {
    check_framing(head, true).err().unwrap_or_else(no_such_route)
}

/// Answers a request to `/idv/…`, whatever its method.
pub(super) async fn handle<'a>(
    public: &'a Public,
    head: &'a Parts,
    id: &str,
    is_bodyless: bool,
    span: &Span,
    seen: &mut Seen<'a>,
) -> Result<Response, ApiError> {
    seen.route = RouteLabel::Idv;
    check_framing(head, is_bodyless)?;
    if !matches!(head.method, Method::GET | Method::HEAD | Method::DELETE) {
        return Err(ApiError::method_not_allowed(METHODS));
    }
    let caller = public.callers.identify(&head.headers).await?;
    seen.caller = Some(caller.name());
    public.callers.check_rate(caller)?;
    let id = signature_id(id)?;
    seen.id = Some(id);
    let wishes = Wishes::read(head.uri.query(), &head.headers)?;
    if head.method == Method::DELETE {
        return purge(public, caller, &id, &wishes);
    }
    let answer = show(public, caller, id, &wishes, span, seen).await;
    if head.method == Method::HEAD {
        // The answer goes without its body, so nobody was shown anything.
        seen.disclosed = Scopes::NONE;
    }
    answer
}

/// Finds the id and shows what the caller may see of it.
async fn show<'a>(
    public: &'a Public,
    caller: &Caller,
    id: SignatureId,
    wishes: &Wishes<'_>,
    span: &Span,
    seen: &mut Seen<'a>,
) -> Result<Response, ApiError> {
    let route = route(public, caller, wishes.region)?;
    let scopes = if wishes.decision_only { Scopes::NONE } else { caller.scopes() };
    let ask = Ask {
        id,
        route,
        refresh: wishes.refresh && caller.scopes().contains(Scope::Refresh),
        wants_media: scopes.contains(Scope::Media),
    };
    let found = tokio::select! {
        biased;
        found = public.lookup.find(&ask, span) => found,
        () = public.lifecycle.reached(Stage::GivingUp) => return Err(shutting_down(public)),
    };
    match found {
        Ok(found) => {
            seen.source = Some(found.source);
            seen.region = Some(public.regions.name(found.entry.region()));
            let answer = render::answer(&found, scopes);
            seen.disclosed = scopes.and(Scopes::SHOWING);
            Ok(answer)
        }
        Err(Missed { failure, source }) => {
            seen.source = Some(source);
            Err(ApiError::from_failure(failure, &public.regions))
        }
    }
}

/// Forgets the id.
fn purge(
    public: &Public,
    caller: &Caller,
    id: &SignatureId,
    wishes: &Wishes<'_>,
) -> Result<Response, ApiError> {
    if !caller.scopes().contains(Scope::Purge) {
        return Err(ApiError::new(Code::ScopeMissing, "Forgetting an id takes the scope purge."));
    }
    if wishes.region.is_some() || wishes.decision_only {
        return Err(ApiError::new(
            Code::BadRequest,
            "DELETE takes no query parameter: it forgets the id everywhere.",
        ));
    }
    public.lookup.purge(id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn route(public: &Public, caller: &Caller, pin: Option<&str>) -> Result<Route, ApiError> {
    public.regions.route(pin, caller.regions()).map_err(|error| match error {
        RouteError::Unknown => ApiError::new(Code::UnknownRegion, "No region of this gateway has that name."),
        RouteError::Forbidden => ApiError::new(Code::RegionForbidden, "This caller may not use that region."),
    })
}

fn shutting_down(public: &Public) -> ApiError {
    ApiError::from_failure(Failure::new(Kind::ShuttingDown), &public.regions).closing()
}

/// Refuses what could be read in two ways. After that, nothing more is read from the connection.
fn check_framing(head: &Parts, is_bodyless: bool) -> Result<(), ApiError> {
    let given = |name| head.headers.get_all(name).iter().count();
    let complaint = if !is_bodyless {
        "This route takes no body."
    } else if head.uri.scheme().is_some() || head.method == Method::CONNECT {
        "Send the path alone as the request target: this is not a proxy."
    } else if given(HOST) > 1 || (given(HOST) == 0 && head.version == Version::HTTP_11) {
        "Send one Host header."
    } else if given(AUTHORIZATION) > 1 {
        "Send one Authorization header."
    } else {
        return Ok(());
    };
    Err(ApiError::new(Code::BadRequest, complaint).closing())
}

/// The id, from the raw path: no decoding, so that a resource has one spelling.
fn signature_id(raw: &str) -> Result<SignatureId, ApiError> {
    let invalid =
        ApiError::new(Code::InvalidSignatureId, "An id is 1 to 64 of A-Z, a-z, 0-9, _ and -, not encoded.");
    SignatureId::parse(raw).ok_or(invalid)
}

/// What a request asks for beside the id.
#[derive(Default)]
struct Wishes<'a> {
    region: Option<&'a str>,
    decision_only: bool,
    refresh: bool,
}

impl<'a> Wishes<'a> {
    fn read(query: Option<&'a str>, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut wishes = Self { refresh: wants_refresh(headers), ..Self::default() };
        let parameters =
            query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&'));
        for parameter in parameters {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "region" if wishes.region.is_none() => wishes.region = Some(value),
                "view" if value == "decision" && !wishes.decision_only => wishes.decision_only = true,
                "view" if !wishes.decision_only => return Err(bad_query("The only view is view=decision.")),
                "region" | "view" => return Err(bad_query("A query parameter is given twice.")),
                _ => return Err(bad_query("The query parameters are region and view.")),
            }
        }
        Ok(wishes)
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
