//! What assessing an entry comes to. Every value says which article of 辽市政发〔2017〕58号 it rests on.

use std::{fmt, str::FromStr};

use connectors::complaint::{Attachment, Complaint, Stamp};
use serde::{Deserialize, Serialize};

/// An article of the regulation, with its clause where one is meant: `8(1)` is 第八条第(一)项.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Article {
    /// 条.
    pub number: u8,
    /// 项.
    pub clause: Option<u8>,
}

/// A text does not name an article.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no article of the regulation: write it as \"8\" or \"8(1)\", from 1 to 28")]
pub struct BadArticle(String);

impl Article {
    /// An article.
    pub const fn new(number: u8) -> Self {
        Self { number, clause: None }
    }

    /// A clause of an article.
    pub const fn clause(number: u8, clause: u8) -> Self {
        Self { number, clause: Some(clause) }
    }

    /// The article as notices cite it: 第八条第(一)项.
    pub fn chinese(self) -> String {
        let number = chinese_number(self.number);
        match self.clause {
            Some(clause) => format!("第{number}条第({})项", chinese_number(clause)),
            None => format!("第{number}条"),
        }
    }
}

fn chinese_number(number: u8) -> String {
    const DIGITS: [&str; 10] = ["", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    let (tens, ones) = (usize::from(number / 10), usize::from(number % 10));
    let tens_text = match tens {
        0 => String::new(),
        1 => "十".to_owned(),
        _ => format!("{}十", DIGITS[tens % 10]),
    };
    format!("{tens_text}{}", DIGITS[ones])
}

impl fmt::Display for Article {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clause {
            Some(clause) => write!(formatter, "{}({clause})", self.number),
            None => write!(formatter, "{}", self.number),
        }
    }
}

impl FromStr for Article {
    type Err = BadArticle;

    fn from_str(text: &str) -> Result<Self, BadArticle> {
        let bad = || BadArticle(text.chars().take(20).collect());
        let (number, clause) = match text.split_once('(') {
            Some((number, rest)) => {
                let clause = rest.strip_suffix(')').and_then(|clause| clause.parse().ok()).ok_or_else(bad)?;
                (number, Some(clause))
            }
            None => (text, None),
        };
        let number: u8 = number.parse().map_err(|_| bad())?;
        if (1..=28).contains(&number) && clause.is_none_or(|clause| (1..=20).contains(&clause)) {
            Ok(Self { number, clause })
        } else {
            Err(bad())
        }
    }
}

impl TryFrom<String> for Article {
    type Error = BadArticle;

    fn try_from(text: String) -> Result<Self, BadArticle> {
        text.parse()
    }
}

impl From<Article> for String {
    fn from(article: Article) -> Self {
        article.to_string()
    }
}

/// What screening decided (受理结论).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// 受理 (Article 6).
    Accept,
    /// 引导 (Article 7).
    Guide,
    /// 不予受理 (Article 8; Article 6 for what no citizen wrote).
    Decline,
    /// 待人工: a person decides.
    Hold,
}

impl Disposition {
    /// Every disposition.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Guide, Self::Decline, Self::Hold];

    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Guide => "guide",
            Self::Decline => "decline",
            Self::Hold => "hold",
        }
    }

    /// The Chinese word of the design.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Accept => "受理",
            Self::Guide => "引导",
            Self::Decline => "不予受理",
            Self::Hold => "待人工",
        }
    }

    /// The disposition with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|disposition| disposition.as_str() == name)
    }
}

/// The four kinds of request of Article 15, each with its time to completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 政务咨询, Article 15(1).
    Consult,
    /// 意见建议, Article 15(2).
    Suggest,
    /// 社会求助, Article 15(3).
    Help,
    /// 投诉举报, Article 15(4).
    Complain,
}

impl Kind {
    /// Every kind, shortest time first.
    pub const ALL: [Self; 4] = [Self::Consult, Self::Suggest, Self::Help, Self::Complain];

    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consult => "consult",
            Self::Suggest => "suggest",
            Self::Help => "help",
            Self::Complain => "complain",
        }
    }

    /// The words of Article 15.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Consult => "政务咨询",
            Self::Suggest => "意见建议",
            Self::Help => "社会求助",
            Self::Complain => "投诉举报",
        }
    }

    /// The kind with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Working days to completion (Article 15).
    pub fn working_days(self) -> u8 {
        match self {
            Self::Consult => 3,
            Self::Suggest => 5,
            Self::Help => 7,
            Self::Complain => 10,
        }
    }
}

/// How soon it must be dealt with (Articles 7(3), 14(1), 17, 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// In its turn.
    Normal,
    /// Water, power, gas or heat has failed (Article 19).
    Utility,
    /// Life or property is in danger now (Articles 7(3) and 17).
    Emergency,
}

impl Urgency {
    /// Every urgency, least first.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Utility, Self::Emergency];

    /// The name under which it is stored and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Utility => "utility",
            Self::Emergency => "emergency",
        }
    }

    /// The urgency with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|urgency| urgency.as_str() == name)
    }
}

/// Why a disposition was reached: shown with it wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Grounds {
    /// Id of the rule in the rule file, or of the built-in check.
    pub rule: String,
    /// Version of the rule file.
    pub rules_version: String,
    /// The article it rests on.
    #[schema(value_type = String, example = "8(1)")]
    pub article: Article,
    /// The words that spoke for it; personal data masked.
    pub evidence: Vec<String>,
    /// The words that spoke against it; personal data masked.
    pub against: Vec<String>,
    /// How sure it is, 0 to 100: what is guided or declined has at least 60 and nothing against it. A person's own
    /// decision, and one of before there were scores, has 0.
    #[serde(default)]
    pub score: u8,
    /// What to tell the petitioner: where to turn, or what is missing.
    pub advice: Option<String>,
}

/// What the trained model sees in a complaint. It supports the rules and turns nobody away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Signal {
    /// Version of the model.
    pub model: String,
    /// How urgent it takes the complaint for.
    pub urgency: Urgency,
    /// How sure it is that the complaint is urgent, 0 to 100.
    pub score: u8,
    /// The pieces of words that weighed most, strongest first.
    pub words: Vec<String>,
}

/// What may help whoever assigns a complaint: suggestions, never decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Suggestion {
    /// Subject in two levels, as 城乡建设/供热.
    pub subject: Option<String>,
    /// The words that speak for it.
    pub evidence: Vec<String>,
    /// Handling unit (承办单位) whose duty the subject is.
    pub unit: Option<String>,
    /// Who else must have it at once: the unit's sub-platform for water, power, gas and heat (Article 19), the city's
    /// emergency office where danger is reported (Article 17).
    pub also_to: Vec<String>,
    /// Every kind that it may be, the likeliest first; several where it is in doubt.
    pub kinds: Vec<Kind>,
    /// What the trained model sees, where it sees danger or a failed supply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
}

/// A complaint as handlers see it: no petitioner, personal data in free text masked (Article 24).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ShownComplaint {
    /// Title.
    pub subject: Option<String>,
    /// What happened.
    pub body: String,
    /// What is asked for.
    pub request: Option<String>,
    /// When it happened, as told.
    pub occurred: Option<String>,
    /// Where it happened.
    pub place: Option<String>,
    /// Who is involved.
    pub parties: Option<String>,
    /// When it was made, as the source says.
    #[schema(value_type = Option<Object>)]
    pub made_at: Option<Stamp>,
    /// What came with it, by reference.
    #[schema(value_type = Vec<Object>)]
    pub attachments: Vec<Attachment>,
    /// What its reader must know, in words.
    pub remarks: Vec<String>,
    /// How many pieces of personal data were masked.
    pub masked: u32,
    /// Subject and handling unit, suggested.
    pub suggested: Suggestion,
}

/// Characters of a text that stand for a title that is missing.
const BEGINNING: usize = 60;

impl ShownComplaint {
    /// Its title, or else the beginning of its text.
    pub fn title(&self) -> String {
        self.subject.clone().unwrap_or_else(|| self.body.chars().take(BEGINNING).collect())
    }
}

/// By what an entry is matched with what is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchKeys {
    /// SHA-256 over the text in its form for matching; `None` where there is too little text to tell two matters apart.
    pub content: Option<[u8; 32]>,
    /// A ticket's number quoted as our notices quote it, check digit verified.
    pub ticket: Option<String>,
    /// Ids of the messages it answers, nearest first.
    pub answers: Vec<String>,
    /// Telephone numbers in one canonical form, for the keyed hash.
    pub phones: Vec<String>,
    /// E-mail addresses in one canonical form, for the keyed hash.
    pub emails: Vec<String>,
}

/// What assessing one entry comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The entry normalised, petitioner included: sealed before it is stored.
    pub complaint: Complaint,
    /// What handlers see.
    pub shown: ShownComplaint,
    /// What screening decided.
    pub disposition: Disposition,
    /// Why.
    pub grounds: Grounds,
    /// Kind of request: the likeliest.
    pub kind: Kind,
    /// Whether the kind is beyond doubt.
    pub kind_certain: bool,
    /// The kind whose time to completion is kept: in doubt the one with the shortest among those it may be.
    pub due_kind: Kind,
    /// How soon.
    pub urgency: Urgency,
    /// By what it is matched.
    pub keys: MatchKeys,
    /// Whether no message may be sent about it (written by a machine, or back-filled).
    pub silent: bool,
}
