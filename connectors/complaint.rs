//! An entry normalised: who, when, where, what, asked for what (诉求).

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{clock::ZONE, entry::Remark};

/// Where citizens speak (渠道): the platforms of Articles 2 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// 电话: the 12345 telephone line.
    Phone,
    /// 留言板: 人民网地方领导留言板, 辽阳民心网 and their sister boards.
    MessageBoard,
    /// 信箱: 省(市)长电子信箱.
    Mailbox,
    /// 营商环境: 营商环境建设投诉举报平台.
    BusinessEnvironment,
    /// 门户: 市政府门户网站.
    Portal,
    /// 信件: paper letters and the exports they are keyed into.
    Letter,
}

impl Channel {
    /// Every channel, in the order of the regulation.
    pub const ALL: [Self; 6] =
        [Self::Phone, Self::MessageBoard, Self::Mailbox, Self::BusinessEnvironment, Self::Portal, Self::Letter];

    /// The name under which the channel is stored, configured and reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::MessageBoard => "message_board",
            Self::Mailbox => "mailbox",
            Self::BusinessEnvironment => "business_environment",
            Self::Portal => "portal",
            Self::Letter => "letter",
        }
    }

    /// The channel with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}

/// How exactly a moment is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// To the second or better.
    Second,
    /// To the minute.
    Minute,
    /// Only the day is known (the moment is its first, in Asia/Shanghai).
    Day,
}

/// A moment told by a source, with the precision it was told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The moment.
    pub at: Timestamp,
    /// How exactly it is known.
    pub precision: Precision,
}

impl Stamp {
    /// A moment known to the second.
    pub fn second(at: Timestamp) -> Self {
        Self { at, precision: Precision::Second }
    }

    /// A day in Asia/Shanghai; `None` where the zone has no such day.
    pub fn day(date: Date) -> Option<Self> {
        let zone = TimeZone::get(ZONE).ok()?;
        let at = zone.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
        Some(Self { at, precision: Precision::Day })
    }
}

/// Who complained (诉求人). Sealed at rest and never shown to handlers (Article 24).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Petitioner {
    /// Name, as given.
    pub name: Option<String>,
    /// Telephone numbers, as given.
    pub phones: Vec<String>,
    /// E-mail addresses, as given; the first one is where an answer goes.
    pub emails: Vec<String>,
    /// Home or postal address (not the place of the matter).
    pub address: Option<String>,
    /// Network address.
    pub ip: Option<String>,
    /// What a board calls its user: an account name or number.
    pub account: Option<String>,
    /// An organisation that complains, by name.
    pub organisation: Option<String>,
    /// Its unified social credit code.
    pub organisation_code: Option<String>,
}

impl std::fmt::Debug for Petitioner {
    /// Says nothing of who it is: a petitioner must not reach a log through a debug print (Article 24).
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Petitioner(sealed)")
    }
}

/// Something attached to an entry; the bytes stay inside the entry and are named by position and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// File name as given, without any path.
    pub name: Option<String>,
    /// Media type as declared.
    pub media_type: String,
    /// Media type as its first bytes tell it, where they tell one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sniffed: Option<String>,
    /// Size in bytes after decoding.
    pub size: u64,
    /// SHA-256 of the decoded bytes, hexadecimal.
    pub digest: String,
    /// Which part of the entry it is, in the order in which the parts stand.
    pub part: u32,
}

/// Why an item counts as written by a machine (RFC 3834, RFC 3464, RFC 2919).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Machine {
    /// A delivery status notification.
    Bounce,
    /// An automatic reply.
    AutoReply,
    /// A mailing list or bulk mail.
    List,
    /// Our own mail coming back.
    Own,
}

/// How an item stands in a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    /// The message's own id, without angle brackets.
    pub message_id: Option<String>,
    /// Ids of the messages that it answers, nearest first, without angle brackets.
    pub answers: Vec<String>,
    /// Addresses that it was sent to.
    pub recipients: Vec<String>,
    /// Set where a machine wrote it, with the evidence in words (a header's name and value, never an address).
    pub machine: Option<(Machine, String)>,
    /// Of a bounce that says that the message was given up: the status that says why ("5.1.1"), never an address.
    pub undelivered: Option<String>,
}

/// What the channel's own rule says about items that name nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nameless {
    /// A person decides.
    Hold,
    /// They are not accepted (Article 13(4): 拒绝提供的，可以不予受理并告知其理由), by the rule that is cited.
    Decline(String),
}

/// An entry normalised: what a person says happened and asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Complaint {
    /// Who complained.
    pub petitioner: Petitioner,
    /// When it was made, as the source says.
    pub made_at: Option<Stamp>,
    /// When the matter happened, as told, in the petitioner's words (Article 13(4) 时间).
    pub occurred: Option<String>,
    /// Where it happened (Article 13(4) 地点).
    pub place: Option<String>,
    /// Who is involved (Article 13(4) 当事人).
    pub parties: Option<String>,
    /// Title.
    pub subject: Option<String>,
    /// What happened, as plain text (Article 13(4) 经过).
    pub body: String,
    /// What is asked for, where the source keeps it apart.
    pub request: Option<String>,
    /// The channel's own label for the kind of request: evidence, not truth.
    pub label: Option<String>,
    /// Whether the petitioner wishes an answer, where the channel asks.
    pub wants_answer: Option<bool>,
    /// What came with it.
    pub attachments: Vec<Attachment>,
    /// Set where nobody is named and the channel's rule does not accept that.
    pub nameless: Option<Nameless>,
    /// How it stands in a conversation.
    pub thread: Thread,
    /// What its reader must know.
    pub remarks: Vec<Remark>,
}
