//! Items that name nobody: the business-environment platforms do not accept them, other channels do. The rule is the
//! channel's, so it is a setting, and a machine holds where no rule is cited.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    complaint::{Complaint, Nameless},
    contract::Mistake,
};

/// The longest citation, in characters.
const MAX_RULE: usize = 200;

/// What becomes of an item that names nobody and leaves no way to reach anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// It is judged as any other.
    Accept,
    /// A person decides.
    #[default]
    Hold,
    /// It is not accepted, by the rule that is cited here and told to whoever asks: the platform's own, with its article.
    Decline(String),
}

impl Anonymous {
    /// The mistakes; pointers start at the setting.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::Decline(rule) if !rule.contains('条') || rule.chars().count() > MAX_RULE => {
                vec![
                    Mistake::new(
                        "/decline",
                        "an item is turned away only by an article that is cited, in 200 characters",
                    )
                    .suggest("anonymous = { decline = \"《…办法》第…条\" }, or \"hold\""),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// Marks a complaint that names nobody.
    pub(crate) fn apply(&self, complaint: &mut Complaint) {
        let petitioner = &complaint.petitioner;
        let named = petitioner.name.is_some()
            || petitioner.organisation.is_some()
            || petitioner.organisation_code.is_some()
            || petitioner.account.is_some()
            || !petitioner.phones.is_empty()
            || !petitioner.emails.is_empty();
        complaint.nameless = match self {
            _ if named => None,
            Self::Accept => None,
            Self::Hold => Some(Nameless::Hold),
            Self::Decline(rule) => Some(Nameless::Decline(rule.clone())),
        };
    }
}
