//! What the simulator remembers: live tokens, the calls it has received, and the faults to inject. Tokens and ids are
//! bounded, the oldest goes first, so that no client can make the simulator grow.

use super::api::{Endpoint, REGIONS};
use super::faults::Faults;
use super::ids::Home;
use lru::LruCache;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::Instant;

/// Live tokens over all regions. A new token leaves the earlier ones alone until the oldest has to go.
const MOST_TOKENS: usize = 4096;
/// An id that is forgotten starts again in the region that is asked for it next.
const MOST_IDS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19_999);
/// Longer ids are counted with their region only.
const LONGEST_ID: usize = 128;

/// What all regions remember.
#[derive(Default)]
pub(super) struct State {
    pub(super) tokens: Tokens,
    pub(super) calls: Calls,
    pub(super) faults: Faults,
}

/// Live tokens, oldest first.
#[derive(Default)]
pub(super) struct Tokens(VecDeque<Token>);

struct Token {
    region: &'static str,
    text: String,
    ends: Instant,
}

impl Tokens {
    pub(super) fn grant(&mut self, region: &'static str, period: u64, now: Instant) -> String {
        self.0.retain(|token| token.ends > now);
        if self.0.len() >= MOST_TOKENS {
            self.0.pop_front();
        }
        let text = format!("sandbox.{region}.{:032x}", rand::random::<u128>());
        self.0.push_back(Token { region, text: text.clone(), ends: now + Duration::from_secs(period) });
        text
    }

    /// Whether `text` is a token of `region` that has not expired.
    pub(super) fn is_live(&self, region: &str, text: &str, now: Instant) -> bool {
        self.0.iter().any(|token| token.region == region && token.text == text && token.ends > now)
    }

    pub(super) fn revoke(&mut self, region: &str) {
        self.0.retain(|token| token.region != region);
    }
}

/// The calls so far. Every call counts, refused and faulted ones too.
pub(super) struct Calls {
    by_endpoint: BTreeMap<(&'static str, Endpoint), u64>,
    by_id: LruCache<String, CallsOfId>,
}

#[derive(Default)]
struct CallsOfId {
    total: u64,
    /// Where and when a region that may have the id was first asked for it.
    first: Option<(&'static str, Instant)>,
    /// Calls in a region that has the id.
    found: u64,
}

/// A call for an id in a region that has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Call {
    /// Since the first one.
    pub(super) age: Duration,
    /// Counts from 1.
    pub(super) number: u64,
}

impl Default for Calls {
    fn default() -> Self {
        Self { by_endpoint: BTreeMap::new(), by_id: LruCache::new(MOST_IDS) }
    }
}

impl Calls {
    pub(super) fn count(&mut self, region: &'static str, endpoint: Endpoint, id: Option<&str>) {
        *self.by_endpoint.entry((region, endpoint)).or_default() += 1;
        if let Some(id) = id.filter(|id| id.len() <= LONGEST_ID) {
            self.by_id.get_or_insert_mut(id.to_owned(), CallsOfId::default).total += 1;
        }
    }

    /// Notes a call for a known id in `region`; `None` if the id exists elsewhere.
    pub(super) fn find(&mut self, id: &str, home: Home, region: &'static str, now: Instant) -> Option<Call> {
        if matches!(home, Home::Region(home) if home != region) {
            return None;
        }
        let of_id = self.by_id.get_or_insert_mut(id.to_owned(), CallsOfId::default);
        let (first_region, first) = *of_id.first.get_or_insert((region, now));
        if home == Home::FirstAsked && first_region != region {
            return None;
        }
        of_id.found += 1;
        Some(Call { age: now - first, number: of_id.found })
    }

    /// `{"regions": {"my": {"token": 1, "get_result": 3}, …}, "ids": {"sim-pass-1": 3}}`
    pub(super) fn report(&self) -> Value {
        let calls = |region, endpoint| self.by_endpoint.get(&(region, endpoint)).copied().unwrap_or_default();
        let region = |region: &&'static str| {
            let calls = json!({
                "token": calls(region, Endpoint::Token),
                "get_result": calls(region, Endpoint::GetResult),
            });
            ((*region).to_owned(), calls)
        };
        let ids = self.by_id.iter().map(|(id, calls)| (id.clone(), calls.total.into()));
        json!({
            "regions": REGIONS.iter().map(region).collect::<Map<_, _>>(),
            "ids": ids.collect::<Map<_, Value>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_tokens_live_in_their_region_until_they_end() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let first = tokens.grant("my", 60, now);
        let second = tokens.grant("my", 120, now);
        assert!(tokens.is_live("my", &first, now) && tokens.is_live("my", &second, now));
        assert!(!tokens.is_live("ph", &first, now));
        assert!(!tokens.is_live("my", &first, now + Duration::from_secs(60)));
        tokens.revoke("my");
        assert!(!tokens.is_live("my", &second, now));
    }

    #[test]
    fn an_id_without_a_region_belongs_to_whoever_is_asked_first() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        assert!(calls.find("a", Home::FirstAsked, "my", now).is_some());
        assert!(calls.find("a", Home::FirstAsked, "ph", now).is_none());
        assert_eq!(calls.find("a", Home::FirstAsked, "my", now).map(|call| call.number), Some(2));
    }

    #[test]
    fn an_id_that_names_a_region_exists_only_there() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        assert!(calls.find("a-ph", Home::Region("ph"), "my", now).is_none());
        assert_eq!(calls.find("a-ph", Home::Region("ph"), "ph", now).map(|call| call.number), Some(1));
    }

    #[test]
    fn an_id_of_every_region_is_everywhere() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        assert!(calls.find("a", Home::Everywhere, "my", now).is_some());
        assert!(calls.find("a", Home::Everywhere, "ph", now).is_some());
    }
}
