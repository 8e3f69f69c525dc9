//! The lines of the audit trail: one for each answer that carried a person's data.

use jiff::Timestamp;

use super::line::Line;
use super::logs;

/// What the audit line of an answer says: who was shown whose data.
pub struct AuditLine<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The caller's name.
    pub caller: Option<&'a str>,
    /// The scopes of what was shown, with commas between them.
    pub scopes: &'a str,
    /// The region that the data came from.
    pub region: Option<&'a str>,
    /// What stands for the id, under the key of the audit trail.
    pub id_hmac: &'a str,
}

impl AuditLine<'_> {
    /// Writes the line. No setting of the log silences it.
    pub fn write(&self) {
        let mut line = Line::new(logs::format(), Timestamp::now(), "audit", "personal data shown");
        line.text("request_id", Some(self.request_id));
        line.text("caller", self.caller);
        line.text("scopes", Some(self.scopes));
        line.text("region", self.region);
        line.text("id_hmac", Some(self.id_hmac));
        logs::QUEUE.push_audit(&line.end());
    }
}
