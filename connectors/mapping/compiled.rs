//! A mapping made ready: reads documents, and says what is missing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{CLOCK_SLACK, Field, Join, MAX_POINTERS, Mapping, Part, Pick, codes, scalar};
use crate::{
    complaint::{Complaint, Petitioner, Stamp, Thread},
    contract::{Refusal, Unreadable},
    entry::{ExternalId, Remark, Revision},
    times::{self, TimeFormat},
};

/// Words that stand for an empty field unless the settings name others.
const BLANK: [&str; 14] =
    ["无", "不详", "未知", "匿名", "暂无", "空", "-", "--", "/", "null", "n/a", "none", "unknown", "withheld"];

/// Telephone numbers and e-mail addresses kept of one petitioner.
const MAX_CONTACTS: usize = 8;

/// The fewest digits of a telephone number: 12345 itself has five.
const MIN_PHONE_DIGITS: usize = 5;

/// A mapping made ready.
#[derive(Debug, Clone)]
pub struct Compiled {
    fields: BTreeMap<Field, Vec<Chosen>>,
    separators: BTreeMap<Field, String>,
    id_prefixes: Vec<String>,
    time_formats: Vec<TimeFormat>,
    require: Vec<Field>,
    blank: Vec<String>,
    volatile: Vec<String>,
}

#[derive(Debug, Clone)]
struct Chosen {
    label: Option<String>,
    pointers: Vec<String>,
}

impl Chosen {
    fn pointers(&self) -> impl Iterator<Item = &str> {
        self.pointers.iter().take(MAX_POINTERS).map(String::as_str)
    }
}

/// A required field is not filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which field.
    pub field: Field,
    /// Where it was looked for first.
    pub pointer: String,
    /// What is wrong, in words.
    pub message: String,
}

impl Compiled {
    /// Takes a mapping that is valid and has no preset left.
    pub(super) fn new(mapping: &Mapping) -> Self {
        let mut fields = BTreeMap::new();
        let mut separators = BTreeMap::new();
        for field in Field::ALL {
            let chosen = match mapping.pick(field) {
                None => continue,
                Some(Pick::One(pointer)) => vec![Chosen { label: None, pointers: vec![pointer.clone()] }],
                Some(Pick::First(pointers)) if pointers.is_empty() => continue,
                Some(Pick::First(pointers)) => vec![Chosen { label: None, pointers: pointers.clone() }],
                Some(Pick::Join(Join { join, separator })) => {
                    let usual = if scalar::keeps_lines(field) { "\n" } else { " " };
                    separators.insert(field, separator.clone().unwrap_or_else(|| usual.to_owned()));
                    join.iter().map(part).collect()
                }
            };
            fields.insert(field, chosen);
        }
        let blank = if mapping.blank.is_empty() {
            BLANK.iter().map(|&word| word.to_owned()).collect()
        } else {
            mapping.blank.iter().map(|word| word.trim().to_lowercase()).collect()
        };
        let time_formats =
            if mapping.time_formats.is_empty() { distinguishable_times() } else { mapping.time_formats.clone() };
        let (require, volatile) = (mapping.require.clone(), mapping.volatile.clone());
        let mut id_prefixes = mapping.id_prefixes.clone();
        id_prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        Self { fields, separators, id_prefixes, time_formats, require, blank, volatile }
    }

    /// What the source calls the item; `None` where the document does not say it, or says it with lost digits.
    pub fn id(&self, document: &Value) -> Option<ExternalId> {
        let parts = self.fields.get(&Field::Id)?;
        let mut texts = Vec::new();
        for part in parts {
            // An id of several parts needs each of them, or two items would share it.
            let text = part.pointers().filter_map(|pointer| document.pointer(pointer)).find_map(|value| {
                let text = scalar::id(value)?;
                self.present(&text).then(|| text.trim().to_owned())
            })?;
            texts.push(text);
        }
        let separator = self.separators.get(&Field::Id).map_or(" ", String::as_str);
        let id = texts.join(separator);
        let bare = self.id_prefixes.iter().find_map(|prefix| id.strip_prefix(prefix.as_str()));
        Some(ExternalId::new(bare.filter(|bare| !bare.is_empty()).unwrap_or(&id)))
    }

    /// When the source says that the complaint was made.
    pub fn time(&self, document: &Value) -> Option<Stamp> {
        let parts = self.fields.get(&Field::Time)?;
        if self.separators.contains_key(&Field::Time) {
            let text = self.joined(Field::Time, document)?;
            return times::parse(&Value::String(text), &self.time_formats);
        }
        let mut values = parts.iter().flat_map(Chosen::pointers).filter_map(|pointer| document.pointer(pointer));
        values.find_map(|value| times::parse(value, &self.time_formats))
    }

    /// The state of the item that the document shows: what its source would change by editing it.
    pub fn revision(&self, document: &Value) -> Revision {
        Revision::of_content(&[self.canonical(document).as_bytes()])
    }

    /// The document in one form, without what is volatile: two that say the same are the same text.
    pub fn canonical(&self, document: &Value) -> String {
        let mut canonical = document.clone();
        for pointer in &self.volatile {
            if let Some(value) = canonical.pointer_mut(pointer) {
                *value = Value::Null;
            }
        }
        canonical.sort_all_objects();
        canonical.to_string()
    }

    /// The first required field that is not filled.
    pub fn missing(&self, document: &Value) -> Option<Missing> {
        self.require.iter().find_map(|&field| {
            let pointer = self.fields.get(&field)?.first()?.pointers.first()?.clone();
            let filled = match field {
                Field::Id => self.id(document).is_some(),
                Field::Time => self.time(document).is_some(),
                Field::Phone | Field::Email => !self.contacts(field, document).is_empty(),
                Field::WantsAnswer => self.wants_answer(document).is_some(),
                _ => self.joined(field, document).is_some(),
            };
            if filled {
                return None;
            }
            let message = match field {
                Field::Time => "the time when it was made is required, in one of the forms that the connector reads",
                Field::Id => "the item's own id is required, as text or as a whole number",
                Field::Phone => "a telephone number is required",
                Field::Email => "an e-mail address is required",
                _ => "a text that is not empty is required",
            };
            Some(Missing { field, pointer, message: format!("{}: {message}", field.as_str()) })
        })
    }

    /// Refuses a document in which a required field is not filled.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field's pointer.
    pub fn demand(&self, document: &Value) -> Result<(), Refusal> {
        match self.missing(document) {
            Some(missing) => Err(Refusal::Malformed { field: missing.pointer, message: missing.message }),
            None => Ok(()),
        }
    }

    /// Reads a complaint out of a document.
    ///
    /// # Errors
    /// Where a required field is not filled, or nothing tells the matter; names pointers, never what stands there.
    pub fn complaint(&self, document: &Value) -> Result<Complaint, Unreadable> {
        if let Some(missing) = self.missing(document) {
            return Err(Unreadable(format!("{} {}", missing.pointer, missing.message)));
        }
        let mut remarks = Vec::new();
        let mut take = |field: Field| {
            let clean = self.joined(field, document)?;
            if clean.chars().count() < scalar::bound(field) {
                return Some(clean);
            }
            let clean = scalar::clean(&clean, scalar::keeps_lines(field), scalar::bound(field));
            if clean.cut {
                remarks.push(Remark::Bounded {
                    what: format!("{} was cut to {} characters", field.as_str(), scalar::bound(field)),
                });
            }
            Some(clean.text)
        };
        let mut complaint = Complaint {
            petitioner: Petitioner {
                name: take(Field::Name),
                phones: self.contacts(Field::Phone, document),
                emails: self.contacts(Field::Email, document),
                address: take(Field::Address),
                ip: take(Field::Ip),
                account: take(Field::Account),
                organisation: take(Field::Organisation),
                organisation_code: take(Field::OrganisationCode),
            },
            made_at: self.time(document),
            occurred: take(Field::Occurred),
            place: take(Field::Place),
            parties: take(Field::Parties),
            subject: take(Field::Subject),
            body: take(Field::Body).unwrap_or_default(),
            request: take(Field::Request),
            label: take(Field::Label),
            wants_answer: self.wants_answer(document),
            attachments: Vec::new(),
            nameless: None,
            thread: Thread { answers: take(Field::Answers).into_iter().collect(), ..Thread::default() },
            remarks: Vec::new(),
        };
        if complaint.body.is_empty() && complaint.subject.is_none() && complaint.request.is_none() {
            return Err(Unreadable(format!("nothing tells the matter: looked at {}", self.told_at())));
        }
        if complaint.made_at.is_none()
            && let Some(pointer) = self.time_told(document)
        {
            remarks
                .push(Remark::Clock { what: format!("the time at {pointer} is in no form that the connector reads") });
        }
        if let Some(code) = &mut complaint.petitioner.organisation_code {
            let canonical = codes::canonical(code);
            if codes::is_sound(&canonical) {
                *code = canonical;
            } else {
                remarks.push(Remark::Doubtful {
                    what: "the organisation's code is neither a unified social credit code nor an organisation code: \
                           its form or its check digit is wrong"
                        .to_owned(),
                });
            }
        }
        complaint.remarks = remarks;
        Ok(complaint)
    }

    /// The names at the top of documents that any field looks at: a table's columns.
    pub fn columns(&self) -> impl Iterator<Item = String> {
        self.fields.values().flatten().flat_map(|chosen| &chosen.pointers).filter_map(|pointer| {
            let name = pointer.strip_prefix('/')?.split('/').next()?;
            Some(name.replace("~1", "/").replace("~0", "~"))
        })
    }

    fn told_at(&self) -> String {
        let fields = [Field::Body, Field::Subject, Field::Request];
        let pointers = fields.iter().filter_map(|field| self.fields.get(field)).flatten();
        let pointers: Vec<&str> = pointers.flat_map(|chosen| &chosen.pointers).map(String::as_str).collect();
        pointers.join(", ")
    }

    fn time_told(&self, document: &Value) -> Option<&str> {
        let pointers = self.fields.get(&Field::Time)?.iter().flat_map(Chosen::pointers);
        let mut told = pointers
            .filter(|pointer| document.pointer(pointer).and_then(scalar::text).is_some_and(|text| self.present(&text)));
        told.next()
    }

    fn present(&self, text: &str) -> bool {
        let text = text.trim();
        !text.is_empty() && !self.blank.iter().any(|word| word.eq_ignore_ascii_case(text))
    }

    /// The text of a field, clean but for its whole's bound; one character over the bound shows that it was cut.
    fn joined(&self, field: Field, document: &Value) -> Option<String> {
        let bound = scalar::bound(field) + 1;
        let texts = self.fields.get(&field)?.iter().take(MAX_POINTERS).filter_map(|part| {
            let text = part.pointers().find_map(|pointer| {
                let text = scalar::text(document.pointer(pointer)?)?;
                let text = scalar::clean(&text, scalar::keeps_lines(field), bound).text;
                self.present(&text).then_some(text)
            })?;
            Some(match &part.label {
                Some(label) => format!("{label}：{text}"),
                None => text,
            })
        });
        let texts: Vec<String> = texts.collect();
        let separator = self.separators.get(&field).map_or(" ", String::as_str);
        if texts.is_empty() { None } else { Some(texts.join(separator)) }
    }

    /// Every telephone number or e-mail address that any of the field's pointers names, each once.
    fn contacts(&self, field: Field, document: &Value) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let pointers = self.fields.get(&field).into_iter().flatten().flat_map(Chosen::pointers);
        for value in pointers.filter_map(|pointer| document.pointer(pointer)) {
            let elements = match value {
                Value::Array(elements) => elements.as_slice(),
                other => std::slice::from_ref(other),
            };
            for element in elements.iter().take(MAX_CONTACTS) {
                let Some(text) = scalar::text(element) else { continue };
                let text = scalar::clean(&text, false, scalar::bound(field)).text;
                if self.present(&text) && contact(field, &text) && !found.contains(&text) && found.len() < MAX_CONTACTS
                {
                    found.push(text);
                }
            }
        }
        found
    }

    fn wants_answer(&self, document: &Value) -> Option<bool> {
        let pointers = self.fields.get(&Field::WantsAnswer)?.iter().flat_map(Chosen::pointers);
        pointers.filter_map(|pointer| document.pointer(pointer)).find_map(scalar::yes)
    }
}

/// Adds a remark where the source's time lies so far ahead of our own that it cannot be right (ours rules then).
pub fn doubt_clock(complaint: &mut Complaint, received_at: Timestamp) {
    let Some(stamp) = complaint.made_at else { return };
    let ahead = stamp.at.as_second() - received_at.as_second();
    if ahead > CLOCK_SLACK {
        complaint.remarks.push(Remark::Clock {
            what: format!("the source's time lies {} minutes ahead of the time of receipt", ahead / 60),
        });
    }
}

fn contact(field: Field, text: &str) -> bool {
    match field {
        Field::Phone => text.chars().filter(|character| character.is_numeric()).count() >= MIN_PHONE_DIGITS,
        _ => text.contains('@'),
    }
}

fn part(part: &Part) -> Chosen {
    match part {
        Part::Plain(pointer) => Chosen { label: None, pointers: vec![pointer.clone()] },
        Part::Labelled(labelled) => Chosen { label: Some(labelled.label.clone()), pointers: vec![labelled.at.clone()] },
    }
}

/// Forms that no number or text fits two of, within [`times::YEARS`].
fn distinguishable_times() -> Vec<TimeFormat> {
    vec![
        TimeFormat::Rfc3339,
        TimeFormat::Civil,
        TimeFormat::Compact,
        TimeFormat::ExcelSerial,
        TimeFormat::EpochSeconds,
        TimeFormat::EpochMillis,
    ]
}
