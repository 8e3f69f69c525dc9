//! Where the upstream's answers leave the contract we know. Counted, never fatal.

/// One way of leaving the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl DriftKind {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::UnknownField,
        Self::UnknownValue,
        Self::UnknownCode,
        Self::TypeMismatch,
        Self::Conflict,
        Self::MissingId,
        Self::IdMismatch,
    ];

    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::UnknownValue => "unknown_value",
            Self::UnknownCode => "unknown_code",
            Self::TypeMismatch => "type_mismatch",
            Self::Conflict => "conflict",
            Self::MissingId => "missing_id",
            Self::IdMismatch => "id_mismatch",
        }
    }
}

/// How often each kind was seen in one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift([u32; DriftKind::ALL.len()]);

impl Drift {
    /// Counts one.
    pub fn add(&mut self, kind: DriftKind) {
        self.0[kind as usize] += 1;
    }

    /// How often `kind` was seen.
    pub const fn count(&self, kind: DriftKind) -> u32 {
        self.0[kind as usize]
    }

    /// The kinds that were seen, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (DriftKind, u32)> {
        DriftKind::ALL.into_iter().map(|kind| (kind, self.count(kind))).filter(|(_, count)| *count > 0)
    }
}
