//! What a region's upstream is made of.

use std::sync::Arc;

use secrecy::SecretString;

use crate::domain::region::RegionId;
use crate::remote::Client;
use crate::settings::Region;
use crate::telemetry::metrics::RegionMetrics;

/// What one region is made of.
pub(crate) struct RegionSettings {
    /// Its place in the configuration.
    pub id: RegionId,
    /// Its section of the configuration.
    pub region: Region,
    /// The account's keys, as they are now.
    pub keys: Keys,
    /// Hosts that media links may point at; empty = any.
    pub media_hosts: Vec<String>,
    /// Where replicas share its tokens, if they do.
    pub shared: Option<Arc<Client>>,
    /// Where its numbers go.
    pub metrics: Arc<RegionMetrics>,
}

/// The keys of one region's account.
#[derive(Clone)]
pub(crate) struct Keys {
    /// The vendor's accessKey.
    pub access: SecretString,
    /// The vendor's secretKey.
    pub secret: SecretString,
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Keys: std::fmt::Debug, std::fmt::Display);
