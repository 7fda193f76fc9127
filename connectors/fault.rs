//! Errors classed by what to do about them, because the gateway, not the adapter, decides when to try again.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// It may work the next time: back off and try again.
    Transient,
    /// The source asks us to slow down: wait as long as it says.
    RateLimited,
    /// The source does not let us in: an admin must act.
    Authentication,
    /// The connector's settings cannot work: an admin must act.
    Configuration,
    /// The source answers in a way that trying again will not change: an admin must look.
    Permanent,
}

impl FaultClass {
    /// The name under which the class is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Authentication => "authentication",
            Self::Configuration => "configuration",
            Self::Permanent => "permanent",
        }
    }

    /// Whether a person must act before it can work again.
    pub fn needs_a_person(self) -> bool {
        matches!(self, Self::Authentication | Self::Configuration | Self::Permanent)
    }
}

/// A failure of a source, told so that the admin knows what happened and what to do. Holds nothing personal and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// What to do about it.
    pub class: FaultClass,
    /// What happened, in words.
    pub message: String,
    /// What the admin can do, in words.
    pub remedy: Option<String>,
    /// How long the source asks us to wait.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault of a class, with what happened.
    pub fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), remedy: None, retry_after: None }
    }

    /// It may work the next time.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Transient, message)
    }

    /// The source asks us to slow down.
    pub fn rate_limited(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..Self::new(FaultClass::RateLimited, message) }
    }

    /// The source does not let us in.
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Authentication, message)
    }

    /// The settings cannot work.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Configuration, message)
    }

    /// Trying again will not change it.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(FaultClass::Permanent, message)
    }

    /// Adds what the admin can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(formatter, "; {remedy}"),
            None => Ok(()),
        }
    }
}
