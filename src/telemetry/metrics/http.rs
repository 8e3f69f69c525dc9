//! The public listener: requests, answers and how long they took.

use std::time::Duration;

use enum_map::{Enum, EnumMap};
use prometheus::{Histogram, IntCounter};
use strum::{EnumString, IntoStaticStr};

use super::families::Families;
use crate::domain::verification::Status;

/// Durations of requests to us: from a cache hit (tens of microseconds) to a wait (tens of seconds). No bound lies on a
/// default limit (4, 8, 15, 30 s): what ends at a limit is in another bucket than what ends just before it.
const OUR_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.9, 4.5,
    7.9, 9.0, 16.0, 29.5, 31.0,
];

/// Every status the public listener answers with.
pub(super) const STATUSES: [u16; 14] = [200, 204, 400, 401, 403, 404, 405, 409, 421, 429, 500, 502, 503, 504];

/// The method of a request. It is the client's text, so only known methods have a name of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum MethodLabel {
    Get,
    Head,
    Delete,
    Post,
    Put,
    Patch,
    Options,
    Trace,
    Connect,
    #[default]
    #[strum(serialize = "other")]
    Other,
}

/// Where a request went: the template of its route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum, IntoStaticStr)]
#[expect(missing_docs, reason = "the templates say it")]
pub enum RouteLabel {
    #[strum(serialize = "/idv/{signatureId}")]
    Idv,
    #[strum(serialize = "/callbacks/{region}")]
    Callbacks,
    #[default]
    #[strum(serialize = "unmatched")]
    Unmatched,
}

/// Requests to the public listener.
pub struct HttpMetrics {
    pub(super) routes: EnumMap<RouteLabel, RouteMetrics>,
    /// Results given to callers (200).
    pub answers: EnumMap<Status, IntCounter>,
    successes: Histogram,
}

/// Requests to one route.
pub(super) struct RouteMetrics {
    /// By method, and by status as in [`STATUSES`].
    pub(super) requests: EnumMap<MethodLabel, [IntCounter; STATUSES.len()]>,
    pub(super) duration: Histogram,
}

impl RouteMetrics {
    fn new(families: &Families) -> Self {
        let labels = ["method", "status"];
        let answered = families.counter_vec("idv_http_requests_total", "Requests answered.", &labels);
        let requests = |method: MethodLabel| {
            STATUSES.map(|status| answered.with_label_values(&[method.into(), status.to_string().as_str()]))
        };
        Self {
            requests: EnumMap::from_fn(requests),
            duration: families.histogram(
                "idv_http_request_duration_seconds",
                "From the request's head to the answer's head.",
                OUR_BUCKETS,
            ),
        }
    }
}

impl HttpMetrics {
    pub(super) fn new(families: &Families) -> Self {
        let route = |route: RouteLabel| RouteMetrics::new(&families.with("route", route.into()));
        Self {
            routes: EnumMap::from_fn(route),
            answers: families.counters("idv_answers_total", "Results given to callers (200).", "status"),
            successes: families.histogram(
                "idv_http_success_duration_seconds",
                "As idv_http_request_duration_seconds, of results given to callers (200) alone.",
                OUR_BUCKETS,
            ),
        }
    }

    /// Counts one answered request. A status outside the closed set counts as 500.
    pub fn observe(&self, route: RouteLabel, method: MethodLabel, status: u16, duration: Duration) {
        let place = |status| STATUSES.iter().position(|known| *known == status);
        let status = place(status).or_else(|| place(500)).unwrap_or_default();
        let RouteMetrics { requests, duration: durations } = &self.routes[route];
        requests[method][status].inc();
        durations.observe(duration.as_secs_f64());
        if (route, STATUSES[status]) == (RouteLabel::Idv, 200) {
            self.successes.observe(duration.as_secs_f64());
        }
    }
}
