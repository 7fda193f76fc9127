//! The sections by which the gateway looks after itself: alarms, and comparing what sources hold with what was stored.

use connectors::{contract::Mistake, entry::ConnectorName, secret::SecretRef};
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::{Config, validate::within};

/// Telling the operator (design promise 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alarms {
    /// Seconds between two looks at the connectors and stages, 1 to 3600.
    pub look_seconds: u64,
    /// A source that is asked raises an alarm when it has not answered well for so many times its `every_seconds`, 2 to
    /// 1000…
    pub stale_times: u64,
    /// …and for so many minutes at least, 1 to 10080 (a week).
    pub stale_minutes: u64,
    /// Weeks of habit before a channel's silence is judged by it, 1 to 8.
    pub silence_weeks: u32,
    /// A channel is silent where one gap in so many would be chance, 100 to 1000000000.
    pub silence_odds: u64,
    /// Minutes below which no gap is a silence, 10 to 10080.
    pub silence_minutes: u64,
    /// Attempts to tell one target of one alarm, 1 to 100.
    pub max_attempts: u32,
    /// Where the duty desk is told over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Where the duty desk is told by mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<AlarmMail>,
}

impl Default for Alarms {
    fn default() -> Self {
        Self {
            look_seconds: 30,
            stale_times: 10,
            stale_minutes: 15,
            silence_weeks: 3,
            silence_odds: 100_000,
            silence_minutes: 60,
            max_attempts: 8,
            webhook: None,
            mail: None,
        }
    }
}

/// A duty desk that is told over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its address: a secret, since the addresses of chat robots carry their key.
    pub address: SecretRef,
    /// Its bearer token, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// What is sent.
    #[serde(default)]
    pub form: WebhookForm,
}

/// What a duty desk is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookForm {
    /// One JSON object with every field of the alarm.
    #[default]
    Json,
    /// A text message as the robots of 企业微信 and 钉钉 take it.
    Robot,
    /// A text message as the robots of 飞书 take it.
    Feishu,
}

/// A duty desk that is told by mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmMail {
    /// The connector that carries it.
    pub through: ConnectorName,
    /// To whom.
    pub to: String,
}

/// Comparing what sources hold with what was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// When it is done each night, by the hotline's clock; `"off"` for never.
    pub at: Nightly,
    /// Days that are compared, 1 to 366.
    pub days: u32,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self { at: Nightly(Some(Time::constant(3, 30, 0, 0))), days: 3 }
    }
}

/// A time of day, written `03:30`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nightly(pub Option<Time>);

impl TryFrom<String> for Nightly {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "off" {
            return Ok(Self(None));
        }
        let time = text.split_once(':').and_then(|(hour, minute)| {
            let number = |digits: &str| (digits.len() == 2).then(|| digits.parse::<i8>().ok()).flatten();
            Time::new(number(hour)?, number(minute)?, 0, 0).ok()
        });
        time.map(|time| Self(Some(time))).ok_or("expected a time of day, as 03:30, or off")
    }
}

impl From<Nightly> for String {
    fn from(Nightly(at): Nightly) -> Self {
        at.map_or_else(|| "off".to_owned(), |at| format!("{:02}:{:02}", at.hour(), at.minute()))
    }
}

/// What cannot work in these sections.
pub(super) fn mistakes(config: &Config) -> Vec<Mistake> {
    let Alarms { look_seconds, stale_times, stale_minutes, silence_weeks, silence_odds, silence_minutes, .. } =
        config.alarms;
    let bounds = [
        within("/alarms/look_seconds", look_seconds, 1, 3600),
        within("/alarms/stale_times", stale_times, 2, 1000),
        within("/alarms/stale_minutes", stale_minutes, 1, 10_080),
        within("/alarms/silence_weeks", silence_weeks.into(), 1, 8),
        within("/alarms/silence_odds", silence_odds, 100, 1_000_000_000),
        within("/alarms/silence_minutes", silence_minutes, 10, 10_080),
        within("/alarms/max_attempts", config.alarms.max_attempts.into(), 1, 100),
        within("/reconcile/days", config.reconcile.days.into(), 1, 366),
    ];
    let mut mistakes: Vec<Mistake> = bounds.into_iter().flatten().collect();
    if let Some(mail) = &config.alarms.mail {
        if !config.connectors.iter().any(|connector| connector.name == mail.through) {
            let mistake = Mistake::new("/alarms/mail/through", format!("there is no connector named {}", mail.through));
            mistakes.push(mistake.suggest("name a mail connector of this file that has an [smtp] table"));
        }
        if !mail.to.contains('@') || mail.to.contains(char::is_whitespace) {
            mistakes.push(Mistake::new("/alarms/mail/to", "is no mail address").suggest("zhiban@example.gov.cn"));
        }
    }
    mistakes
}
