//! The audit trail: one line for each answer that carried a person's data, saying who was shown whose.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature_id::SignatureId;
use crate::http::exchange::AccessRecord;

/// Writes audit lines.
#[derive(Clone)]
pub(crate) struct Audit {
    /// Keyed, so that who has the lines but not the key cannot test guesses of an id. `None` = no lines.
    hmac: Option<Hmac<Sha256>>,
}

impl Audit {
    /// Lines with ids under this key.
    pub(crate) fn with_key(key: &[u8]) -> Self {
        Self { hmac: Hmac::new_from_slice(key).ok() }
    }

    /// No lines.
    pub(crate) const fn off() -> Self {
        Self { hmac: None }
    }

    /// Writes the line of one answer, if it carried a person's data.
    pub(super) fn write(&self, record: &AccessRecord<'_>) {
        let disclosed = record.disclosed;
        let is_personal = disclosed.contains(Scope::Identity) || disclosed.contains(Scope::Media);
        let (true, Some(hmac), Some(id)) = (is_personal, &self.hmac, &record.id) else { return };
        tracing::info!(
            target: "audit",
            request_id = record.request_id(),
            caller = record.caller,
            scopes = names(disclosed),
            region = record.region.map(|region| region.as_str()),
            id_hmac = id_hmac(hmac, id),
            "personal data shown"
        );
    }
}

fn id_hmac(hmac: &Hmac<Sha256>, id: &SignatureId) -> String {
    let mut hmac = hmac.clone();
    hmac.update(id.as_str().as_bytes());
    hmac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn names(scopes: Scopes) -> String {
    scopes.names().collect::<Vec<_>>().join(",")
}
