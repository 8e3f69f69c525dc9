//! The lines of the audit trail: one for each answer that carried a person's data.

use super::line::{Line, Stamp};
use super::logs;
use crate::domain::scope::Scopes;

/// What the audit line of an answer says: who was shown whose data.
pub struct AuditLine<'a> {
    /// When the answer was made.
    pub time: &'a Stamp,
    /// The request's id.
    pub request_id: &'a str,
    /// The caller's name.
    pub caller: Option<&'a str>,
    /// What was shown.
    pub scopes: Scopes,
    /// The region that the data came from.
    pub region: Option<&'a str>,
    /// What stands for the id, under the key of the audit trail.
    pub id_hmac: [u8; 16],
}

impl AuditLine<'_> {
    /// Writes the line. No setting of the log silences it.
    pub fn write(&self) {
        let mut line = Line::new(logs::format(), self.time, "audit", "personal data shown");
        line.text("request_id", Some(self.request_id));
        line.text("caller", self.caller);
        line.words("scopes", self.scopes.names());
        line.text("region", self.region);
        line.hex::<16, 32>("id_hmac", &self.id_hmac);
        logs::QUEUE.push_audit(&line.end());
    }
}
