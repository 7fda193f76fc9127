//! The texts of notices, Chinese, one for each occasion. Nothing personal goes into them but the petitioner's own title,
//! masked: they are stored unsealed and pass through mail servers.

use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use crate::{
    assess::{Grounds, Kind},
    number::TicketNumber,
};

/// What a notice is about.
#[derive(Debug, Clone)]
pub enum Occasion<'a> {
    /// A ticket was opened.
    Receipt {
        /// Its number.
        number: TicketNumber,
        /// Its kind, which sets its time.
        kind: Kind,
        /// When it is due.
        complete_due: Option<Timestamp>,
        /// What the petitioner left out and is asked for (Article 13(4)).
        ask: Option<&'a str>,
    },
    /// The same petitioner said the same again.
    Repeat {
        /// The ticket it joined.
        number: TicketNumber,
        /// How often it was said now.
        times: i64,
    },
    /// Another petitioner said the same before.
    CoReport {
        /// The ticket it joined.
        number: TicketNumber,
        /// When it is due.
        complete_due: Option<Timestamp>,
    },
    /// The same petitioner told something new about a ticket, or spoke again after it was due.
    FollowUp {
        /// The ticket it joined.
        number: TicketNumber,
    },
    /// 引导 (Article 7).
    Guidance {
        /// Why, and where to turn.
        grounds: &'a Grounds,
    },
    /// 不予受理 (Article 8), with its reason (Article 13(3)).
    Refusal {
        /// Why.
        grounds: &'a Grounds,
    },
    /// 待人工: a person will look.
    Held {
        /// Why, and what is missing.
        grounds: &'a Grounds,
    },
}

/// A notice, composed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// Which text it is.
    pub template: &'static str,
    /// Title.
    pub subject: String,
    /// Text.
    pub body: String,
}

/// The texts, with what they say of the office.
#[derive(Debug, Clone)]
pub struct Texts {
    /// Name of the office, as it signs.
    pub office: String,
    /// Its telephone number.
    pub phone: String,
    /// The domain of our message ids.
    pub message_domain: String,
    /// The zone that times are told in.
    pub zone: TimeZone,
}

/// Characters of a petitioner's title that are quoted in ours.
const QUOTED_TITLE: usize = 60;

impl Texts {
    /// The id of a message of ours, without angle brackets.
    pub fn message_id(&self, random: Uuid) -> String {
        format!("{}@{}", random.simple(), self.message_domain)
    }

    /// Composes the notice for an occasion about something titled `title`.
    pub fn compose(&self, occasion: &Occasion<'_>, title: Option<&str>) -> Composed {
        let (template, token, lines) = match occasion {
            Occasion::Receipt { number, kind, complete_due, ask } => (
                "receipt",
                Some(number.token()),
                vec![
                    format!("您反映的事项已受理，工单编号 {number}，类别为“{}”。", kind.chinese()),
                    self.due(*complete_due),
                    format!("{}补充情况请直接回复本邮件，或致电时报出工单编号。", ask.unwrap_or_default()),
                ],
            ),
            Occasion::Repeat { number, times } => (
                "repeat",
                Some(number.token()),
                vec![
                    format!("您反映的事项与此前的工单 {number} 相同，已并入该工单，并记录为第 {times} 次重复反映。"),
                    "我们会催促承办单位，不再另开工单。如有新的情况，请直接回复本邮件说明。".to_owned(),
                ],
            ),
            Occasion::CoReport { number, complete_due } => (
                "co_report",
                Some(number.token()),
                vec![
                    format!(
                        "您反映的事项已受理。已有其他市民反映同一问题，您的诉求并入工单 {number} 一并办理，并将单独答复您。"
                    ),
                    self.due(*complete_due),
                ],
            ),
            Occasion::FollowUp { number } => (
                "follow_up",
                Some(number.token()),
                vec![
                    format!(
                        "您反映的事项与此前的工单 {number} 为同一事项，新的情况已补充到该工单，并再次转交承办单位。"
                    ),
                    "如您认为这是另一件事，请直接回复本邮件说明，我们将由工作人员复核。".to_owned(),
                ],
            ),
            Occasion::Guidance { grounds } => (
                "guidance",
                None,
                vec![
                    format!(
                        "根据《辽阳市12345市长热线工作管理办法(试行)》{}，您反映的事项属于引导范围，需请您直接向有关部门反映。",
                        grounds.article.chinese()
                    ),
                    advice(grounds, "如不清楚应向哪个部门反映，请致电本热线。"),
                ],
            ),
            Occasion::Refusal { grounds } => (
                "refusal",
                None,
                vec![
                    format!(
                        "根据《辽阳市12345市长热线工作管理办法(试行)》{}，您反映的事项不属于本热线受理范围，特此告知。",
                        grounds.article.chinese()
                    ),
                    advice(grounds, "如您认为判断有误，请回复本邮件说明，我们将由工作人员复核。"),
                ],
            ),
            Occasion::Held { grounds } => (
                "held",
                None,
                vec![
                    "您的来件已收到，正由工作人员核实，核实后会告知您结果。".to_owned(),
                    advice(grounds, "如需补充时间、地点、当事人、经过等情况，请直接回复本邮件。"),
                ],
            ),
        };
        let title: String = title.unwrap_or("您的来件").chars().take(QUOTED_TITLE).collect();
        let subject = match token {
            Some(token) => format!("{token} 回复：{title}"),
            None => format!("回复：{title}"),
        };
        let body = format!("您好：\n\n{}\n\n{}\n电话：{}\n", lines.join("\n"), self.office, self.phone);
        Composed { template, subject, body }
    }

    fn due(&self, due: Option<Timestamp>) -> String {
        match due {
            Some(due) => {
                let date = self.zone.to_datetime(due).date();
                format!("承办单位应当在 {}年{}月{}日 前答复您（第十五条）。", date.year(), date.month(), date.day())
            }
            None => "承办单位将在规定时限内答复您（第十五条）。".to_owned(),
        }
    }
}

fn advice(grounds: &Grounds, otherwise: &str) -> String {
    grounds.advice.clone().unwrap_or_else(|| otherwise.to_owned())
}
