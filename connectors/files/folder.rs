//! The watched folder: which file is next, how far it was read, and where it goes afterwards.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::Metadata,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{fs, io::AsyncReadExt as _};

use super::{Settings, document::Document};
use crate::{
    contract::{Check, Cursor, Page, Pull, Toolbox},
    entry::{ExternalId, Form, Item, Revision, Unread, digest_hex},
    fault::Fault,
    holdings::{Holdings, Period},
    mapping::Compiled,
};

/// Entries of the folder that one look takes in; the rest is seen once these have moved.
const MAX_ENTRIES: usize = 10_000;

/// Names that are tried in the done folder where one is taken.
const MAX_NAMES: usize = 10_000;

/// How far the folder was read: so many items of a file, where the digest covers its content and how it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    file: String,
    digest: String,
    offset: usize,
    total: usize,
}

impl Position {
    fn finished(&self) -> bool {
        self.offset >= self.total
    }
}

/// A file that may be taken.
#[derive(Debug, Clone)]
struct Candidate {
    name: OsString,
    label: String,
    state: State,
}

/// What a change of a file would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

impl State {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// The file being taken.
#[derive(Debug)]
struct Open {
    candidate: Candidate,
    digest: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Its items.
    Items(Document),
    /// It cannot be read: one item for quarantine.
    Refused(Box<Unread>),
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Items(document) => document.len(),
            Self::Refused(_) => 1,
        }
    }
}

/// What one look at the folder found.
#[derive(Debug, Default)]
struct Look {
    ready: Vec<Candidate>,
    settling: usize,
    passed_over: usize,
}

/// Reads the folder.
pub(super) struct Folder {
    pub(super) settings: Settings,
    pub(super) mapping: Arc<Compiled>,
    pub(super) tools: Toolbox,
    open: Option<Open>,
    /// Since when each file has been as it is, for clocks that run ahead of ours.
    seen: BTreeMap<OsString, (State, Timestamp)>,
}

impl Folder {
    pub(super) fn new(settings: Settings, mapping: Arc<Compiled>, tools: Toolbox) -> Self {
        Self { settings, mapping, tools, open: None, seen: BTreeMap::new() }
    }

    /// Looks at what is there, in the order of names.
    async fn look(&mut self) -> Result<Look, Fault> {
        let folder = self.settings.folder.clone();
        let reach = |error: &std::io::Error| unreachable_folder(&folder, error);
        let mut entries = fs::read_dir(&folder).await.map_err(|error| reach(&error))?;
        let mut look = Look::default();
        let mut seen = BTreeMap::new();
        let now = self.tools.clock.now();
        for _ in 0..MAX_ENTRIES {
            let Some(entry) = entries.next_entry().await.map_err(|error| reach(&error))? else { break };
            let name = entry.file_name();
            // A link would lead outside of the folder; `metadata` here does not follow it.
            let Ok(metadata) = entry.metadata().await else { continue };
            if metadata.is_dir() {
                continue;
            }
            if !metadata.is_file() || passed_over(&name) {
                look.passed_over += 1;
                continue;
            }
            let state = State::of(&metadata);
            let since = match self.seen.get(&name) {
                Some((known, since)) if *known == state => *since,
                _ => now,
            };
            if self.settled(state, since, now) {
                look.ready.push(Candidate { label: label(&name), name: name.clone(), state });
            } else {
                look.settling += 1;
            }
            seen.insert(name, (state, since));
        }
        self.seen = seen;
        look.ready.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(look)
    }

    fn settled(&self, state: State, since: Timestamp, now: Timestamp) -> bool {
        let wait = i64::from(self.settings.settle_seconds);
        let modified = state.modified.and_then(|modified| Timestamp::try_from(modified).ok());
        [modified, Some(since)].into_iter().flatten().any(|at| now.as_second() - at.as_second() >= wait)
    }

    /// Opens a file, unless it is open already; `None` where it changes under our hands.
    async fn open(&mut self, candidate: &Candidate) -> Result<Option<&Open>, Fault> {
        let known = self
            .open
            .as_ref()
            .is_some_and(|open| open.candidate.name == candidate.name && open.candidate.state == candidate.state);
        if !known {
            self.open = None;
            let path = self.settings.folder.join(&candidate.name);
            let too_large = candidate.state.size > self.settings.file_bytes;
            let most = if too_large { self.tools.limits.item_bytes as u64 } else { self.settings.file_bytes };
            let Some(bytes) = read(&path, candidate.state, most).await? else { return Ok(None) };
            let known_by = digest_hex(&[&candidate.state.size.to_be_bytes(), &bytes]);
            // A file that is handed over again because it is read differently now must not count as finished.
            let read_as = serde_json::to_vec(&self.settings).unwrap_or_default();
            let digest = digest_hex(&[known_by.as_bytes(), &read_as]);
            let content = if too_large {
                let reason = format!(
                    "the file has {} bytes, more than the {} that are read; cut it in pieces",
                    candidate.state.size, self.settings.file_bytes
                );
                Content::Refused(Box::new(self.refused(&candidate.label, &known_by, &bytes, reason)))
            } else {
                self.parse(candidate, &known_by, bytes).await?
            };
            self.open = Some(Open { candidate: candidate.clone(), digest, content });
        }
        Ok(self.open.as_ref())
    }

    /// Away from the threads that serve everything else: a large table takes a while.
    async fn parse(&self, candidate: &Candidate, known_by: &str, bytes: Bytes) -> Result<Content, Fault> {
        let (settings, mapping) = (self.settings.clone(), Arc::clone(&self.mapping));
        let (label, whole) = (candidate.label.clone(), bytes.clone());
        let read = tokio::task::spawn_blocking(move || Document::read(&label, whole, settings.reading(&mapping)));
        let read = read.await.map_err(|_| Fault::transient("the reading of a file was broken off"))?;
        Ok(match read {
            Ok(document) => Content::Items(document),
            Err(fault) => {
                Content::Refused(Box::new(self.refused(&candidate.label, known_by, &bytes, fault.to_string())))
            }
        })
    }

    pub(super) fn refused(&self, label: &str, digest: &str, bytes: &Bytes, reason: String) -> Unread {
        let mail = [".eml", ".mbox"].iter().any(|end| label.to_ascii_lowercase().ends_with(end));
        Unread {
            external_id: ExternalId::of_content(&[b"file", digest.as_bytes()]),
            revision: Revision::only(),
            form: if mail { Form::Mail } else { Form::Row },
            raw: bytes.slice(..bytes.len().min(self.tools.limits.item_bytes)),
            reason,
        }
    }

    /// Moves a file whose items are all stored, if it still is what was read.
    async fn put_away(&mut self, position: &Position) -> Result<(), Fault> {
        let Some(open) =
            self.open.take_if(|open| open.candidate.label == position.file && open.digest == position.digest)
        else {
            return Ok(());
        };
        let path = self.settings.folder.join(&open.candidate.name);
        match fs::symlink_metadata(&path).await {
            Ok(metadata) if metadata.is_file() && State::of(&metadata) == open.candidate.state => {}
            // Written over or gone since: the next look decides.
            _ => return Ok(()),
        }
        let done = self.settings.done();
        fs::create_dir_all(&done).await.map_err(|error| unusable_done(&done, &error))?;
        let target = free_name(&done, &open.candidate.name).await?;
        fs::rename(&path, &target).await.map_err(|error| unusable_done(&done, &error))
    }

    /// Items from an offset on, within the bounds of a page.
    fn items(&self, open: &Open, offset: usize) -> Vec<Item> {
        let document = match &open.content {
            Content::Refused(unread) => return vec![Item::Unread((**unread).clone())],
            Content::Items(document) => document,
        };
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        for index in offset..document.len() {
            if items.len() >= self.tools.limits.page_items || bytes >= self.tools.limits.page_bytes {
                break;
            }
            let item = document.item(index, &self.mapping, &self.tools.limits);
            bytes += item.size();
            items.push(item);
        }
        items
    }
}

#[async_trait]
impl Pull for Folder {
    async fn check(&mut self) -> Check {
        let mut check = Check::default();
        let look = self.look().await;
        let told = look.map(|look| {
            format!(
                "{} files are ready, {} are still settling, {} are passed over",
                look.ready.len(),
                look.settling,
                look.passed_over
            )
        });
        if !check.step("list the folder", told) {
            return check;
        }
        let done = self.settings.done();
        let outcome = match fs::metadata(&done).await {
            Ok(metadata) if metadata.is_dir() => Ok("the done folder is there".to_owned()),
            Ok(_) => Err(Fault::configuration(format!("{} is no folder", done.display()))
                .remedy("name another done_folder, or move the file away")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok("the done folder will be made".to_owned()),
            Err(error) => Err(unusable_done(&done, &error)),
        };
        check.step("look at the done folder", outcome);
        check
    }

    async fn pull(&mut self, cursor: Option<&Cursor>) -> Result<Page, Fault> {
        self.tools.pace.ready().await;
        let mut position: Position = cursor.map(Cursor::decode).transpose()?.unwrap_or_default();
        let mut ready = self.look().await?.ready;
        // A file that was begun is finished first.
        if let Some(begun) = ready.iter().position(|candidate| candidate.label == position.file) {
            let candidate = ready.remove(begun);
            ready.insert(0, candidate);
        }
        let mut trouble = None;
        for (index, candidate) in ready.iter().enumerate() {
            let open = match self.open(candidate).await {
                Ok(Some(open)) => open,
                Ok(None) => continue,
                // One file that cannot be read keeps no other waiting; it is told when these are taken.
                Err(fault) => {
                    trouble = trouble.or(Some(fault));
                    continue;
                }
            };
            let (digest, total) = (open.digest.clone(), open.content.len());
            let same = candidate.label == position.file && digest == position.digest;
            if same && position.finished() {
                // It was stored, but not moved: a crash or a fault came between.
                self.put_away(&position).await?;
                continue;
            }
            let offset = if same { position.offset.min(total) } else { 0 };
            let items = self.open.as_ref().map(|open| self.items(open, offset)).unwrap_or_default();
            position = Position { file: candidate.label.clone(), digest, offset: offset + items.len(), total };
            let more = !position.finished() || index + 1 < ready.len() || trouble.is_some();
            return Ok(Page { items, cursor: Cursor::encode(&position)?, more });
        }
        self.open = None;
        if let Some(fault) = trouble {
            return Err(fault);
        }
        Ok(Page { items: Vec::new(), cursor: Cursor::encode(&position)?, more: false })
    }

    async fn confirm(&mut self, page: &Page) -> Result<(), Fault> {
        let position: Position = page.cursor.decode()?;
        if position.finished() { self.put_away(&position).await } else { Ok(()) }
    }

    async fn holdings(&mut self, period: Period) -> Result<Option<Holdings>, Fault> {
        self.held(period).await.map(Some)
    }
}

pub(super) fn passed_over(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    name.starts_with('.')
        || name.starts_with("~$")
        || name.ends_with('~')
        || [".part", ".tmp", ".crdownload", ".filepart"].iter().any(|end| name.ends_with(end))
        || matches!(name.as_str(), "thumbs.db" | "desktop.ini")
}

/// A file's name as text; one that is no UTF-8 gets a digest, so that it stays unique.
pub(super) fn label(name: &OsStr) -> String {
    if let Some(text) = name.to_str() {
        return text.to_owned();
    }
    let mut digest = digest_hex(&[name.as_encoded_bytes()]);
    digest.truncate(8);
    let lossy = name.to_string_lossy();
    match lossy.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}#{digest}.{extension}"),
        None => format!("{lossy}#{digest}"),
    }
}

/// The first bytes of a file, at most `most`; `None` where it is no longer the file that was looked at.
pub(super) async fn read(path: &Path, state: State, most: u64) -> Result<Option<Bytes>, Fault> {
    let failed = |error: &std::io::Error| {
        Fault::transient(format!("a file in the folder cannot be read: {}", error.kind()))
            .remedy("let the gateway's user read the files of the folder")
    };
    // What was a file may have become a link since; and what was opened must be what stands there.
    let before = match fs::symlink_metadata(path).await {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    if !before.is_file() || State::of(&before) != state {
        return Ok(None);
    }
    let file = fs::File::open(path).await.map_err(|error| failed(&error))?;
    let opened = file.metadata().await.map_err(|error| failed(&error))?;
    if !same_file(&before, &opened) {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(state.size.min(most)).unwrap_or_default());
    file.take(most).read_to_end(&mut bytes).await.map_err(|error| failed(&error))?;
    let after = fs::symlink_metadata(path).await.map_err(|error| failed(&error))?;
    let unchanged = State::of(&after) == state && bytes.len() as u64 == state.size.min(most);
    Ok(unchanged.then(|| Bytes::from(bytes)))
}

#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    one.dev() == other.dev() && one.ino() == other.ino()
}

#[cfg(not(unix))]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    State::of(one) == State::of(other)
}

/// A name in the done folder that is not taken: nothing there is ever written over.
async fn free_name(done: &Path, name: &OsStr) -> Result<PathBuf, Fault> {
    let path = Path::new(name);
    for number in 1..=MAX_NAMES {
        let mut candidate = OsString::new();
        if number == 1 {
            candidate.push(name);
        } else {
            candidate.push(path.file_stem().unwrap_or(name));
            candidate.push(format!(" ({number})"));
            if let Some(extension) = path.extension() {
                candidate.push(".");
                candidate.push(extension);
            }
        }
        let candidate = done.join(candidate);
        match fs::symlink_metadata(&candidate).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(candidate),
            Err(error) => return Err(unusable_done(done, &error)),
            Ok(_) => {}
        }
    }
    Err(Fault::configuration(format!("{} holds {MAX_NAMES} files of one name", done.display()))
        .remedy("move what is old out of the done folder"))
}

fn unreachable_folder(folder: &Path, error: &std::io::Error) -> Fault {
    let message = format!("the folder {} cannot be listed: {}", folder.display(), error.kind());
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => {
            Fault::configuration(message).remedy("make it, and let the gateway's user read it and write in it")
        }
        _ => Fault::transient(message),
    }
}

fn unusable_done(done: &Path, error: &std::io::Error) -> Fault {
    let message = format!("no file can be moved to {}: {}", done.display(), error.kind());
    let remedy = match error.kind() {
        ErrorKind::CrossesDevices => "name a done_folder on the same file system",
        _ => "let the gateway's user write in it and in the folder that is watched",
    };
    Fault::configuration(message).remedy(remedy)
}
