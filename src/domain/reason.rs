//! Why a verification did not pass: the closed set of reasons, and what each means for the person.
//!
//! The codes are the vendor's table of `errorCode` values for get-result.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

/// Why a verification did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the codes are the vendor's own words; `message` says what each means")]
pub enum Reason {
    LivenessAttack,
    IdForgeryDetected,
    SimilarityFail,
    StrategyHit,
    NoFaceDetected,
    CardInfoMismatch,
    NoSupportedCard,
    NoSupportedCardCustomized,
    CardTypeMismatch,
    CardLowQualityImage,
    IncompletedCard,
    TooManyCards,
    CardNotFound,
    OcrNoResult,
    UserTimeout,
    ParameterError,
    Error,
    Other,
}

/// What kind of reason it is; its word is what callers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Category {
    /// Somebody tried to deceive.
    Fraud,
    /// The face did not match.
    Face,
    /// A rule of the account.
    Policy,
    /// The document or its image.
    Document,
    /// The person did not finish.
    User,
    /// The vendor's system.
    System,
    /// Not known to this gateway.
    Other,
}

impl Reason {
    /// The reason for one of the vendor's words, whatever the case. `None` if the word is not in its table.
    ///
    /// The vendor's samples say `NOT_SUPPORTED_CARD` where its table says `NO_SUPPORTED_CARD`.
    pub fn from_word(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("NOT_SUPPORTED_CARD") {
            return Some(Self::NoSupportedCard);
        }
        Self::iter().find(|reason| *reason != Self::Other && reason.code().eq_ignore_ascii_case(word))
    }

    /// The code callers read.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// What kind of reason it is.
    pub const fn category(self) -> Category {
        match self {
            Self::LivenessAttack | Self::IdForgeryDetected => Category::Fraud,
            Self::SimilarityFail => Category::Face,
            Self::StrategyHit => Category::Policy,
            Self::NoFaceDetected
            | Self::CardInfoMismatch
            | Self::NoSupportedCard
            | Self::NoSupportedCardCustomized
            | Self::CardTypeMismatch
            | Self::CardLowQualityImage
            | Self::IncompletedCard
            | Self::TooManyCards
            | Self::CardNotFound
            | Self::OcrNoResult => Category::Document,
            Self::UserTimeout => Category::User,
            Self::ParameterError | Self::Error => Category::System,
            Self::Other => Category::Other,
        }
    }

    /// Whether a new attempt by the same person can help.
    pub const fn user_can_retry(self) -> bool {
        match self.category() {
            Category::Face | Category::Document | Category::User | Category::System => true,
            Category::Fraud | Category::Policy | Category::Other => false,
        }
    }

    /// One sentence for the people who read the answer.
    pub const fn message(self) -> &'static str {
        match self {
            Self::LivenessAttack => "The face capture did not come from a live person.",
            Self::IdForgeryDetected => "The document appears to be forged.",
            Self::SimilarityFail => "The face does not match the portrait on the document.",
            Self::StrategyHit => "A security policy of the account refused this verification.",
            Self::NoFaceDetected => "No face was found on the front of the document.",
            Self::CardInfoMismatch => "The front and the back of the document do not belong together.",
            Self::NoSupportedCard => "The document is of a kind that is not supported.",
            Self::NoSupportedCardCustomized => "The document is of a known kind that is not supported yet.",
            Self::CardTypeMismatch => "The document is of another kind than the one asked for.",
            Self::CardLowQualityImage => "The images of the document are too poor to read.",
            Self::IncompletedCard => "The document is not whole in its images.",
            Self::TooManyCards => "More than one document is in the image.",
            Self::CardNotFound => "No document was found in the image.",
            Self::OcrNoResult => "Nothing could be read from the document.",
            Self::UserTimeout => "The person did not finish in time.",
            Self::ParameterError => "The vendor's capture page sent data that its service refused.",
            Self::Error => "The vendor's service failed while it processed this verification.",
            Self::Other => "The upstream gave no reason that this gateway knows.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_table_is_found_by_its_word() {
        for reason in Reason::iter().filter(|reason| *reason != Reason::Other) {
            assert_eq!(Reason::from_word(reason.code()), Some(reason));
        }
        assert_eq!(Reason::from_word("NOT_SUPPORTED_CARD"), Some(Reason::NoSupportedCard));
        assert_eq!(Reason::from_word("OTHER"), None, "our own word is not the vendor's");
        assert_eq!(Reason::from_word("SUCCESS"), None);
    }

    #[test]
    fn fraud_policy_and_the_unknown_cannot_be_retried_by_the_person() {
        let hopeless: Vec<_> =
            Reason::iter().filter(|reason| !reason.user_can_retry()).map(Reason::code).collect();
        assert_eq!(hopeless, ["LIVENESS_ATTACK", "ID_FORGERY_DETECTED", "STRATEGY_HIT", "OTHER"]);
    }
}
