//! What a signature id looks like. The vendor publishes no format, so an id is opaque: never "16 hex".

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// The longest id we accept, in bytes.
pub const MAX_LEN: usize = 64;

/// A signature id: 1 to 64 bytes of `A-Z a-z 0-9 _ -`, held inline so that a cache hit allocates nothing.
///
/// It has no `Debug` and no `Display`: in logs an id appears only as its [`IdHash`].
#[derive(Clone, Copy)]
pub struct SignatureId {
    len: u8,
    bytes: [u8; MAX_LEN],
}

impl SignatureId {
    /// Parses the raw text of a path segment, undecoded. Returns `None` if it is not an id.
    pub fn parse(raw: &str) -> Option<Self> {
        let well_formed = (1..=MAX_LEN).contains(&raw.len()) && raw.bytes().all(is_id_byte);
        if !well_formed {
            return None;
        }
        let mut bytes = [0; MAX_LEN];
        bytes[..raw.len()].copy_from_slice(raw.as_bytes());
        Some(Self { len: raw.len() as u8, bytes })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The hash of this id for logs.
    pub fn hash_for_logs(&self) -> IdHash {
        let hash: [u8; 32] = Sha256::digest(self.as_bytes()).into();
        IdHash(std::array::from_fn(|n| hash[n]))
    }

    /// The same in bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for SignatureId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SignatureId {}

impl Hash for SignatureId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// The start of an id's SHA-256, shown as 16 hexadecimal digits: enough to find a request in the logs, not enough to read
/// the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdHash(pub [u8; 8]);

impl fmt::Display for IdHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What stands for an id where the id itself must not be: in the log, and in the audit trail.
#[derive(Clone, Copy)]
pub struct Pseudonyms {
    /// In the log.
    pub id_hash: IdHash,
    /// In the audit trail: the start of the id's HMAC, under the key of the trail.
    pub id_hmac: [u8; 16],
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(SignatureId: std::fmt::Debug, std::fmt::Display);

    #[test]
    fn an_id_is_1_to_64_plain_characters_and_nothing_else() {
        for good in ["f302f5d2454a85c2", "1234567890", "A_b-9", "x", &"a".repeat(64)] {
            assert!(SignatureId::parse(good).is_some_and(|id| id.as_str() == good), "{good}");
        }
        for bad in ["", "a b", "a%20", "a/b", "..", "é", "a\0", "a\r\n", "a.b", &"a".repeat(65)] {
            assert!(SignatureId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_log_hash_is_the_start_of_the_sha256() {
        let id = SignatureId::parse("abc").unwrap();
        assert_eq!(id.hash_for_logs().to_string(), "ba7816bf8f01cfea");
    }
}
