//! Callers' tokens, such as Kubernetes projected service-account tokens: who signed them, for whom, until when.
//!
//! Verified here with ring, which TLS already links, and not by a JWT library: those that use ring read neither several
//! keys of one id nor padded base64.

mod issuer;
mod keys;
mod token;

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::settings::Jwt;
use crate::telemetry::metrics::JwksMetrics;
use issuer::IssuerKeys;
use token::Token;

pub(super) use token::Refusal;

/// Checks callers' tokens.
pub(crate) struct Verifier {
    settings: Jwt,
    keys: Arc<IssuerKeys>,
}

impl Verifier {
    /// A verifier of these settings. Keys in a file are read now; an endpoint is asked when the first token comes.
    ///
    /// # Errors
    /// A file cannot be read, or the key file holds no key that we can use; the message begins with the file's key.
    pub(crate) fn new(settings: &Jwt, metrics: Arc<JwksMetrics>) -> io::Result<Self> {
        let keys = Arc::new(IssuerKeys::new(settings, metrics)?);
        keys.reload_file().map_err(|error| io::Error::other(format!("jwks_file: {error}")))?;
        Ok(Self { settings: settings.clone(), keys })
    }

    /// Reads the key file again, if there is one. Returns whether its keys have changed.
    ///
    /// # Errors
    /// The file cannot be read or holds no key that we can use.
    pub(crate) fn reload_file(&self) -> io::Result<bool> {
        self.keys.reload_file()
    }

    /// The `sub` of a good token. The claims are checked before the signature, which costs more.
    pub(super) async fn subject(&self, token: &[u8]) -> Result<String, Refusal> {
        let token = Token::read(token).ok_or(Refusal::NotAToken)?;
        let asked = Instant::now();
        let mut keys = self.keys.known();
        if keys.is_empty() {
            keys = self.keys.fetched(asked).await;
        }
        if keys.is_empty() {
            return Err(Refusal::KeysUnavailable(self.keys.retry_after()));
        }
        token.check(&self.settings, Timestamp::now())?;
        if !token.is_signed_by(&keys) {
            // By a key that is new, perhaps.
            keys = self.keys.fetched(asked).await;
            if !token.is_signed_by(&keys) {
                let may_be_unknown = self.keys.is_issuer_away() && !token.has_candidate(&keys);
                let unavailable = Refusal::KeysUnavailable(self.keys.retry_after());
                return Err(if may_be_unknown { unavailable } else { Refusal::Bad });
            }
        }
        self.keys.refresh_if_old(asked);
        Ok(token.into_subject())
    }
}
