//! The tokens that live.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Live tokens over all regions. A new token leaves the earlier ones alone until the oldest has to go.
const ROOM: usize = 4096;

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
        if self.0.len() >= ROOM {
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
}
