//! What is wrong now: every condition, told from what is known of the connectors and stages. Pure.

use std::{collections::BTreeMap, time::Duration};

use connectors::entry::ConnectorName;
use jiff::Timestamp;

use super::{
    AlarmKind, NewAlarm,
    silence::{Heard, Judgement, SilenceRules, judge},
};
use crate::{
    calendar::Calendar,
    config,
    store::connectors::{Health, HealthState},
};

/// What is known of a connector that is switched on.
#[derive(Debug, Clone)]
pub struct Watched<'a> {
    /// Its name.
    pub name: &'a ConnectorName,
    /// How it fares; nothing where it never ran.
    pub health: Option<&'a Health>,
    /// How often its source is asked; nothing where the source sends by itself.
    pub every: Option<Duration>,
    /// Hours without an entry that are a silence whatever the habit.
    pub silence_hours: Option<u32>,
    /// Entries by hour.
    pub hours: &'a BTreeMap<i64, i64>,
    /// Since when it is watched.
    pub since: Timestamp,
}

impl Watched<'_> {
    /// What is wrong with it.
    pub fn conditions(&self, settings: &config::Alarms, calendar: &Calendar, now: Timestamp) -> Vec<NewAlarm> {
        let mut alarms = Vec::new();
        let failing = self.health.filter(|health| health.state == HealthState::Failing);
        alarms.extend(failing.map(|health| self.failing(health)));
        let stale = self.stale(settings, now);
        let answers = failing.is_none() && stale.is_none();
        alarms.extend(stale);
        // One that does not answer brings nothing for that reason, which was told.
        if answers {
            alarms.extend(self.silent(settings, calendar, now));
        }
        alarms
    }

    fn failing(&self, health: &Health) -> NewAlarm {
        let error = health.last_error.as_deref().unwrap_or("—");
        let name = self.name;
        NewAlarm::of_connector(
            AlarmKind::ConnectorFailing,
            name,
            format!("接入点 {name} 无法工作，须由人处理：{error}。用 jiesu connector test {name} 逐步检查。"),
            format!("connector {name} cannot work until a person acts: {error}; try jiesu connector test {name}"),
        )
    }

    fn stale(&self, settings: &config::Alarms, now: Timestamp) -> Option<NewAlarm> {
        let patience = self.every?.saturating_mul(u32::try_from(settings.stale_times).unwrap_or(u32::MAX));
        let patience = patience.max(Duration::from_mins(settings.stale_minutes));
        let last = self.health.and_then(|health| health.last_success_at);
        // A gateway that was down has nothing to reproach its sources with.
        let since = last.map_or(self.since, |last| last.max(self.since));
        let gap = since_then(since, now);
        if gap < patience {
            return None;
        }
        let (name, minutes) = (self.name, gap.as_secs() / 60);
        let error = self.health.and_then(|health| health.last_error.as_deref()).unwrap_or("—");
        Some(NewAlarm::of_connector(
            AlarmKind::ConnectorStale,
            name,
            format!("接入点 {name} 已 {minutes} 分钟未读通，最近错误：{error}。"),
            format!("connector {name} has not been read for {minutes} minutes; last error: {error}"),
        ))
    }

    fn silent(&self, settings: &config::Alarms, calendar: &Calendar, now: Timestamp) -> Option<NewAlarm> {
        let seconds = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let rules = SilenceRules {
            weeks: settings.silence_weeks,
            odds: f64::from(u32::try_from(settings.silence_odds).unwrap_or(u32::MAX)),
            at_least: seconds(settings.silence_minutes.saturating_mul(60)),
            limit: self.silence_hours.map(|hours| i64::from(hours) * 3600),
        };
        let last_entry = self.health.and_then(|health| health.last_entry_at);
        let heard = Heard { hours: self.hours, last_entry, watched_since: self.since };
        let Judgement::Silent { since, usually } = judge(&heard, &rules, calendar, now) else { return None };
        let (name, hours) = (self.name, since_then(since, now).as_secs() / 3600);
        Some(NewAlarm::of_connector(
            AlarmKind::ConnectorSilent,
            name,
            format!(
                "接入点 {name} 应答正常，但已 {hours} 小时没有来件，同样时段平时约有 {usually:.0} 件。请查看来源一侧是否正常。"
            ),
            format!(
                "connector {name} answers and has brought nothing for {hours} hours, in which about {usually:.0} entries \
                 are usual; look whether its source still receives what citizens send"
            ),
        ))
    }
}

fn since_then(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// Tickets that nobody took over.
pub fn dead_letters(count: i64) -> Option<NewAlarm> {
    (count > 0).then(|| {
        NewAlarm::of_gateway(
            AlarmKind::DeadLetters,
            "queue",
            format!("中央队列有 {count} 件死信，办理系统多次未能接收。用 jiesu queue dead 查看原因，修复后 jiesu queue requeue。"),
            format!("{count} tickets lie among the dead letters: see jiesu queue dead, mend the consumer, requeue them"),
        )
    })
}

/// A stage that no gateway runs.
pub fn stage_stopped(stage: &str) -> NewAlarm {
    NewAlarm::of_gateway(
        AlarmKind::StageStopped,
        stage,
        format!("没有网关在运行环节 {stage}。查看网关日志，必要时重启。"),
        format!("no gateway runs the stage {stage}: see the log, and restart where it does not come back"),
    )
}

/// Days before the end of the known calendar at which it is told.
const CALENDAR_DAYS: i64 = 30;

/// The working days of the time ahead, where they are not known.
pub fn calendar_ending(calendar: &Calendar, now: Timestamp) -> Option<NewAlarm> {
    let ahead = now.checked_add(Duration::from_hours(24 * CALENDAR_DAYS.unsigned_abs())).ok()?;
    let year = crate::issue::hotline_zone().to_datetime(ahead).year();
    if calendar.last_year().is_some_and(|last| last >= year) {
        return None;
    }
    Some(NewAlarm::of_gateway(
        AlarmKind::CalendarEnding,
        year.to_string(),
        format!("{year} 年工作日安排未知，跨年工单将没有办结期限。请按国务院办公厅放假通知填入日历文件并重启。"),
        format!(
            "the working days of {year} are not known, so tickets that reach into it have no due time: put the State \
                 Council's notice into the calendar file and restart"
        ),
    ))
}

/// Petitioners whom a person must telephone (Article 13(3)).
pub fn unroutable(before: i64, now: i64) -> Option<NewAlarm> {
    (now > before).then(|| {
        let new = now - before;
        NewAlarm::of_gateway(
            AlarmKind::NoticeUnroutable,
            "notices",
            format!("新增 {new} 件告知无法送达（共 {now} 件），须由人工电话告知（第十三条第三项）。用 jiesu notice list --state unroutable 查看。"),
            format!("{new} more notices cannot be sent ({now} in all): telephone them, Article 13(3); \
                     jiesu notice list --state unroutable"),
        )
    })
}

#[cfg(test)]
mod tests {
    use connectors::fault::FaultClass;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn kinds(health: &Health, every: Option<Duration>, since: Timestamp, now: Timestamp) -> Vec<AlarmKind> {
        let name = "mayor-mailbox".parse().unwrap();
        let none = BTreeMap::new();
        let health = Some(health);
        let watched = Watched { name: &name, health, every, silence_hours: Some(48), hours: &none, since };
        let alarms = watched.conditions(&config::Alarms::default(), &Calendar::shipped(), now);
        assert!(alarms.iter().all(|alarm| alarm.subject == "mayor-mailbox" && alarm.chinese.contains("mayor-mailbox")));
        alarms.into_iter().map(|alarm| alarm.kind).collect()
    }

    #[test]
    fn a_source_that_does_not_answer_for_long_is_an_alarm() {
        let start: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        let mut health = Health::unknown(start);
        health.succeeded(start);
        health.last_entry_at = Some(start);
        let every = Some(MINUTE);
        // Ten times a minute is less than the quarter of an hour that is waited at least.
        assert_eq!(kinds(&health, every, start, start + MINUTE * 14), []);
        assert_eq!(kinds(&health, every, start, start + MINUTE * 15), [AlarmKind::ConnectorStale]);
        assert_eq!(kinds(&health, Some(MINUTE * 30), start, start + MINUTE * 299), []);
        assert_eq!(kinds(&health, Some(MINUTE * 30), start, start + MINUTE * 300), [AlarmKind::ConnectorStale]);
        // Whatever its state says: running, or failing and tried again.
        health.enter(HealthState::Running, start);
        assert_eq!(kinds(&health, every, start, start + MINUTE * 20), [AlarmKind::ConnectorStale]);
        // A gateway that was down until now reproaches nobody; one that is pushed to is not asked.
        assert_eq!(kinds(&health, every, start + MINUTE * 19, start + MINUTE * 20), []);
        assert_eq!(kinds(&health, None, start, start + MINUTE * 20), []);
        // One that never answered is measured from when it was switched on.
        assert_eq!(kinds(&Health::unknown(start), every, start, start + MINUTE * 15), [AlarmKind::ConnectorStale]);
    }

    #[test]
    fn a_connector_that_needs_a_person_is_an_alarm_and_no_silence_beside_it() {
        let start: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        let mut health = Health::unknown(start);
        health.failed(FaultClass::Authentication, "the login is refused".to_owned(), start);
        health.enter(HealthState::Failing, start);
        let later = start + Duration::from_hours(100);
        assert_eq!(kinds(&health, None, start, start + MINUTE), [AlarmKind::ConnectorFailing]);
        assert_eq!(kinds(&health, None, start, later), [AlarmKind::ConnectorFailing]);
        health.enter(HealthState::Waiting, start);
        health.succeeded(later);
        assert_eq!(kinds(&health, None, start, later), [AlarmKind::ConnectorSilent], "its hard limit is 48 hours");
    }

    #[test]
    fn a_calendar_that_ends_is_told_a_month_before() {
        let calendar = Calendar::parse("2026\tyear\n").unwrap();
        let at = |text: &str| calendar_ending(&calendar, text.parse().unwrap()).map(|alarm| alarm.subject);
        assert_eq!(at("2026-11-30T00:00:00Z"), None);
        assert_eq!(at("2026-12-03T00:00:00Z"), Some("2027".to_owned()));
    }

    #[test]
    fn only_new_unroutable_notices_are_told() {
        assert!(unroutable(2, 2).is_none() && unroutable(3, 1).is_none());
        assert!(unroutable(2, 5).is_some_and(|alarm| alarm.english.contains("3 more")));
        assert!(dead_letters(0).is_none() && dead_letters(1).is_some());
    }
}
