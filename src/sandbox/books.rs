//! All that is remembered: tokens that live, and what was asked for, when and where. Each book forgets its oldest entry when
//! it is full, so that no client can make the simulator grow.

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
/// An id that is forgotten starts anew, wherever it is asked for next.
const MOST_IDS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19_999);
/// Longer ids are counted with their region only.
const LONGEST_ID: usize = 128;

/// The books of all regions.
#[derive(Default)]
pub(super) struct Books {
    pub(super) tokens: Tokens,
    pub(super) asks: Asks,
    pub(super) faults: Faults,
}

/// The tokens that live, oldest first.
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
    pub(super) fn live(&self, region: &str, text: &str, now: Instant) -> bool {
        self.0.iter().any(|token| token.region == region && token.text == text && token.ends > now)
    }

    pub(super) fn revoke(&mut self, region: &str) {
        self.0.retain(|token| token.region != region);
    }
}

/// What was asked for. Every call counts, refused and faulted ones too.
pub(super) struct Asks {
    calls: BTreeMap<(&'static str, Endpoint), u64>,
    ids: LruCache<String, Asked>,
}

#[derive(Default)]
struct Asked {
    calls: u64,
    /// Where and when a region that may have the id was first asked for it.
    first: Option<(&'static str, Instant)>,
    visits: u64,
}

/// An ask in a region that has the id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Visit {
    /// Since the first ask.
    pub(super) age: Duration,
    /// Counts from 1.
    pub(super) asks: u64,
}

impl Default for Asks {
    fn default() -> Self {
        Self { calls: BTreeMap::new(), ids: LruCache::new(MOST_IDS) }
    }
}

impl Asks {
    pub(super) fn count(&mut self, region: &'static str, endpoint: Endpoint, id: Option<&str>) {
        *self.calls.entry((region, endpoint)).or_default() += 1;
        if let Some(id) = id.filter(|id| id.len() <= LONGEST_ID) {
            self.ids.get_or_insert_mut(id.to_owned(), Asked::default).calls += 1;
        }
    }

    /// Books an ask for a known id in `region`; none if the id lives elsewhere.
    pub(super) fn visit(
        &mut self,
        id: &str,
        home: Home,
        region: &'static str,
        now: Instant,
    ) -> Option<Visit> {
        if matches!(home, Home::Region(home) if home != region) {
            return None;
        }
        let asked = self.ids.get_or_insert_mut(id.to_owned(), Asked::default);
        let (first_region, first) = *asked.first.get_or_insert((region, now));
        if home == Home::FirstAsked && first_region != region {
            return None;
        }
        asked.visits += 1;
        Some(Visit { age: now - first, asks: asked.visits })
    }

    /// `{"regions": {"my": {"token": 1, "get_result": 3}, …}, "ids": {"sim-pass-1": 3}}`
    pub(super) fn report(&self) -> Value {
        let calls = |region, endpoint| self.calls.get(&(region, endpoint)).copied().unwrap_or_default();
        let region = |region: &&'static str| {
            let calls = json!({
                "token": calls(region, Endpoint::Token),
                "get_result": calls(region, Endpoint::GetResult),
            });
            ((*region).to_owned(), calls)
        };
        let ids = self.ids.iter().map(|(id, asked)| (id.clone(), asked.calls.into()));
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
        assert!(tokens.live("my", &first, now) && tokens.live("my", &second, now));
        assert!(!tokens.live("ph", &first, now));
        assert!(!tokens.live("my", &first, now + Duration::from_secs(60)));
        tokens.revoke("my");
        assert!(!tokens.live("my", &second, now));
    }

    #[test]
    fn an_id_without_a_region_belongs_to_whoever_is_asked_first() {
        let (mut asks, now) = (Asks::default(), Instant::now());
        assert!(asks.visit("a", Home::FirstAsked, "my", now).is_some());
        assert!(asks.visit("a", Home::FirstAsked, "ph", now).is_none());
        assert_eq!(asks.visit("a", Home::FirstAsked, "my", now).map(|visit| visit.asks), Some(2));
    }

    #[test]
    fn an_id_that_names_a_region_exists_only_there() {
        let (mut asks, now) = (Asks::default(), Instant::now());
        assert!(asks.visit("a-ph", Home::Region("ph"), "my", now).is_none());
        assert_eq!(asks.visit("a-ph", Home::Region("ph"), "ph", now).map(|visit| visit.asks), Some(1));
    }

    #[test]
    fn an_id_of_every_region_is_everywhere() {
        let (mut asks, now) = (Asks::default(), Instant::now());
        assert!(asks.visit("a", Home::Everywhere, "my", now).is_some());
        assert!(asks.visit("a", Home::Everywhere, "ph", now).is_some());
    }
}
