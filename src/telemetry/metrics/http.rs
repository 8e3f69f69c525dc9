//! The public listener: requests, answers and how long they took.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, Registry};

use super::families::{counters, histogram, histograms};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodLabel(usize);

impl MethodLabel {
    const NAMES: [&str; 10] =
        ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "other"];

    /// The label of a method, `other` if it is none that we know.
    pub fn of(method: &str) -> Self {
        let known = Self::NAMES.iter().position(|known| *known == method);
        Self(known.unwrap_or(Self::NAMES.len() - 1))
    }

    /// The method, or `other`.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.0]
    }
}

/// Where a request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteLabel {
    /// `/idv/{signatureId}`
    Idv,
    /// `/callbacks/{region}`
    Callbacks,
    /// No route of ours.
    #[default]
    Unmatched,
}

impl RouteLabel {
    const ALL: [Self; 3] = [Self::Idv, Self::Callbacks, Self::Unmatched];

    /// The route's template.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idv => "/idv/{signatureId}",
            Self::Callbacks => "/callbacks/{region}",
            Self::Unmatched => "unmatched",
        }
    }
}

/// Requests to the public listener.
pub struct HttpMetrics {
    pub(super) requests: Vec<IntCounter>,
    answers: [IntCounter; Status::ALL.len()],
    pub(super) durations: [Histogram; RouteLabel::ALL.len()],
    successes: Histogram,
}

impl HttpMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = counters(
            registry,
            "idv_http_requests_total",
            "Requests answered.",
            &["route", "method", "status"],
        )?;
        let mut table = Vec::new();
        for route in RouteLabel::ALL {
            for method in MethodLabel::NAMES {
                for status in STATUSES {
                    table.push(requests.with_label_values(&[route.name(), method, &status.to_string()]));
                }
            }
        }
        let answers =
            counters(registry, "idv_answers_total", "Results given to callers (200).", &["status"])?;
        let durations = histograms(
            registry,
            "idv_http_request_duration_seconds",
            "From the request's head to the answer's head.",
            &["route"],
            OUR_BUCKETS,
        )?;
        let successes = histogram(
            registry,
            "idv_http_success_duration_seconds",
            "As idv_http_request_duration_seconds, of results given to callers (200) alone.",
            OUR_BUCKETS,
        )?;
        Ok(Self {
            successes,
            requests: table,
            answers: Status::ALL.map(|status| answers.with_label_values(&[status.name()])),
            durations: RouteLabel::ALL.map(|route| durations.with_label_values(&[route.name()])),
        })
    }

    /// Counts one result given to a caller.
    pub fn count_answer(&self, status: Status) {
        self.answers[status as usize].inc();
    }

    /// Counts one answered request. A status outside the closed set counts as 500.
    pub fn observe(&self, route: RouteLabel, method: MethodLabel, status: u16, duration: Duration) {
        let internal = STATUSES.iter().position(|known| *known == 500).unwrap_or_default();
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(internal);
        let of_method = route as usize * MethodLabel::NAMES.len() + method.0;
        self.requests[of_method * STATUSES.len() + status].inc();
        self.durations[route as usize].observe(duration.as_secs_f64());
        if (route, STATUSES[status]) == (RouteLabel::Idv, 200) {
            self.successes.observe(duration.as_secs_f64());
        }
    }
}
