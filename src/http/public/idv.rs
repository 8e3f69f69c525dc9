//! `/idv/{signatureId}`: from a request's head to its answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use tokio::time::sleep_until;

use super::audit::Audit;
use super::caller::{Caller, Callers};
use super::options::RequestOptions;
use super::respond::respond;
use crate::domain::failure::Failure;
use crate::domain::region::{Regions, Route, RouteError};
use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::http::code::Code;
use crate::http::error::{Answer, ApiError};
use crate::http::exchange::AccessRecord;
use crate::http::head::{self, TrustedHosts};
use crate::http::lifecycle::{Lifecycle, Stage};
use crate::lookup::{Ask, Found, Lookup, Missed, Source};
use crate::telemetry::metrics::{Metrics, RouteLabel};
use crate::telemetry::traces::Traces;

/// What the path of this route begins with; the id is the rest.
pub(super) const PATH: &str = "/idv/";

/// The methods of this route.
const METHODS: &str = "GET, HEAD, DELETE";

/// What the handlers of the public listener work with.
pub(crate) struct Public {
    /// Who may call.
    pub callers: Callers,
    /// The regions by name.
    pub regions: Regions,
    /// Finds ids.
    pub lookup: Arc<Lookup>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The stage of the process.
    pub lifecycle: Lifecycle,
    /// The audit trail.
    pub audit: Audit,
    /// Starts the spans of requests.
    pub traces: Traces,
    /// The longest wait for a final result.
    pub max_wait: Duration,
    /// How long a "not found" is kept, so that asking again sooner is useless.
    pub not_found_ttl: Duration,
    /// Without authentication: the hosts that requests may be for.
    pub hosts: Option<TrustedHosts>,
}

/// What a request wants to see.
struct Wanted {
    ask: Ask,
    scopes: Scopes,
    /// How many seconds to wait for a final result.
    wait: Option<u64>,
}

/// Answers a request to `/idv/…`, whatever its method.
pub(super) async fn handle<'a>(
    public: &'a Public,
    head: Parts,
    is_bodyless: bool,
    record: &mut AccessRecord<'a>,
) -> Result<Answer, ApiError> {
    record.route = RouteLabel::Idv;
    head::check_method(&head, METHODS, is_bodyless)?;
    let caller = public.callers.identify(&head.headers).await?;
    record.authenticated(&caller.name, &head, &public.traces);
    public.callers.check_rate(caller)?;
    let id = signature_id(&head.uri.path()[PATH.len()..])?;
    record.id = Some(id);
    let mut options = RequestOptions::read(head.uri.query(), &head.headers)?;
    if head.method == Method::DELETE {
        return purge(public, caller, &id, &options).await;
    }
    let is_head = head.method == Method::HEAD;
    if is_head {
        options.wait = None;
    }
    let wanted = wanted(public, caller, id, &options)?;
    // A request that waits does not keep the buffer that its head came in.
    drop(head);
    let answer = show(public, &wanted, record).await;
    if is_head {
        // The answer has no body, so no data was shown.
        record.disclosed = Scopes::NONE;
    }
    answer
}

fn wanted(
    public: &Public,
    caller: &Caller,
    id: SignatureId,
    options: &RequestOptions<'_>,
) -> Result<Wanted, ApiError> {
    let route = route(public, caller, options.region)?;
    let scopes = if options.decision_only { Scopes::NONE } else { caller.scopes };
    let ask = Ask {
        id,
        route,
        caller: caller.id,
        refresh: options.refresh && caller.scopes.contains(Scope::Refresh),
        wants_media: scopes.contains(Scope::Media),
    };
    let wait = options.wait.map(|seconds| seconds.min(public.max_wait.as_secs())).filter(|wait| *wait > 0);
    Ok(Wanted { ask, scopes, wait })
}

/// Finds the id and shows what the caller may see of it.
async fn show<'a>(
    public: &'a Public,
    wanted: &Wanted,
    record: &mut AccessRecord<'a>,
) -> Result<Answer, ApiError> {
    let Wanted { ask, wait, .. } = wanted;
    let found = tokio::select! {
        biased;
        found = public.lookup.find(ask, &record.span) => found,
        () = public.lifecycle.reached(Stage::GivingUp) => return Err(shutting_down()),
    };
    let found = match (found, wait) {
        (Ok(found), Some(seconds)) if !found.entry.is_final() => {
            // On the heap: few requests wait, and the others should not be larger for it.
            Box::pin(wait_for_final(public, ask, found, *seconds, record)).await
        }
        (found, _) => found,
    };
    match found {
        Ok(found) => give(public, wanted, &found, record),
        Err(missed) => Err(refuse(public, &missed, record)),
    }
}

/// The answer with what the caller may see of a result, recorded.
fn give<'a>(
    public: &'a Public,
    wanted: &Wanted,
    found: &Found,
    record: &mut AccessRecord<'a>,
) -> Result<Answer, ApiError> {
    record.source = Some(found.source);
    if let Source::Stale { cause, .. } = found.source {
        record.cause = cause;
    }
    let disclosed = wanted.scopes.and(Scopes::SHOWING);
    record.audit_place = public.audit.reserve(disclosed)?;
    record.disclosed = disclosed;
    let pseudonyms = found.entry.pseudonyms.get_or_init(|| public.audit.pseudonyms(&wanted.ask.id));
    record.pseudonyms = Some(*pseudonyms);
    record.status = Some(found.entry.record().verdict.status());
    record.region = Some(public.regions.name(found.entry.region()));
    let now = *record.cut_at.insert(Timestamp::now());
    Ok(respond(found, wanted.scopes, now))
}

/// Why there is no result, recorded.
fn refuse(public: &Public, missed: &Missed, record: &mut AccessRecord<'_>) -> ApiError {
    let Missed { failure, source } = missed;
    record.source = Some(*source);
    record.cause = failure.fault().and_then(|fault| fault.cause);
    let error = ApiError::from_failure(failure, &public.regions);
    let is_not_found = matches!(failure, Failure::NotFound(_));
    if is_not_found { error.retry_after(public.not_found_ttl) } else { error }
}

/// Waits for the final result, at most `seconds` from the start of the request; not while the process shuts down, and not
/// if too many requests wait.
async fn wait_for_final(
    public: &Public,
    ask: &Ask,
    found: Found,
    seconds: u64,
    record: &mut AccessRecord<'_>,
) -> Result<Found, Missed> {
    let Some(waiter) = public.lookup.waiter(ask) else { return Ok(found) };
    record.waited = Some(seconds);
    let deadline = record.started + Duration::from_secs(seconds);
    let end = pin!(async {
        tokio::select! {
            () = sleep_until(deadline) => {}
            () = public.lifecycle.reached(Stage::Draining) => {}
        }
    });
    waiter.until_final(ask, found, end).await
}

/// Forgets the id.
async fn purge(
    public: &Public,
    caller: &Caller,
    id: &SignatureId,
    options: &RequestOptions<'_>,
) -> Result<Answer, ApiError> {
    if !caller.scopes.contains(Scope::Purge) {
        return Err(ApiError::new(Code::ScopeMissing, "Forgetting an id takes the scope purge.")
            .challenge(r#"Bearer realm="idv-gateway", error="insufficient_scope", scope="purge""#));
    }
    if options.region.is_some() || options.decision_only {
        return Err(ApiError::new(
            Code::BadRequest,
            "DELETE takes no query parameter: it forgets the id in all regions of the caller.",
        ));
    }
    public.lookup.purge(*id, caller.regions).await;
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

fn route(public: &Public, caller: &Caller, pin: Option<&str>) -> Result<Route, ApiError> {
    public.regions.route(pin, caller.regions).map_err(|error| match error {
        RouteError::Unknown => ApiError::new(Code::UnknownRegion, "No region of this gateway has that name."),
        RouteError::Forbidden => ApiError::new(Code::RegionForbidden, "This caller may not use that region."),
    })
}

fn shutting_down() -> ApiError {
    let detail = "The gateway is shutting down; ask again.";
    ApiError::passing(Code::ShuttingDown, detail, Duration::from_secs(1)).closing()
}

/// The id, from the raw path: no decoding, so that a resource has one spelling.
fn signature_id(raw: &str) -> Result<SignatureId, ApiError> {
    let invalid =
        ApiError::new(Code::InvalidSignatureId, "An id is 1 to 64 of A-Z, a-z, 0-9, _ and -, not encoded.");
    SignatureId::parse(raw).ok_or(invalid)
}
