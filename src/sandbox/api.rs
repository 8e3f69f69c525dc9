//! The vendor's API as it is simulated: one account, its regions, two endpoints.

use serde::Deserialize;

/// The access key of the one account there is, in every region.
pub const ACCESS_KEY: &str = "sandbox-access-key";
/// The secret key that belongs to [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "sandbox-secret-key";
/// The regions served, each under the path prefix of its name. Another prefix gets the HTML 404 of the vendor's edge.
pub const REGIONS: &[&str] = &["id", "sg", "my", "th", "ph", "vn"];

/// The two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Endpoint {
    Token,
    GetResult,
}
