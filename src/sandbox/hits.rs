//! Counts what was asked, for tests that promise how often. Every call counts, refused and faulted ones too.

use super::api::{Endpoint, REGIONS};
use super::bounded::Bounded;
use serde::Serialize;
use std::collections::BTreeMap;

/// The oldest id is forgotten beyond it.
const ROOM: usize = 20_000;
/// Longer ids are counted with their region only.
const LONGEST_ID: usize = 128;

/// `{"regions": {"my": {"token": 1, "get_result": 3}, …}, "ids": {"sim-pass-1": 3}}`
#[derive(Serialize)]
pub(super) struct Hits {
    regions: BTreeMap<&'static str, Calls>,
    ids: Bounded<u64>,
}

#[derive(Default, Serialize)]
struct Calls {
    token: u64,
    get_result: u64,
}

impl Default for Hits {
    fn default() -> Self {
        let regions = REGIONS.iter().map(|region| (*region, Calls::default())).collect();
        Self { regions, ids: Bounded::new(ROOM) }
    }
}

impl Hits {
    pub(super) fn count(&mut self, region: &'static str, endpoint: Endpoint, id: Option<&str>) {
        let calls = self.regions.entry(region).or_default();
        match endpoint {
            Endpoint::Token => calls.token += 1,
            Endpoint::GetResult => calls.get_result += 1,
        }
        if let Some(id) = id.filter(|id| id.len() <= LONGEST_ID) {
            *self.ids.entry(id, || 0) += 1;
        }
    }
}
