//! How settings are shown at `/config`: as they are written in the file, with `***` for what is secret.

use std::time::Duration;

use serde::Serializer;

use crate::domain::scope::Scopes;

/// What stands for a secret.
pub(super) const MASK: &str = "***";

pub(super) fn duration<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&duration_text(*time))
}

pub(super) fn bytes<S: Serializer>(size: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&bytes_text(*size))
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

/// Units and how many of the smallest one each is, the one to show first.
pub(crate) type Units = [(&'static str, u64)];
pub(crate) const TIMES: &Units = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
pub(crate) const SIZES: &Units = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// A duration as it is written in the file.
pub(crate) fn duration_text(duration: Duration) -> String {
    if duration.is_zero() { "0s".to_owned() } else { text(duration.as_millis() as u64, TIMES) }
}

/// A size as it is written in the file.
pub(crate) fn bytes_text(bytes: u64) -> String {
    text(bytes, SIZES)
}

/// In the largest unit that needs no fraction.
fn text(amount: u64, units: &Units) -> String {
    let fits = |(_, size): &&(&str, u64)| amount >= *size && amount.is_multiple_of(*size);
    let (unit, size) = units.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", amount / size)
}
