//! Where what replicas know of one id is kept. All keys of an id share a hash tag, so that a cluster keeps them together.

use crate::domain::signature_id::SignatureId;
use crate::remote::{TURN, Unreadable, Vault};

/// The keys of one id under one encryption key.
pub(super) struct Place<'a> {
    vault: &'a Vault,
    id: &'a SignatureId,
    /// Where its result is.
    pub(super) result: String,
    /// Where is what each region said of it, and when it was purged.
    pub(super) index: String,
}

impl<'a> Place<'a> {
    pub(super) fn new(vault: &'a Vault, id: &'a SignatureId) -> Self {
        let name = vault.name(id.as_str());
        let key = |what| format!("idv:{{{name}}}:{what}");
        Self { vault, id, result: key("result"), index: key("index") }
    }

    /// Who fetches it from a region.
    pub(super) fn lease(&self, tag: &str) -> String {
        format!("{}:{tag}", self.result.replace(":result", ":lease"))
    }

    /// Where the turns of its fills are counted.
    pub(super) fn turns(&self) -> String {
        self.result.replace(":result", ":turns")
    }

    /// A result, sealed behind its turn, which the servers can read.
    pub(super) fn seal_result(&self, turn: u64, value: &[u8]) -> Vec<u8> {
        let turn = format!("{turn:0TURN$}");
        let sealed = self.vault.seal(&self.address(&self.result, &turn), value);
        [turn.as_bytes(), &sealed].concat()
    }

    pub(super) fn open_result(&self, sealed: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let (turn, sealed) = sealed.split_at_checked(TURN).ok_or(Unreadable)?;
        let turn = str::from_utf8(turn).map_err(|_| Unreadable)?;
        self.vault.open(&self.address(&self.result, turn), sealed)
    }

    pub(super) fn seal_field(&self, field: &str, value: &[u8]) -> Vec<u8> {
        self.vault.seal(&self.address(&self.index, field), value)
    }

    pub(super) fn open_field(&self, field: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.vault.open(&self.address(&self.index, field), sealed)
    }

    /// The id itself, too, not only what stands for it.
    fn address(&self, key: &str, field: &str) -> String {
        format!("{key} {field} {}", self.id.as_str())
    }
}
