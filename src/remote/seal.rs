//! How shared data is protected: names and values reveal nothing to whoever runs or reads the servers.
//!
//! A name is an HMAC. A value is `version, key id, nonce, ciphertext`, encrypted with its whole address as associated data,
//! so that a value in another place, or a reply to another request, cannot be read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::digest::Output;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The version of every value: its envelope and what is inside. A value of another version is ignored.
const VERSION: u8 = 4;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const HEAD: usize = 1 + KEY_ID + NONCE;
/// The bytes of an HMAC that a name keeps.
const NAME: usize = 16;

/// Names and seals with one encryption key.
pub(crate) struct Vault {
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
    names: Hmac<Sha256>,
}

/// A value that was not sealed with this key for this address, or was changed since.
pub(crate) struct Unreadable;

impl Vault {
    /// The vault of a key. Names, values and the key's id use keys derived from it.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let derived = |purpose: &str| derive(key, purpose);
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&derived("idv-gateway key id")[..KEY_ID]);
        Self {
            id,
            cipher: XChaCha20Poly1305::new(&derived("idv-gateway values")),
            names: keyed(&derived("idv-gateway names")),
        }
    }

    /// What stands for `what` in names.
    pub(crate) fn name(&self, what: &str) -> String {
        let mut mac = self.names.clone();
        mac.update(what.as_bytes());
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..NAME])
    }

    /// Seals a value for one address.
    pub(crate) fn seal(&self, address: &str, value: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(HEAD + value.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        let nonce: [u8; NONCE] = rand::random();
        sealed.extend_from_slice(&nonce);
        let aad = [&sealed[..HEAD - NONCE], address.as_bytes()].concat();
        let encrypted = self.cipher.encrypt(&XNonce::from(nonce), Payload { msg: value, aad: &aad });
        debug_assert!(encrypted.is_ok(), "only a value of 256 GB is too long");
        sealed.extend(encrypted.unwrap_or_default());
        sealed
    }

    /// Opens a value found at an address. `None`: it is of another version.
    ///
    /// # Errors
    /// It was not sealed with this key for this address.
    pub(crate) fn open(&self, address: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let (head, encrypted) = sealed.split_at_checked(HEAD).ok_or(Unreadable)?;
        if head[0] != VERSION {
            return Ok(None);
        }
        let (prefix, nonce) = head.split_at(HEAD - NONCE);
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| Unreadable)?;
        let aad = [prefix, address.as_bytes()].concat();
        let opened = self.cipher.decrypt(&XNonce::from(nonce), Payload { msg: encrypted, aad: &aad });
        opened.map(Some).map_err(|_| Unreadable)
    }
}

fn derive(key: &[u8], purpose: &str) -> Output<Hmac<Sha256>> {
    let mut mac = keyed(key);
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(Vault: std::fmt::Debug, std::fmt::Display);

    fn word(opened: Result<Option<Vec<u8>>, Unreadable>) -> String {
        match opened {
            Ok(Some(value)) => String::from_utf8(value).unwrap(),
            Ok(None) => "none".to_owned(),
            Err(Unreadable) => "unreadable".to_owned(),
        }
    }

    #[test]
    fn a_value_opens_with_its_key_at_its_address_and_nowhere_else() {
        let (vault, other) = (Vault::new(&[1; 32]), Vault::new(&[2; 32]));
        let sealed = vault.seal("here", b"a person");
        assert_eq!(word(vault.open("here", &sealed)), "a person");
        assert_eq!(word(vault.open("there", &sealed)), "unreadable");
        assert_eq!(word(other.open("here", &sealed)), "unreadable");
        assert_ne!(sealed, vault.seal("here", b"a person"), "no nonce twice");
    }

    #[test]
    fn no_changed_bit_and_no_part_of_a_value_is_read() {
        let vault = Vault::new(&[1; 32]);
        let sealed = vault.seal("here", b"a person");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 8 { "none" } else { "unreadable" };
            assert_eq!(word(vault.open("here", &changed)), expected, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(word(vault.open("here", &sealed[..length])), "unreadable", "{length} bytes");
        }
    }

    #[test]
    fn a_name_depends_on_the_key_and_on_all_of_what_it_names() {
        let vault = Vault::new(&[1; 32]);
        assert_eq!(vault.name("S1"), Vault::new(&[1; 32]).name("S1"));
        assert_ne!(vault.name("S1"), vault.name("S2"));
        assert_ne!(vault.name("S1"), Vault::new(&[2; 32]).name("S1"));
        assert_eq!(vault.name("S1").len(), 22);
    }
}
