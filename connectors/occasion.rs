//! On what occasion a petitioner is told something (告知): what became of the item that is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a message to the petitioner is about: what became of the item that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A ticket was opened.
    Receipt,
    /// The same petitioner said the same again: it joined a ticket.
    Repeat,
    /// Another petitioner had said the same: it joined a ticket.
    CoReport,
    /// It told something new about a ticket, and joined it.
    FollowUp,
    /// 引导 (Article 7).
    Guidance,
    /// 不予受理 (Article 8).
    Refusal,
    /// 待人工: a person looks at it.
    Held,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: [Self; 7] =
        [Self::Receipt, Self::Repeat, Self::CoReport, Self::FollowUp, Self::Guidance, Self::Refusal, Self::Held];

    /// The name by which it is stored, and that settings use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Repeat => "repeat",
            Self::CoReport => "co_report",
            Self::FollowUp => "follow_up",
            Self::Guidance => "guidance",
            Self::Refusal => "refusal",
            Self::Held => "held",
        }
    }

    /// The occasion with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|occasion| occasion.as_str() == name)
    }
}
