//! Where what replicas know of one id is kept. All keys of an id share a hash tag, so that a cluster keeps them together.

use crate::domain::region::{RegionId, RegionSet};
use crate::domain::signature_id::SignatureId;
use crate::remote::{TURN, Unreadable, Vault};

/// The keys and fields of one id under one encryption key.
pub(super) struct Place<'a> {
    vault: &'a Vault,
    id: &'a SignatureId,
    /// What stands for each region, by its index.
    tags: Vec<String>,
    /// What all of its keys begin with.
    prefix: String,
    /// Where its result is.
    pub(super) result: String,
    /// Where the answers of regions and the times of purges are.
    pub(super) index: String,
}

impl<'a> Place<'a> {
    /// The place of an id; `sources` tell regions apart, by their index. A record of a region that has moved to another host
    /// or account is none of this one's.
    pub(super) fn new(vault: &'a Vault, id: &'a SignatureId, sources: &[String]) -> Self {
        let prefix = format!("idv:{{{}}}", vault.name(id.as_str()));
        let (result, index) = (format!("{prefix}:result"), format!("{prefix}:index"));
        let tags = sources.iter().map(|source| vault.name(&format!("region {source}"))).collect();
        Self { vault, id, tags, prefix, result, index }
    }

    /// Who fetches it from a region.
    pub(super) fn lease(&self, region: RegionId) -> String {
        format!("{}:lease:{}", self.prefix, self.tag(region))
    }

    /// Where the turns of its fills are counted.
    pub(super) fn turns(&self) -> String {
        format!("{}:turns", self.prefix)
    }

    /// The field of what a region said. It stands for the region in values, too.
    pub(super) fn tag(&self, region: RegionId) -> &str {
        &self.tags[region.index()]
    }

    /// The field of when the id was purged in a region.
    pub(super) fn purge_field(&self, region: RegionId) -> String {
        format!("{}!", self.tag(region))
    }

    /// The region that a tag stands for.
    pub(super) fn region(&self, tag: &str) -> Option<RegionId> {
        self.tags.iter().position(|known| known == tag).map(RegionId::new)
    }

    /// The fields of what regions said.
    pub(super) fn tags(&self, regions: RegionSet) -> Vec<String> {
        regions.iter().map(|region| self.tag(region).to_owned()).collect()
    }

    /// Every field: for each region what it said, and when the id was purged there.
    pub(super) fn fields(&self) -> Vec<String> {
        let regions = (0..self.tags.len()).map(RegionId::new);
        regions.flat_map(|region| [self.tag(region).to_owned(), self.purge_field(region)]).collect()
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

    /// A field and its sealed value.
    pub(super) fn seal_field(&self, field: String, value: &[u8]) -> (String, Vec<u8>) {
        let sealed = self.vault.seal(&self.address(&self.index, &field), value);
        (field, sealed)
    }

    pub(super) fn open_field(&self, field: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.vault.open(&self.address(&self.index, field), sealed)
    }

    /// The id itself, too, not only what stands for it.
    fn address(&self, key: &str, field: &str) -> String {
        format!("{key} {field} {}", self.id.as_str())
    }
}
