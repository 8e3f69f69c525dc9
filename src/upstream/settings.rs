//! What a region's upstream is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::region::{RegionId, RegionName};
use crate::remote::Client;
use crate::telemetry::metrics::RegionMetrics;

/// What one region is made of.
pub(crate) struct RegionSettings {
    /// Its place in the configuration.
    pub id: RegionId,
    /// Its name, for logs.
    pub name: RegionName,
    /// Where get-result is, without a trailing slash.
    pub base_url: String,
    /// Where the token endpoint is, without a trailing slash.
    pub token_url: String,
    /// The account's keys.
    pub keys: Keys,
    /// The life asked for tokens.
    pub token_period: Duration,
    /// Attempts at once.
    pub concurrency: usize,
    /// What one attempt may take, body included.
    pub attempt_timeout: Duration,
    /// A PEM file of certificate authorities to trust beside the bundled ones.
    pub ca_file: Option<PathBuf>,
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
