//! The public listener: requests, answers and how long they took.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};
use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr, VariantNames};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, IntoStaticStr)]
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
    pub(super) requests: Vec<IntCounter>,
    answers: [IntCounter; Status::VARIANTS.len()],
    pub(super) durations: Vec<Histogram>,
    successes: Histogram,
}

impl HttpMetrics {
    pub(super) fn new(families: &Families) -> Self {
        let (mut requests, mut durations) = (Vec::new(), Vec::new());
        for route in RouteLabel::iter() {
            let families = families.with("route", route.into());
            let labels = ["method", "status"];
            let answered = families.counter_vec("idv_http_requests_total", "Requests answered.", &labels);
            for method in MethodLabel::VARIANTS {
                let statuses = STATUSES.map(|status| status.to_string());
                requests
                    .extend(statuses.map(|status| answered.with_label_values(&[method, status.as_str()])));
            }
            durations.push(families.histogram(
                "idv_http_request_duration_seconds",
                "From the request's head to the answer's head.",
                OUR_BUCKETS,
            ));
        }
        let (answers, help) = ("idv_answers_total", "Results given to callers (200).");
        Self {
            requests,
            answers: families.counters::<Status, _>(answers, help, "status"),
            durations,
            successes: families.histogram(
                "idv_http_success_duration_seconds",
                "As idv_http_request_duration_seconds, of results given to callers (200) alone.",
                OUR_BUCKETS,
            ),
        }
    }

    /// Counts one result given to a caller.
    pub fn count_answer(&self, status: Status) {
        self.answers[status as usize].inc();
    }

    /// Counts one answered request. A status outside the closed set counts as 500.
    pub fn observe(&self, route: RouteLabel, method: MethodLabel, status: u16, duration: Duration) {
        let place = |status| STATUSES.iter().position(|known| *known == status);
        let status = place(status).or_else(|| place(500)).unwrap_or_default();
        let of_method = route as usize * MethodLabel::VARIANTS.len() + method as usize;
        self.requests[of_method * STATUSES.len() + status].inc();
        self.durations[route as usize].observe(duration.as_secs_f64());
        if (route, STATUSES[status]) == (RouteLabel::Idv, 200) {
            self.successes.observe(duration.as_secs_f64());
        }
    }
}
