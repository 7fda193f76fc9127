//! What citizens hand in themselves, on a page that the gateway serves or on one of the city's own (Article 3: 市政府门户网站).
//! An adapter whose connectors have such a form says so through [`Push::form`](crate::contract::Push::form); how the page
//! looks, who may ask how often and what is told afterwards is the gateway's affair.

use serde::{Deserialize, Serialize};

use crate::{contract::Head, entry::Item};

/// Characters of a title.
pub const MAX_TITLE: usize = 100;
/// Characters of the course of things.
pub const MAX_COURSE: usize = 5000;
/// Characters of what is asked for.
pub const MAX_REQUEST: usize = 1000;
/// Characters of each of time, place and parties.
pub const MAX_CIRCUMSTANCE: usize = 200;
/// Characters of a name.
pub const MAX_NAME: usize = 50;
/// Characters of a telephone number.
pub const MAX_PHONE: usize = 30;
/// Characters of an e-mail address.
pub const MAX_EMAIL: usize = 100;
/// Characters of an id.
pub const MAX_ID: usize = 128;
/// Characters of a file's name.
pub const MAX_FILE_NAME: usize = 100;

/// One submission, as the gateway's page and the city's own send it; also the form of the entry's raw bytes, as JSON.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// Names the submission: the same at each attempt to send it, and of nothing else.
    pub id: String,
    /// When it was made (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<String>,
    /// Kind of request (Article 15): `consult`, `suggest`, `help` or `complain`; none where the petitioner is not sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Title.
    pub title: String,
    /// When it happened (Article 13(4) 时间).
    pub time: String,
    /// Where it happened (Article 13(4) 地点).
    pub place: String,
    /// Who is involved (Article 13(4) 当事人).
    pub parties: String,
    /// What happened (Article 13(4) 经过).
    pub course: String,
    /// What is asked for.
    pub request: String,
    /// Name.
    pub name: String,
    /// Telephone number.
    pub phone: String,
    /// E-mail address.
    pub email: String,
    /// Whether an answer is wished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wants_answer: Option<bool>,
    /// Whether the complaint and its answer may be made public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// The petitioner's network address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Upload>,
}

impl std::fmt::Debug for Submission {
    /// Says nothing of what it holds (Article 24).
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Submission(sealed)")
    }
}

/// A file of a submission.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    /// Its name, as given.
    pub name: String,
    /// Its bytes; base64 in JSON.
    #[serde(with = "encoded")]
    pub data: bytes::Bytes,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Upload({} bytes)", self.data.len())
    }
}

mod encoded {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(|_| D::Error::custom("is not base64"))
    }
}

/// A field of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// [`Submission::id`].
    Id,
    /// [`Submission::submitted_at`].
    SubmittedAt,
    /// [`Submission::kind`].
    Kind,
    /// [`Submission::title`].
    Title,
    /// [`Submission::time`].
    Time,
    /// [`Submission::place`].
    Place,
    /// [`Submission::parties`].
    Parties,
    /// [`Submission::course`].
    Course,
    /// [`Submission::request`].
    Request,
    /// [`Submission::name`].
    Name,
    /// [`Submission::phone`].
    Phone,
    /// [`Submission::email`].
    Email,
    /// [`Submission::ip`].
    Ip,
    /// [`Submission::files`].
    Files,
}

impl Field {
    /// The name that the field has in JSON and in the page's form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::SubmittedAt => "submitted_at",
            Self::Kind => "kind",
            Self::Title => "title",
            Self::Time => "time",
            Self::Place => "place",
            Self::Parties => "parties",
            Self::Course => "course",
            Self::Request => "request",
            Self::Name => "name",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Ip => "ip",
            Self::Files => "files",
        }
    }
}

/// What is wrong with a field. Never holds what stands there; a file is told by its place, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is needed and empty.
    #[error("is needed")]
    Missing,
    /// An answer is wished, and there is neither telephone number nor e-mail address.
    #[error("is needed where an answer is wished: a telephone number or an e-mail address")]
    NoWayBack,
    /// It is longer than so many characters.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// It is not of the form that it should have.
    #[error("is not of the form that is expected there")]
    BadForm,
    /// There are more files than so many.
    #[error("there are more than {0}")]
    TooMany(usize),
    /// A file is larger than so many bytes.
    #[error("number {0} is larger than {1} bytes")]
    TooLarge(usize, u64),
    /// The files together are larger than so many bytes.
    #[error("together they are larger than {0} bytes")]
    TooLargeTogether(u64),
    /// A file is an archive, which nobody unpacks here.
    #[error("number {0} is an archive; send what is in it")]
    Archive(usize),
    /// A file is neither picture, document, recording nor text.
    #[error("number {0} is neither picture, document, recording nor text")]
    Unknown(usize),
    /// A file is empty.
    #[error("number {0} is empty")]
    Empty(usize),
}

/// A field, and what is wrong with it.
pub type Wrong = (Field, Problem);

/// How a connector has its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Heading of the page; none stands for the gateway's own.
    pub title: Option<String>,
    /// Files of a submission.
    pub files: usize,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bytes of all files of a submission together.
    pub total_bytes: u64,
    /// Seconds below which nobody fills in the form.
    pub least_seconds: u32,
    /// Submissions of one network address within an hour.
    pub per_hour: u32,
    /// Submissions of one network address that may follow each other at once.
    pub burst: u32,
    /// Origins (`https://www.example.cn`) whose pages may send submissions from the browser.
    pub origins: Vec<String>,
}

/// A form that citizens fill in.
pub trait PublicForm: Send + Sync {
    /// How the connector has it.
    fn terms(&self) -> &Terms;

    /// Makes an item of a submission, files included.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the form.
    fn item(&self, submission: &Submission) -> Result<Item, Vec<Wrong>>;

    /// Whether a delivery claims to be signed, so that it comes from a server that speaks for many citizens, and a limit for
    /// each address would turn them away together. The claim itself is judged as the delivery is received.
    fn speaks_for_many(&self, head: &Head) -> bool;
}
