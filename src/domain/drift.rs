//! Where the upstream's answers leave the contract we know. Counted, never fatal.

use enum_map::{Enum, EnumMap};
use strum::IntoStaticStr;

/// One way of leaving the contract; its word is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DriftKind {
    /// A field we do not know.
    UnknownField,
    /// A word or value we do not know.
    UnknownValue,
    /// An envelope or error code we do not know.
    UnknownCode,
    /// A value of another type than documented.
    TypeMismatch,
    /// Two parts of an answer, or two answers, contradict each other.
    Conflict,
    /// A final answer that does not name its id.
    MissingId,
    /// An answer about another id.
    IdMismatch,
}

/// How often each kind was seen in one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift(EnumMap<DriftKind, u32>);

impl Drift {
    /// Counts one.
    pub fn add(&mut self, kind: DriftKind) {
        self.0[kind] += 1;
    }

    /// How often `kind` was seen.
    pub fn count(&self, kind: DriftKind) -> u32 {
        self.0[kind]
    }

    /// The kinds that were seen, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (DriftKind, u32)> {
        self.0.into_iter().filter(|(_, count)| *count > 0)
    }
}
