//! The words in which people read states, places and times.

use std::time::Duration;

use connectors::complaint::Channel;
use jiesu::{
    assess::Urgency,
    issue::{Relation, hotline_zone},
    store::{
        connectors::{Health, HealthState, StoredConnector},
        notices::NoticeState,
        read::Place,
    },
};
use jiff::Timestamp;

pub(crate) fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Phone => "电话",
        Channel::MessageBoard => "留言板",
        Channel::Mailbox => "信箱",
        Channel::BusinessEnvironment => "营商环境",
        Channel::Portal => "门户",
        Channel::Letter => "信件",
    }
}

pub(crate) fn place(place: Place) -> &'static str {
    match place {
        Place::Pending => "待处理",
        Place::Ticket => "工单",
        Place::Guided => "引导",
        Place::Declined => "不予受理",
        Place::Held => "待人工",
        Place::Quarantine => "隔离",
    }
}

pub(crate) fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Normal => "一般",
        Urgency::Utility => "水电气热",
        Urgency::Emergency => "紧急",
    }
}

pub(crate) fn relation(relation: Relation) -> &'static str {
    match relation {
        Relation::Opened => "新开",
        Relation::Repeat => "重复",
        Relation::CoReport => "同类",
        Relation::FollowUp => "补充",
        Relation::Revision => "修订",
        Relation::Copy => "副本",
    }
}

pub(crate) fn notice(state: NoticeState) -> &'static str {
    match state {
        NoticeState::Pending => "待发",
        NoticeState::Sent => "已发",
        NoticeState::Failed => "发送失败",
        NoticeState::Suppressed => "已抑制",
        NoticeState::Unroutable => "无法送达",
    }
}

/// A class of fault, as it was stored.
pub(crate) fn fault_class(class: Option<&str>) -> &'static str {
    match class {
        Some("transient") => "暂时故障",
        Some("rate_limited") => "来源限速",
        Some("authentication") => "认证失败",
        Some("configuration") => "配置有误",
        Some("permanent") => "来源答复异常",
        _ => "故障",
    }
}

/// The step of a check, as adapters call theirs.
pub(crate) fn step(name: &str) -> String {
    let chinese = match name {
        "settings" => "读取设置",
        "normalise" => "准备解析",
        "open" => "建立读取端",
        "reach" => "连通",
        "reach and authenticate" => "连通并登录",
        "read the call records" => "读取话单",
        "authenticate" => "登录",
        "read the list" => "读取列表",
        "read an item's own page" => "读取详情页",
        "read one item" => "试读一件",
        "what one item would become" => "试判一件",
        "list the folder" => "查看文件夹",
        "look at the done folder" => "查看归档文件夹",
        "read the secret" => "读取密钥",
        "read the mapping" => "读取字段映射",
        "answer" => "回复通道",
        other => return other.to_owned(),
    };
    format!("{chinese} {name}")
}

/// A moment in the hotline's own time; the year only where it is another one.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    let zone = hotline_zone();
    let (local, today) = (zone.to_datetime(at), zone.to_datetime(now));
    let form = if local.year() == today.year() { "%m-%d %H:%M" } else { "%Y-%m-%d %H:%M" };
    local.strftime(form).to_string()
}

/// How long, in its largest unit.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds} 秒"),
        120..=7199 => format!("{} 分钟", seconds / 60),
        7200..=172_799 => format!("{} 小时", seconds / 3600),
        _ => format!("{} 天", seconds / 86400),
    }
}

/// How long ago; nothing where it lies ahead.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// What a connector is doing.
pub(crate) fn state(stored: &StoredConnector, health: Option<&Health>, now: Timestamp) -> String {
    let Some(health) = health else {
        return if stored.enabled { "尚未运行" } else { "已停用" }.to_owned();
    };
    match (stored.enabled, health.state) {
        (false, HealthState::Disabled) => format!("已停用，自 {}", moment(health.since, now)),
        (false, _) => "已停用，网关尚未接手".to_owned(),
        (true, HealthState::Disabled) => "已启用，网关尚未接手".to_owned(),
        (true, HealthState::Running) => "运行中".to_owned(),
        (true, HealthState::Waiting) => "等待".to_owned(),
        (true, HealthState::Retrying) => {
            let class = fault_class(health.last_error_class.as_deref());
            match health.next_attempt_at.map(|next| since(now, next)) {
                Some(wait) if !wait.is_zero() => format!("因{class}，将于 {}后重试", span(wait)),
                _ => format!("因{class}，即将重试"),
            }
        }
        (true, HealthState::Failing) => {
            let class = fault_class(health.last_error_class.as_deref());
            let told = format!("{class}，自 {}", moment(health.since, now));
            match health.next_attempt_at.map(|next| since(now, next)) {
                Some(wait) if !wait.is_zero() => format!("{told}，{}后再试", span(wait)),
                _ => told,
            }
        }
    }
}

/// What the trained model sees.
pub(crate) fn signal(signal: &jiesu::assess::Signal) -> String {
    let what = if signal.urgency == Urgency::Emergency { "像险情" } else { "像水电气暖断供" };
    format!("{what}，{} / 100（{}；版本 {}）", signal.score, signal.words.join("、"), signal.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(enabled: bool) -> StoredConnector {
        StoredConnector {
            name: "mayor-mailbox".parse().unwrap(),
            channel: Channel::Mailbox,
            adapter: "mailbox".to_owned(),
            definition: "{}".to_owned(),
            origin: jiesu::store::connectors::Origin::File,
            enabled,
            generation: 1,
            cursor: None,
            run_requested: false,
        }
    }

    #[test]
    fn states_are_told_in_words() {
        let now: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        let since: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let base = Health::unknown(since);
        let told = |enabled, state, class: Option<&str>, next: Option<&str>| {
            let health = Health {
                state,
                last_error_class: class.map(str::to_owned),
                next_attempt_at: next.map(|next| next.parse().unwrap()),
                ..base.clone()
            };
            super::state(&connector(enabled), Some(&health), now)
        };
        for (enabled, state, class, next, expected) in [
            (true, HealthState::Running, None, None, "运行中"),
            (true, HealthState::Waiting, None, None, "等待"),
            (true, HealthState::Failing, Some("authentication"), None, "认证失败，自 11-23 08:00"),
            (
                true,
                HealthState::Failing,
                Some("configuration"),
                Some("2026-11-23T02:12:00Z"),
                "配置有误，自 11-23 08:00，12 分钟后再试",
            ),
            (
                true,
                HealthState::Retrying,
                Some("transient"),
                Some("2026-11-23T02:00:42Z"),
                "因暂时故障，将于 42 秒后重试",
            ),
            (true, HealthState::Retrying, Some("rate_limited"), Some("2026-11-23T01:00:00Z"), "因来源限速，即将重试"),
            (true, HealthState::Disabled, None, None, "已启用，网关尚未接手"),
            (false, HealthState::Disabled, None, None, "已停用，自 11-23 08:00"),
            (false, HealthState::Running, None, None, "已停用，网关尚未接手"),
        ] {
            assert_eq!(told(enabled, state, class, next), expected);
        }
        assert_eq!(super::state(&connector(true), None, now), "尚未运行");
    }

    #[test]
    fn times_are_the_hotlines() {
        let now: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        assert_eq!(moment("2025-12-31T16:30:00Z".parse().unwrap(), now), "01-01 00:30");
        assert_eq!(moment("2025-12-31T15:30:00Z".parse().unwrap(), now), "2025-12-31 23:30");
        assert_eq!(span(Duration::from_secs(90)), "90 秒");
        assert_eq!(span(Duration::from_secs(7199)), "119 分钟");
        assert_eq!(span(Duration::from_hours(72)), "3 天");
    }
}
