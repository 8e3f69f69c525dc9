//! The audit trail: one line for each answer that carried a person's data, saying who was shown whose.

use std::array;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::region::RegionName;
use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature_id::{Pseudonyms, SignatureId};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::exchange::AccessRecord;
use crate::telemetry::logs::{self, AuditPlace};
use crate::telemetry::{Limit, Line};

/// Writes audit lines.
pub(crate) struct Audit {
    /// Keyed, so that who has the lines but not the key cannot test guesses of an id. `None` = no lines.
    hmac: Option<Hmac<Sha256>>,
    limit: Limit,
}

impl Audit {
    /// Lines with ids under this key; without a key no lines.
    pub(crate) fn new(key: Option<&[u8]>) -> Self {
        let hmac = key.and_then(|key| Hmac::new_from_slice(key).ok());
        Self { hmac, limit: Limit::new(None, None) }
    }

    /// Takes a place for the line of an answer that discloses this, if it needs one.
    ///
    /// # Errors
    /// Too many lines wait to be written: the answer must not be given.
    pub(super) fn reserve(&self, disclosed: Scopes) -> Result<Option<AuditPlace>, ApiError> {
        if self.hmac.is_none() || !is_personal(disclosed) {
            return Ok(None);
        }
        let place = logs::reserve_audit_line();
        if place.is_none() {
            self.limit.warn("answers with personal data are refused until audit lines are written");
        }
        place.map(Some).ok_or(ApiError::passing(
            Code::Overloaded,
            "The audit trail cannot be written fast enough.",
            Duration::from_secs(1),
        ))
    }

    /// Writes the line of one answer, if it carried a person's data.
    pub(super) fn write(&self, record: &AccessRecord<'_>) {
        let is_wanted = self.hmac.is_some() && is_personal(record.disclosed);
        let (true, Some(pseudonyms)) = (is_wanted, record.pseudonyms) else { return };
        let mut line = Line::audit(&record.time);
        line.text("request_id", Some(record.request_id()));
        line.text("caller", record.caller);
        line.words("scopes", record.disclosed.names());
        line.text("region", record.region.map(RegionName::as_str));
        line.hex::<16, 32>("id_hmac", &pseudonyms.id_hmac);
        line.send();
    }

    /// What stands for an id in the log and in these lines.
    pub(super) fn pseudonyms(&self, id: &SignatureId) -> Pseudonyms {
        let id_hmac = self.hmac.as_ref().map(|hmac| id_hmac(hmac, id)).unwrap_or_default();
        Pseudonyms { id_hash: id.hash_for_logs(), id_hmac }
    }
}

fn is_personal(disclosed: Scopes) -> bool {
    disclosed.contains(Scope::Identity) || disclosed.contains(Scope::Media)
}

/// The start of the HMAC.
fn id_hmac(hmac: &Hmac<Sha256>, id: &SignatureId) -> [u8; 16] {
    let mut hmac = hmac.clone();
    hmac.update(id.as_str().as_bytes());
    let whole = hmac.finalize().into_bytes();
    array::from_fn(|n| whole[n])
}
