//! Says where in a source's document each field of a complaint stands.
//!
//! Every partner names its fields in its own way and renames them from year to year; that is configuration, not code.
//! A mapping names them by JSON pointer (RFC 6901), so that one reader serves call centres, portals, platforms and the
//! rows of a table. What it reads is untrusted: text is trimmed, stripped of control characters and bounded, numbers and
//! booleans are taken where text is expected, and nothing that was read ever appears in an error.

mod anonymous;
mod codes;
mod compiled;
mod presets;
mod scalar;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    contract::Mistake,
    fault::Fault,
    times::{self, TimeFormat},
};

pub use anonymous::Anonymous;
pub use compiled::{Compiled, Missing, doubt_clock};
pub use presets::Preset;
pub use scalar::{MAX_LINE, MAX_SHORT, MAX_TEXT};

/// Pointers and parts that one field may name.
pub const MAX_POINTERS: usize = 16;

/// The longest pointer, in bytes.
pub const MAX_POINTER: usize = 200;

/// How far a source's clock may run ahead of ours before its time is doubted, in seconds.
pub const CLOCK_SLACK: i64 = 15 * 60;

/// A field of a complaint that a mapping can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// What the source calls the item.
    Id,
    /// When it was made.
    Time,
    /// The petitioner's name.
    Name,
    /// The petitioner's telephone numbers.
    Phone,
    /// The petitioner's e-mail addresses.
    Email,
    /// The petitioner's own address.
    Address,
    /// The petitioner's network address.
    Ip,
    /// The petitioner's account at the source.
    Account,
    /// An organisation that complains, by name.
    Organisation,
    /// Its unified social credit code.
    OrganisationCode,
    /// Title.
    Subject,
    /// What happened (经过).
    Body,
    /// When the matter happened (时间).
    Occurred,
    /// Where it happened (地点).
    Place,
    /// Who is involved (当事人).
    Parties,
    /// What is asked for.
    Request,
    /// The channel's own label for the kind of request.
    Label,
    /// Whether the petitioner wishes an answer.
    WantsAnswer,
    /// The id of the message of ours that this one answers.
    Answers,
}

impl Field {
    /// Every field, in the order of [`Mapping`].
    pub const ALL: [Self; 19] = [
        Self::Id,
        Self::Time,
        Self::Name,
        Self::Phone,
        Self::Email,
        Self::Address,
        Self::Ip,
        Self::Account,
        Self::Organisation,
        Self::OrganisationCode,
        Self::Subject,
        Self::Body,
        Self::Occurred,
        Self::Place,
        Self::Parties,
        Self::Request,
        Self::Label,
        Self::WantsAnswer,
        Self::Answers,
    ];

    /// The name that configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Time => "time",
            Self::Name => "name",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Address => "address",
            Self::Ip => "ip",
            Self::Account => "account",
            Self::Organisation => "organisation",
            Self::OrganisationCode => "organisation_code",
            Self::Subject => "subject",
            Self::Body => "body",
            Self::Occurred => "occurred",
            Self::Place => "place",
            Self::Parties => "parties",
            Self::Request => "request",
            Self::Label => "label",
            Self::WantsAnswer => "wants_answer",
            Self::Answers => "answers",
        }
    }
}

/// Where a field stands: one pointer, several of which the first that is filled counts, or parts joined into one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a JSON pointer such as \"/form/place\", a list of them, or { join = [\"/a\", { label = \"地点\", at = \"/b\" }] }"
)]
pub enum Pick {
    /// One pointer.
    One(String),
    /// The first that is filled counts; an empty list leaves the field out, also where a preset names it.
    First(Vec<String>),
    /// Several parts as one text; a part that is not filled is left out with its label.
    Join(Join),
}

impl From<&str> for Pick {
    fn from(pointer: &str) -> Self {
        Self::One(pointer.to_owned())
    }
}

/// Parts joined into one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The parts, in order.
    pub join: Vec<Part>,
    /// What stands between them; a line break in `body` and `request`, a space elsewhere.
    pub separator: Option<String>,
}

/// One part of a joined text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a JSON pointer or { label = \"地点\", at = \"/form/place\" }")]
pub enum Part {
    /// The text at a pointer.
    Plain(String),
    /// The text at a pointer after a label: "地点：…".
    Labelled(Labelled),
}

/// A part that says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Labelled {
    /// What stands before the text, without the colon.
    pub label: String,
    /// Where the text stands.
    pub at: String,
}

/// Where each field of a complaint stands in a source's document. A field that is not named here is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// A ready mapping to start from; what is named beside it takes the place of its fields.
    pub preset: Option<Preset>,
    /// What the source calls the item. An id that is a fraction or in scientific notation lost its digits and is none.
    pub id: Option<Pick>,
    /// What ids of this source begin with in some files and not in others: it is left out, so that one item has one id. The
    /// longest that fits is taken off, once.
    pub id_prefixes: Vec<String>,
    /// When the complaint was made.
    pub time: Option<Pick>,
    /// The forms that times take, in the order in which they are tried; without any, all that can be told apart are.
    pub time_formats: Vec<TimeFormat>,
    /// The petitioner's name.
    pub name: Option<Pick>,
    /// The petitioner's telephone numbers: every one that is filled is kept; text with fewer than five digits is none.
    pub phone: Option<Pick>,
    /// The petitioner's e-mail addresses: every one that is filled is kept; text without an "@" is none.
    pub email: Option<Pick>,
    /// The petitioner's own address, not the place of the matter.
    pub address: Option<Pick>,
    /// The petitioner's network address.
    pub ip: Option<Pick>,
    /// The petitioner's account at the source.
    pub account: Option<Pick>,
    /// An organisation that complains, by name.
    pub organisation: Option<Pick>,
    /// Its unified social credit code.
    pub organisation_code: Option<Pick>,
    /// Title.
    pub subject: Option<Pick>,
    /// What happened (经过).
    pub body: Option<Pick>,
    /// When the matter happened, in the petitioner's words (时间).
    pub occurred: Option<Pick>,
    /// Where it happened (地点).
    pub place: Option<Pick>,
    /// Who is involved (当事人).
    pub parties: Option<Pick>,
    /// What is asked for, where the source keeps it apart.
    pub request: Option<Pick>,
    /// The channel's own label for the kind of request.
    pub label: Option<Pick>,
    /// Whether the petitioner wishes an answer: true or false, 1 or 0, 是 or 否, or a way of answering such as 电话回复.
    pub wants_answer: Option<Pick>,
    /// The id of the message of ours that this item answers: makes it a follow-up.
    pub answers: Option<Pick>,
    /// Fields that must be filled; a delivery without one is refused with its pointer.
    pub require: Vec<Field>,
    /// Words that stand for an empty field; without any: 无, 不详, 未知, 匿名, 暂无, -, --, /, null, N/A, none, unknown, withheld.
    pub blank: Vec<String>,
    /// Pointers whose changes make no new revision of an item, such as the time of sending.
    pub volatile: Vec<String>,
}

impl Mapping {
    /// A ready mapping, unchanged.
    pub fn preset(preset: Preset) -> Self {
        Self { preset: Some(preset), ..Self::default() }
    }

    /// Checks what types cannot. The pointers of the mistakes start below the mapping.
    pub fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let whole = self.resolved();
        for field in Field::ALL {
            if let Some(pick) = self.pick(field) {
                check_pick(field, pick, &mut mistakes);
            }
        }
        for (index, format) in self.time_formats.iter().enumerate() {
            if let Some(message) = times::mistake(format) {
                mistakes.push(Mistake::new(format!("/time_formats/{index}"), message));
            }
        }
        for (index, pointer) in self.volatile.iter().enumerate() {
            check_pointer(&format!("/volatile/{index}"), pointer, &mut mistakes);
        }
        for (index, field) in self.require.iter().enumerate() {
            if !whole.names(*field) {
                let message = format!("{} is required, but no pointer says where it stands", field.as_str());
                mistakes.push(
                    Mistake::new(format!("/require/{index}"), message)
                        .suggest(format!("{} = \"/…\", or take it off the list", field.as_str())),
                );
            }
        }
        if ![Field::Body, Field::Subject, Field::Request].into_iter().any(|field| whole.names(field)) {
            mistakes.push(
                Mistake::new("/body", "nothing says where the matter is told: body, subject or request is needed")
                    .suggest("body = \"/content\", or preset = \"portal\""),
            );
        }
        mistakes
    }

    /// Makes the mapping ready for use.
    ///
    /// # Errors
    /// What is wrong with it, as [`Mapping::validate`] tells it.
    pub fn compile(&self) -> Result<Compiled, Vec<Mistake>> {
        let mistakes = self.validate();
        if mistakes.is_empty() { Ok(Compiled::new(&self.resolved())) } else { Err(mistakes) }
    }

    /// Where a field stands, as this mapping itself says, without its preset.
    pub fn pick(&self, field: Field) -> Option<&Pick> {
        match field {
            Field::Id => &self.id,
            Field::Time => &self.time,
            Field::Name => &self.name,
            Field::Phone => &self.phone,
            Field::Email => &self.email,
            Field::Address => &self.address,
            Field::Ip => &self.ip,
            Field::Account => &self.account,
            Field::Organisation => &self.organisation,
            Field::OrganisationCode => &self.organisation_code,
            Field::Subject => &self.subject,
            Field::Body => &self.body,
            Field::Occurred => &self.occurred,
            Field::Place => &self.place,
            Field::Parties => &self.parties,
            Field::Request => &self.request,
            Field::Label => &self.label,
            Field::WantsAnswer => &self.wants_answer,
            Field::Answers => &self.answers,
        }
        .as_ref()
    }

    /// The mapping with its preset filled in where it says nothing itself.
    #[must_use]
    pub fn resolved(&self) -> Self {
        let Some(preset) = self.preset else { return self.clone() };
        let base = preset.mapping();
        let over = |own: &Option<Pick>, ready: Option<Pick>| own.clone().or(ready);
        Self {
            preset: None,
            id: over(&self.id, base.id),
            time: over(&self.time, base.time),
            id_prefixes: filled(&self.id_prefixes, base.id_prefixes),
            time_formats: filled(&self.time_formats, base.time_formats),
            name: over(&self.name, base.name),
            phone: over(&self.phone, base.phone),
            email: over(&self.email, base.email),
            address: over(&self.address, base.address),
            ip: over(&self.ip, base.ip),
            account: over(&self.account, base.account),
            organisation: over(&self.organisation, base.organisation),
            organisation_code: over(&self.organisation_code, base.organisation_code),
            subject: over(&self.subject, base.subject),
            body: over(&self.body, base.body),
            occurred: over(&self.occurred, base.occurred),
            place: over(&self.place, base.place),
            parties: over(&self.parties, base.parties),
            request: over(&self.request, base.request),
            label: over(&self.label, base.label),
            wants_answer: over(&self.wants_answer, base.wants_answer),
            answers: over(&self.answers, base.answers),
            require: filled(&self.require, base.require),
            blank: filled(&self.blank, base.blank),
            volatile: filled(&self.volatile, base.volatile),
        }
    }

    fn names(&self, field: Field) -> bool {
        match self.pick(field) {
            None => false,
            Some(Pick::One(_)) => true,
            Some(Pick::First(pointers)) => !pointers.is_empty(),
            Some(Pick::Join(parts)) => !parts.join.is_empty(),
        }
    }
}

/// The fault that a mapping which does not compile is, with its first mistake.
pub fn fault(mistakes: &[Mistake]) -> Fault {
    let Some(first) = mistakes.first() else { return Fault::configuration("the mapping cannot be used") };
    let fault = Fault::configuration(format!("the mapping cannot be used: {}: {}", first.pointer, first.message));
    match &first.suggestion {
        Some(suggestion) => fault.remedy(format!("write {suggestion}")),
        None => fault,
    }
}

/// The mistakes as an adapter tells them that keeps its mapping at `pointer` in its settings.
pub fn below(pointer: &str, mistakes: Vec<Mistake>) -> impl Iterator<Item = Mistake> {
    let prefix = pointer.to_owned();
    mistakes.into_iter().map(move |mistake| Mistake { pointer: format!("{prefix}{}", mistake.pointer), ..mistake })
}

fn filled<T: Clone>(own: &[T], ready: Vec<T>) -> Vec<T> {
    if own.is_empty() { ready } else { own.to_vec() }
}

fn check_pick(field: Field, pick: &Pick, mistakes: &mut Vec<Mistake>) {
    let place = format!("/{}", field.as_str());
    let count = match pick {
        Pick::One(pointer) => {
            check_pointer(&place, pointer, mistakes);
            1
        }
        Pick::First(pointers) => {
            for (index, pointer) in pointers.iter().enumerate() {
                check_pointer(&format!("{place}/{index}"), pointer, mistakes);
            }
            pointers.len()
        }
        Pick::Join(parts) => {
            for (index, part) in parts.join.iter().enumerate() {
                match part {
                    Part::Plain(pointer) => check_pointer(&format!("{place}/join/{index}"), pointer, mistakes),
                    Part::Labelled(part) => check_pointer(&format!("{place}/join/{index}/at"), &part.at, mistakes),
                }
            }
            if parts.join.is_empty() {
                mistakes
                    .push(Mistake::new(format!("{place}/join"), "there is nothing to join").suggest("name a pointer"));
            }
            parts.join.len()
        }
    };
    if count > MAX_POINTERS {
        mistakes
            .push(Mistake::new(place, format!("{count} pointers are more than the {MAX_POINTERS} that are looked at")));
    }
}

fn check_pointer(place: &str, pointer: &str, mistakes: &mut Vec<Mistake>) {
    if pointer.len() > MAX_POINTER {
        mistakes.push(Mistake::new(place, format!("the pointer is longer than {MAX_POINTER} bytes")));
        return;
    }
    if !pointer.starts_with('/') {
        let path = pointer.trim_start_matches("$.").trim_start_matches('$').replace('.', "/");
        mistakes.push(
            Mistake::new(place, format!("{pointer:?} is no JSON pointer: it must start with \"/\""))
                .suggest(format!("/{}", path.trim_matches('/'))),
        );
        return;
    }
    let bad_escape = pointer.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
    if bad_escape {
        mistakes.push(
            Mistake::new(
                place,
                format!("{pointer:?} is no JSON pointer: \"~\" is written \"~0\", a \"/\" in a name \"~1\""),
            )
            .suggest(pointer.replace('~', "~0")),
        );
    }
}
