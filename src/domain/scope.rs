//! Who asks, and what a caller may see or do.

use strum::{EnumIter, EnumString, IntoEnumIterator, IntoStaticStr, VariantNames};

/// A configured caller, by its place in the configuration. It distinguishes callers where they share something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerId(u16);

impl CallerId {
    /// The caller at `index`.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }
}

/// One permission of a caller, in the order of the documentation; its word is its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Scope {
    /// See the checks behind the decision.
    Checks = 1,
    /// See who the person is.
    Identity = 1 << 1,
    /// See links to images and videos.
    Media = 1 << 2,
    /// Ask the upstream again with `Cache-Control: no-cache`.
    Refresh = 1 << 3,
    /// Forget an id with `DELETE`.
    Purge = 1 << 4,
}

/// A set of scopes. The empty set sees the decision alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// No scope.
    pub const NONE: Self = Self(0);
    /// Every scope.
    pub const ALL: Self = Self(0b1_1111);

    /// The scopes that show something; the others let a caller do something.
    pub const SHOWING: Self = Self::NONE.with(Scope::Checks).with(Scope::Identity).with(Scope::Media);

    /// The scopes that are in this set and in `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This set and `scope`.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope as u8)
    }

    /// Whether `scope` is in this set.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope as u8 != 0
    }

    /// The names of the scopes in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Scope::iter().filter(move |scope| self.contains(*scope)).map(Into::into)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}
