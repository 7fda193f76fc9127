//! The kinds of alarms, and their words.

use connectors::entry::ConnectorName;
use serde::{Deserialize, Serialize};

use crate::ids::EntryId;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A connector cannot work until a person acts: authentication, configuration, an answer that does not change.
    ConnectorFailing,
    /// A connector's source has not answered well for long, whatever its state says.
    ConnectorStale,
    /// A channel answers well and brings nothing, against its own habit.
    ConnectorSilent,
    /// A source holds what was not stored.
    Missing,
    /// Somebody reports danger to life, or a fire, or a crime under way (Article 7(3)).
    Emergency,
    /// A notice came back: the petitioner was not told.
    NoticeBounced,
    /// Notices could not leave and are not tried again.
    NoticeFailed,
    /// There is no way back to petitioners who must be told: telephone (Article 13(3)).
    NoticeUnroutable,
    /// Tickets that nobody took over lie among the dead letters.
    DeadLetters,
    /// A stage runs at no gateway.
    StageStopped,
    /// The working days of the time ahead are not known.
    CalendarEnding,
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::ConnectorFailing,
        Self::ConnectorStale,
        Self::ConnectorSilent,
        Self::Missing,
        Self::Emergency,
        Self::NoticeBounced,
        Self::NoticeFailed,
        Self::NoticeUnroutable,
        Self::DeadLetters,
        Self::StageStopped,
        Self::CalendarEnding,
    ];

    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectorFailing => "connector_failing",
            Self::ConnectorStale => "connector_stale",
            Self::ConnectorSilent => "connector_silent",
            Self::Missing => "missing",
            Self::Emergency => "emergency",
            Self::NoticeBounced => "notice_bounced",
            Self::NoticeFailed => "notice_failed",
            Self::NoticeUnroutable => "notice_unroutable",
            Self::DeadLetters => "dead_letters",
            Self::StageStopped => "stage_stopped",
            Self::CalendarEnding => "calendar_ending",
        }
    }

    /// What it is called.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::ConnectorFailing => "接入点故障",
            Self::ConnectorStale => "接入点长时间未读通",
            Self::ConnectorSilent => "渠道异常静默",
            Self::Missing => "对账缺件",
            Self::Emergency => "紧急情况",
            Self::NoticeBounced => "告知被退回",
            Self::NoticeFailed => "告知发送失败",
            Self::NoticeUnroutable => "告知无法送达",
            Self::DeadLetters => "死信",
            Self::StageStopped => "环节停止",
            Self::CalendarEnding => "工作日历将尽",
        }
    }

    /// The kind with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it has happened and is over only when a person acknowledges it; others clear when their cause is gone.
    pub fn is_event(self) -> bool {
        matches!(self, Self::Emergency | Self::NoticeBounced | Self::NoticeFailed | Self::NoticeUnroutable)
    }
}

/// An alarm to be raised. Its words hold nothing personal: they go to logs and telephones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlarm {
    /// What it is about.
    pub kind: AlarmKind,
    /// What it concerns: the name of a connector, an entry, a stage; empty for the gateway as a whole. One alarm is open for
    /// a kind and a subject.
    pub subject: String,
    /// The connector, where there is one.
    pub connector: Option<ConnectorName>,
    /// What happened and what to do, in Chinese.
    pub chinese: String,
    /// The same in English.
    pub english: String,
}

impl NewAlarm {
    /// An alarm about a connector.
    pub fn of_connector(
        kind: AlarmKind,
        name: &ConnectorName,
        chinese: impl Into<String>,
        english: impl Into<String>,
    ) -> Self {
        let (subject, connector) = (name.to_string(), Some(name.clone()));
        Self { kind, subject, connector, chinese: chinese.into(), english: english.into() }
    }

    /// An alarm about one entry: each entry has its own.
    pub fn of_entry(
        kind: AlarmKind,
        entry: EntryId,
        connector: &ConnectorName,
        chinese: impl Into<String>,
        english: impl Into<String>,
    ) -> Self {
        let (subject, connector) = (entry.to_string(), Some(connector.clone()));
        Self { kind, subject, connector, chinese: chinese.into(), english: english.into() }
    }

    /// An alarm about the gateway, or a part of it.
    pub fn of_gateway(
        kind: AlarmKind,
        subject: impl Into<String>,
        chinese: impl Into<String>,
        english: impl Into<String>,
    ) -> Self {
        Self { kind, subject: subject.into(), connector: None, chinese: chinese.into(), english: english.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in AlarmKind::ALL {
            assert_eq!(AlarmKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        let words: BTreeSet<_> = AlarmKind::ALL.map(AlarmKind::chinese).into_iter().collect();
        assert_eq!(words.len(), AlarmKind::ALL.len());
    }
}
