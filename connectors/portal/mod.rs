//! `portal`: takes what citizens fill in themselves (Article 3: 市政府门户网站), on the page that the gateway serves for the
//! connector, or on a page of the city's own, which hands it on as JSON.
//!
//! Both bring the same [`Submission`], and both are checked in the same way: what may be in it, how long, and which files.
//! A submission is named by its id, so that sending it twice is sending it once; what was changed in between is a revision.

mod check;
mod sniff;

#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::{
    complaint::{Attachment, Complaint, Petitioner, Stamp},
    contract::{Adapter, Body, Check, Head, Mistake, Normalise, Push, Reception, Refusal, Source, Toolbox, Unreadable},
    delivery::webhook_key,
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision},
    fault::Fault,
    inlet::signature::{self, Key},
    public_form::{Field, Problem, PublicForm, Submission, Terms, Wrong},
    secret::SecretRef,
};

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "门户网站：网关自带的诉求表单页，及市政府网站自有页面的 JSON 接口 / the form on the city's portal";

/// Secrets, and tokens, that may be in use at once.
pub const MAX_SECRETS: usize = 8;
/// Characters that a token has at least.
pub const LEAST_TOKEN: usize = 16;
/// Files of a submission that may be allowed at most.
pub const MAX_FILES: u32 = 20;
/// Bytes of all files of a submission that may be allowed at most.
pub const MAX_TOTAL: u64 = 64 * 1024 * 1024;
/// Origins that may be named.
pub const MAX_ORIGINS: usize = 16;

/// Settings of a portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Heading of the form page; the office's name stands there unless set.
    pub title: Option<String>,
    /// Files that may come with a submission, 0 to 20; 3 unless set.
    pub files: u32,
    /// Bytes of one file at most; 5 MiB unless set.
    pub file_bytes: u64,
    /// Bytes of all files of a submission together, up to 64 MiB; 10 MiB unless set.
    pub total_bytes: u64,
    /// Seconds below which nobody fills in the form, 0 to 60; 3 unless set. Whoever is faster is asked to send again.
    pub least_seconds: u32,
    /// Submissions of one network address within an hour, 1 to 10000; 30 unless set. Many citizens may share an address.
    pub per_hour: u32,
    /// Submissions of one network address that may follow each other at once, 1 to 1000; 10 unless set.
    pub burst: u32,
    /// Secrets that a server of the city signs JSON submissions with (Standard Webhooks, as for `inlet`).
    pub secrets: Vec<SecretRef>,
    /// Tokens (`Authorization: Bearer …`) with which a page of the city's own sends JSON submissions from the browser.
    /// Everybody can read such a token: it tells one page from another and keeps nobody out.
    pub tokens: Vec<SecretRef>,
    /// Origins of pages that may send JSON submissions from the browser, as `https://www.example.cn`.
    pub origins: Vec<String>,
    /// How far the time of a signed submission may lie from our clock, in seconds; 300 unless set.
    pub tolerance_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: None,
            files: 3,
            file_bytes: 5 * 1024 * 1024,
            total_bytes: 10 * 1024 * 1024,
            least_seconds: 3,
            per_hour: 30,
            burst: 10,
            secrets: Vec::new(),
            tokens: Vec::new(),
            origins: Vec::new(),
            tolerance_seconds: 300,
        }
    }
}

impl Settings {
    fn keys(&self) -> Result<Vec<Key>, Fault> {
        self.secrets.iter().map(webhook_key).collect()
    }

    fn revealed(&self) -> Result<Vec<SecretString>, Fault> {
        self.tokens.iter().map(token).collect()
    }

    fn terms(&self) -> Terms {
        Terms {
            title: self.title.clone(),
            files: usize::try_from(self.files).unwrap_or(usize::MAX),
            file_bytes: self.file_bytes,
            total_bytes: self.total_bytes,
            least_seconds: self.least_seconds,
            per_hour: self.per_hour,
            burst: self.burst,
            origins: self.origins.clone(),
        }
    }
}

fn token(secret: &SecretRef) -> Result<SecretString, Fault> {
    let token = secret.reveal()?;
    if token.expose_secret().len() < LEAST_TOKEN {
        return Err(Fault::configuration(format!("the token is shorter than {LEAST_TOKEN} characters ({secret})"))
            .remedy("make one with: openssl rand -hex 32"));
    }
    Ok(token)
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let bounds = [
            ("/files", u64::from(self.files), 0, u64::from(MAX_FILES)),
            ("/file_bytes", self.file_bytes, 1024, MAX_TOTAL),
            ("/total_bytes", self.total_bytes, 1024, MAX_TOTAL),
            ("/least_seconds", u64::from(self.least_seconds), 0, 60),
            ("/per_hour", u64::from(self.per_hour), 1, 10_000),
            ("/burst", u64::from(self.burst), 1, 1000),
            ("/tolerance_seconds", u64::from(self.tolerance_seconds), 1, 3600),
        ];
        let mut mistakes: Vec<Mistake> = bounds
            .into_iter()
            .filter(|(_, number, least, most)| !(least..=most).contains(&number))
            .map(|(pointer, number, least, most)| {
                Mistake::new(pointer, format!("{number} is not within {least} to {most}"))
                    .suggest(number.clamp(least, most).to_string())
            })
            .collect();
        for (pointer, count, most) in [
            ("/secrets", self.secrets.len(), MAX_SECRETS),
            ("/tokens", self.tokens.len(), MAX_SECRETS),
            ("/origins", self.origins.len(), MAX_ORIGINS),
        ] {
            if count > most {
                mistakes.push(Mistake::new(pointer, format!("{count} are more than the {most} that may be in use")));
            }
        }
        for (index, origin) in self.origins.iter().enumerate() {
            if !is_origin(origin) {
                mistakes.push(
                    Mistake::new(format!("/origins/{index}"), "is no origin: a scheme and a host, nothing after it")
                        .suggest("https://www.example.cn"),
                );
            }
        }
        if !self.origins.is_empty() && self.tokens.is_empty() {
            mistakes.push(
                Mistake::new("/tokens", "pages of these origins need a token to send submissions with")
                    .suggest("tokens = [{ file = \"…\" }]"),
            );
        }
        if self.title.as_ref().is_some_and(|title| title.trim().is_empty() || title.chars().count() > 60) {
            mistakes.push(Mistake::new("/title", "is empty or longer than 60 characters"));
        }
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        Ok(Arc::new(Reader))
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        let _ = tools;
        let portal = Portal {
            keys: Arc::new(self.keys()?),
            tokens: self.revealed()?,
            terms: Arc::new(self.terms()),
            settings: self.clone(),
        };
        Ok(Source::Push(Arc::new(portal)))
    }
}

/// `https://host` or `https://host:port`; browsers write it in this form (RFC 6454, 6.2).
fn is_origin(text: &str) -> bool {
    reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.origin().ascii_serialization() == text)
}

/// The receiving part.
struct Portal {
    keys: Arc<Vec<Key>>,
    tokens: Vec<SecretString>,
    terms: Arc<Terms>,
    settings: Settings,
}

const AUTHORIZATION: &str = "authorization";

impl Push for Portal {
    fn open(&self, head: &Head, now: Timestamp) -> Result<Box<dyn Reception>, Refusal> {
        if self.keys.is_empty() && self.tokens.is_empty() {
            return Err(Refusal::Unauthenticated("this portal takes no JSON; its page takes submissions".to_owned()));
        }
        let verifier = if self.speaks_for_many(head) {
            let verifier = signature::Verifier::open(&self.keys, head, now, self.settings.tolerance_seconds)?;
            Some(verifier)
        } else {
            self.admit(head)?;
            None
        };
        Ok(Box::new(Delivery { verifier, terms: Arc::clone(&self.terms) }))
    }

    fn check(&self) -> Check {
        let mut check = Check::default();
        for secret in &self.settings.secrets {
            if !check
                .step("read the secret", webhook_key(secret).map(|_| format!("{secret} holds a well-formed secret")))
            {
                return check;
            }
        }
        for secret in &self.settings.tokens {
            if !check.step("read the token", token(secret).map(|_| format!("{secret} holds a token"))) {
                return check;
            }
        }
        check.step("serve the form", Ok("the form page takes submissions".to_owned()));
        check
    }

    fn form(&self) -> Option<&dyn PublicForm> {
        Some(self)
    }
}

impl Portal {
    fn admit(&self, head: &Head) -> Result<(), Refusal> {
        let given = head.headers.get(AUTHORIZATION).and_then(|header| header.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let Some(given) = given else {
            return Err(Refusal::Unauthenticated(
                "the submission is neither signed nor has it a bearer token".to_owned(),
            ));
        };
        // Every token is compared, each in constant time.
        let known = self.tokens.iter().fold(subtle::Choice::from(0), |known, token| {
            known | token.expose_secret().as_bytes().ct_eq(given.as_bytes())
        });
        if bool::from(known) {
            return Ok(());
        }
        Err(Refusal::Unauthenticated("the bearer token is none of this connector's".to_owned()))
    }
}

impl PublicForm for Portal {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn item(&self, submission: &Submission) -> Result<Item, Vec<Wrong>> {
        let raw = serde_json::to_vec(submission).map_err(|_| vec![(Field::Id, Problem::BadForm)])?;
        item(submission, Bytes::from(raw), &self.terms)
    }

    fn speaks_for_many(&self, head: &Head) -> bool {
        head.headers.contains_key(signature::SIGNATURE)
    }
}

/// One delivery of JSON.
struct Delivery {
    verifier: Option<signature::Verifier>,
    terms: Arc<Terms>,
}

impl Reception for Delivery {
    fn chunk(&mut self, bytes: &[u8]) {
        if let Some(verifier) = &mut self.verifier {
            verifier.update(bytes);
        }
    }

    fn close(self: Box<Self>, body: Body) -> Result<Item, Refusal> {
        let signed = self.verifier.map(signature::Verifier::verify).transpose()?;
        match (body, signed) {
            (Body::Whole(raw), _) => {
                let submission = parse(&raw)?;
                item(&submission, raw, &self.terms).map_err(|wrong| malformed(&wrong))
            }
            // The server cannot ask the citizen any more: at least that it came is kept, under an id that stays free.
            (Body::Oversize { start, size }, Some(delivery)) => Ok(stub(start, size, &delivery)),
            // The browser is told, and the citizen is still there to shorten it.
            (Body::Oversize { size, .. }, None) => Err(Refusal::Malformed {
                field: "/".to_owned(),
                message: format!(
                    "the submission has {size} bytes, which is more than is taken; nothing of it was kept"
                ),
            }),
        }
    }
}

/// What is kept of a signed submission over the limit: that it came, and its beginning.
fn stub(start: Bytes, size: u64, delivery: &str) -> Item {
    let limit = start.len() as u64;
    Item::Entry(RawEntry {
        external_id: ExternalId::new(delivery),
        revision: Revision::of_content(&[&start]),
        delivery_id: None,
        source_time: None,
        form: Form::Json,
        raw: start,
        remarks: vec![Remark::Oversize { size: Some(size), limit }],
    })
}

fn malformed(wrong: &[Wrong]) -> Refusal {
    let (field, message) = match wrong.first() {
        Some((field, problem)) => (format!("/{}", field.as_str()), problem.to_string()),
        None => ("/".to_owned(), "cannot be used".to_owned()),
    };
    Refusal::Malformed { field, message }
}

/// Reads a document. What the parser says may quote it, so only the place is told.
fn parse(raw: &[u8]) -> Result<Submission, Refusal> {
    serde_json::from_slice(raw).map_err(|error| Refusal::Malformed {
        field: "/".to_owned(),
        message: format!(
            "is not a submission at line {}, column {}: docs/adapters/portal.md lists the fields",
            error.line(),
            error.column()
        ),
    })
}

/// Makes an item of a submission that came as `raw`.
fn item(submission: &Submission, raw: Bytes, terms: &Terms) -> Result<Item, Vec<Wrong>> {
    let submission = check::tidy(submission);
    let wrong = check::check(&submission, terms);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let made = submission.submitted_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let revision = revision(&submission);
    Ok(Item::Entry(RawEntry {
        external_id: ExternalId::new(&submission.id),
        revision,
        delivery_id: None,
        source_time: made.map(Stamp::second),
        form: Form::Json,
        raw,
        remarks: Vec::new(),
    }))
}

/// Names what the petitioner said: sent again unchanged it is the same, whenever and from wherever.
fn revision(submission: &Submission) -> Revision {
    let said = Submission { submitted_at: None, ip: None, files: Vec::new(), ..submission.clone() };
    let mut parts = vec![serde_json::to_vec(&said).unwrap_or_default()];
    for file in &submission.files {
        parts.push(file.name.clone().into_bytes());
        parts.push(file.data.to_vec());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Revision::of_content(&parts)
}

/// The pure part.
struct Reader;

impl Normalise for Reader {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        if entry.remarks.iter().any(|remark| matches!(remark, Remark::Oversize { .. })) {
            // Half a document says nothing reliable about anyone: a person must ask the city's page for it.
            return Ok(Complaint { remarks: entry.remarks.clone(), ..Complaint::default() });
        }
        let submission: Submission =
            serde_json::from_slice(&entry.raw).map_err(|_| Unreadable("the submission is damaged".to_owned()))?;
        let mut complaint = complaint(check::tidy(&submission));
        complaint.made_at = entry.source_time;
        crate::mapping::doubt_clock(&mut complaint, received_at);
        Ok(complaint)
    }

    fn attachment(&self, entry: &RawEntry, part: u32) -> Option<Vec<u8>> {
        let submission: Submission = serde_json::from_slice(&entry.raw).ok()?;
        let position = usize::try_from(part).ok()?.checked_sub(1)?;
        check::tidy(&submission).files.into_iter().nth(position).map(|file| file.data.to_vec())
    }
}

fn said(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn complaint(submission: Submission) -> Complaint {
    let attachments = submission.files.iter().zip(1..).map(|(file, part)| Attachment {
        name: said(file.name.clone()),
        media_type: sniff::media_type(&file.name, &file.data).unwrap_or("application/octet-stream").to_owned(),
        // A file whose bytes are not of its kind was never taken.
        sniffed: None,
        size: file.data.len() as u64,
        digest: digest(&file.data),
        part,
    });
    let mut remarks = Vec::new();
    if submission.public == Some(false) {
        remarks.push(Remark::Wish { what: "诉求人不同意公开本诉求及其答复".to_owned() });
    }
    if submission.wants_answer == Some(false) {
        remarks.push(Remark::Wish {
            what: "诉求人不需要电话或邮件答复，将凭查询码自行查询".to_owned()
        });
    }
    Complaint {
        attachments: attachments.collect(),
        petitioner: Petitioner {
            name: said(submission.name),
            phones: said(submission.phone).into_iter().collect(),
            emails: said(submission.email).into_iter().collect(),
            ip: submission.ip,
            ..Petitioner::default()
        },
        occurred: said(submission.time),
        place: said(submission.place),
        parties: said(submission.parties),
        subject: said(submission.title),
        body: submission.course,
        request: said(submission.request),
        label: submission.kind.as_deref().and_then(check::label).map(str::to_owned),
        wants_answer: submission.wants_answer,
        remarks,
        ..Complaint::default()
    }
}

/// SHA-256 in hexadecimal, over the bytes alone.
fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}
