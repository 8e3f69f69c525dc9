//! Regions, sets of regions, and the route of a request: which regions may hold an id.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The most regions one gateway can have: a set of them is one machine word.
pub const MAX_REGIONS: usize = 64;

/// The vendor's hosts that serve get-result, by the short names used in configuration and answers.
const PRESETS: [(&str, &str); 6] = [
    ("id", "https://api.advance.ai"),
    ("sg", "https://sg-api.advance.ai"),
    ("my", "https://my-api.advance.ai"),
    ("th", "https://th-api.advance.ai"),
    ("ph", "https://ph-api.advance.ai"),
    ("vn", "https://vn-api.advance.ai"),
];

/// A region's name: 1 to 32 bytes of `a-z 0-9 -`. It is a metric label and part of answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RegionName(Arc<str>);

impl RegionName {
    /// Parses a name; `None` if it has other characters or a wrong length.
    pub fn parse(name: &str) -> Option<Self> {
        let is_name_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let well_formed = (1..=32).contains(&name.len()) && name.bytes().all(is_name_byte);
        well_formed.then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The vendor's base URL for this name, if it is one of the preset regions.
    pub fn preset_base_url(&self) -> Option<&'static str> {
        PRESETS.iter().find(|(name, _)| *name == self.as_str()).map(|(_, url)| *url)
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region's place in the configuration, which is also its place in the probing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(u8);

impl RegionId {
    /// The region at `index` in per-region tables.
    pub const fn new(index: usize) -> Self {
        Self(index as u8)
    }

    /// The id as an index into per-region tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RegionSet(u64);

impl RegionSet {
    /// No region.
    pub const EMPTY: Self = Self(0);
    /// Every region there can be.
    pub const ALL: Self = Self(u64::MAX);

    /// The set of one region.
    pub const fn only(region: RegionId) -> Self {
        Self(1 << region.0)
    }

    /// This set and `region`.
    #[must_use]
    pub const fn with(self, region: RegionId) -> Self {
        Self(self.0 | 1 << region.0)
    }

    /// This set without the regions of `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The regions in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The regions in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `region` is in this set.
    pub const fn contains(self, region: RegionId) -> bool {
        self.0 & 1 << region.0 != 0
    }

    /// How many regions are in this set.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether this set has no region.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The one region of this set, if it has exactly one.
    pub const fn single(self) -> Option<RegionId> {
        if self.0.is_power_of_two() { Some(RegionId(self.0.trailing_zeros() as u8)) } else { None }
    }

    /// The regions of this set in probing order.
    pub fn iter(self) -> impl Iterator<Item = RegionId> {
        (0..MAX_REGIONS as u8).map(RegionId).filter(move |region| self.contains(*region))
    }
}

impl FromIterator<RegionId> for RegionSet {
    fn from_iter<I: IntoIterator<Item = RegionId>>(regions: I) -> Self {
        regions.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The configured regions, in probing order.
#[derive(Clone)]
pub struct Regions {
    names: Arc<[RegionName]>,
}

impl Regions {
    /// Regions of these names. Configuration guarantees at least one, no duplicate and at most [`MAX_REGIONS`].
    pub fn new(names: impl IntoIterator<Item = RegionName>) -> Self {
        let names: Arc<[RegionName]> = names.into_iter().collect();
        debug_assert!(names.len() <= MAX_REGIONS, "configuration caps the number of regions");
        Self { names }
    }

    /// The region of that name.
    pub fn find(&self, name: &str) -> Option<RegionId> {
        self.names.iter().position(|known| known.as_str() == name).map(|index| RegionId(index as u8))
    }

    /// The name of a region.
    pub fn name(&self, region: RegionId) -> &RegionName {
        &self.names[region.index()]
    }

    /// Every region, in probing order.
    pub fn all(&self) -> RegionSet {
        (0..self.names.len() as u8).map(RegionId).collect()
    }

    /// The names, in probing order.
    pub fn names(&self) -> &[RegionName] {
        &self.names
    }

    /// The route of a request: the pinned region, else every region in `allowed`.
    ///
    /// # Errors
    /// The pin names no region, or one outside `allowed`.
    pub fn route(&self, pin: Option<&str>, allowed: RegionSet) -> Result<Route, RouteError> {
        let Some(pin) = pin else {
            return Ok(Route { regions: allowed, pinned: false });
        };
        let region = self.find(pin).ok_or(RouteError::Unknown)?;
        if !allowed.contains(region) {
            return Err(RouteError::Forbidden);
        }
        Ok(Route { regions: RegionSet::only(region), pinned: true })
    }
}

/// Which regions may hold an id, as far as the request and its caller say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    regions: RegionSet,
    pinned: bool,
}

impl Route {
    /// The route to one region, as if a request had named it.
    pub const fn to(region: RegionId) -> Self {
        Self { regions: RegionSet::only(region), pinned: true }
    }

    /// The regions that may be asked.
    pub const fn regions(self) -> RegionSet {
        self.regions
    }

    /// Whether the caller named the region.
    pub const fn is_pinned(self) -> bool {
        self.pinned
    }
}

/// Why a pin makes no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No region has that name.
    Unknown,
    /// The caller may not use that region.
    Forbidden,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions() -> Regions {
        Regions::new(["my", "ph", "sg"].map(|name| RegionName::parse(name).unwrap()))
    }

    #[test]
    fn a_pin_is_a_route_of_one_region_that_the_caller_may_use() {
        let regions = regions();
        let my = regions.find("my").unwrap();
        let route = regions.route(Some("my"), regions.all()).unwrap();
        assert_eq!((route.regions(), route.is_pinned()), (RegionSet::only(my), true));
        assert_eq!(regions.route(Some("xx"), regions.all()), Err(RouteError::Unknown));
        assert_eq!(regions.route(Some("ph"), RegionSet::only(my)), Err(RouteError::Forbidden));
    }

    #[test]
    fn sets_keep_the_probing_order() {
        let regions = regions();
        let order: Vec<_> = regions.all().iter().map(|region| regions.name(region).as_str()).collect();
        assert_eq!(order, ["my", "ph", "sg"]);
    }

    #[test]
    fn presets_name_the_vendors_hosts() {
        let url = |name| RegionName::parse(name).unwrap().preset_base_url();
        assert_eq!(url("id"), Some("https://api.advance.ai"));
        assert_eq!(url("vn"), Some("https://vn-api.advance.ai"));
        assert_eq!(url("mex"), None);
    }
}
