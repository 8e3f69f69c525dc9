//! How settings are shown at `/config`: as they are written in the file, with `***` for what is secret.

use std::path::Path;
use std::time::Duration;

use serde::Serializer;

use super::secret::Secret;
use super::value::{show_bytes, show_duration};
use crate::domain::scope::Scopes;

const MASK: &str = "***";

pub(super) fn duration<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&show_duration(*time))
}

pub(super) fn bytes<S: Serializer>(size: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&show_bytes(*size))
}

/// A URL; its query may hold a key.
pub(super) fn url<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
    match url.split_once('?') {
        Some((before, _)) => to.collect_str(&format_args!("{before}?{MASK}")),
        None => to.serialize_str(url),
    }
}

pub(super) fn hashes<S: Serializer>(hashes: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(hashes.iter().map(|_| MASK))
}

pub(super) fn scopes<S: Serializer>(scopes: &Scopes, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(scopes.names())
}

pub(super) fn access_key<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    spelling(["access_key", "access_key_file"], secret, to)
}

pub(super) fn secret_key<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    spelling(["secret_key", "secret_key_file"], secret, to)
}

pub(super) fn remote_url<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    spelling(["url", "url_file"], secret, to)
}

/// A secret under the key that it was given by.
fn spelling<S: Serializer>(keys: [&'static str; 2], secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    let shown = if let Secret::File(path) = secret { path.as_path() } else { Path::new(MASK) };
    to.collect_map([(secret.key(keys), shown)])
}
