//! winmail.dat: what Outlook packs into a part that other programs cannot open (MS-OXTNEF).
//!
//! Out of it come the files and, where the mail holds no other text, the text. A part that breaks off is read as far as it
//! goes. Everything in it is a piece of the part itself but for rich text, whose unpacking is bounded, so that the time is linear.

use super::{Bounds, Notes, charset, packed::Packed, rtf};
use crate::html;

/// What a TNEF stream begins with.
const SIGNATURE: [u8; 4] = [0x78, 0x9f, 0x3e, 0x22];

/// Messages open inside one another.
const MAX_DEPTH: usize = 3;

/// Properties of one message or file that are looked at.
const MAX_PROPERTIES: u32 = 2000;

/// Bytes of rich text that are unpacked.
const MAX_RICH_TEXT: usize = 4 * 1024 * 1024;

/// Attributes of the stream (MS-OXTNEF, 2.1.3.2).
mod attribute {
    pub(super) const BODY: u32 = 0x0002_800c;
    pub(super) const PROPERTIES: u32 = 0x0006_9003;
    pub(super) const CODE_PAGE: u32 = 0x0006_9007;
    pub(super) const FILE_STARTS: u32 = 0x0006_9002;
    pub(super) const FILE_TITLE: u32 = 0x0001_8010;
    pub(super) const FILE_DATA: u32 = 0x0006_800f;
    pub(super) const FILE_PROPERTIES: u32 = 0x0006_9005;
}

/// Properties of a message or a file (MS-OXPROPS).
mod property {
    pub(super) const BODY: u16 = 0x1000;
    pub(super) const RICH_TEXT: u16 = 0x1009;
    pub(super) const HTML: u16 = 0x1013;
    pub(super) const CODE_PAGE: u16 = 0x3fde;
    pub(super) const DATA: u16 = 0x3701;
    pub(super) const NAME: u16 = 0x3001;
    pub(super) const FILE_NAME: u16 = 0x3704;
    pub(super) const LONG_FILE_NAME: u16 = 0x3707;
    pub(super) const MEDIA_TYPE: u16 = 0x370e;
}

/// What a stream holds.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Its text, where it holds one.
    pub(super) text: String,
    /// Its files, in the order in which they stand.
    pub(super) files: Vec<Packed>,
}

/// Whether bytes are such a stream.
pub(super) fn is_tnef(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
}

/// Opens a stream; `None` where the bytes are none.
pub(super) fn open(bytes: &[u8], bounds: &Bounds, notes: &mut Notes) -> Option<Opened> {
    is_tnef(bytes).then(|| stream(bytes, 0, bounds, notes))
}

/// What was read of one message.
#[derive(Default)]
struct Message {
    code_page: Option<u32>,
    plain: Option<String>,
    html: Option<Vec<u8>>,
    rich: Option<Vec<u8>>,
}

/// What was read of one file.
#[derive(Default)]
struct File {
    title: Option<String>,
    name: Option<String>,
    media_type: Option<String>,
    data: Vec<u8>,
    message: Option<Vec<u8>>,
}

fn stream(bytes: &[u8], depth: usize, bounds: &Bounds, notes: &mut Notes) -> Opened {
    let mut cursor = Cursor(bytes.get(SIGNATURE.len() + 2..).unwrap_or_default());
    let mut message = Message::default();
    let mut files: Vec<File> = Vec::new();
    while !cursor.0.is_empty() {
        let Some((id, data)) = cursor.attribute() else {
            notes.mended("a winmail.dat breaks off and was read as far as it goes");
            break;
        };
        let label = message.code_page.map(rtf::label);
        match id {
            attribute::CODE_PAGE => message.code_page = Cursor(data).u32().filter(|page| *page != 0),
            attribute::BODY => message.plain = Some(words(data, label.as_deref())),
            attribute::PROPERTIES => message.take(data),
            attribute::FILE_STARTS => {
                if files.len() >= bounds.attachments {
                    notes.bounded(format!("only the first {} files of a winmail.dat were read", bounds.attachments));
                    break;
                }
                files.push(File::default());
            }
            _ => {
                let Some(file) = files.last_mut() else { continue };
                match id {
                    attribute::FILE_TITLE => file.title = Some(words(data, label.as_deref())),
                    attribute::FILE_DATA => file.data = data.to_vec(),
                    attribute::FILE_PROPERTIES => file.take(data, label.as_deref()),
                    _ => {}
                }
            }
        }
    }
    let mut opened = Opened { text: message.text(bounds, notes), files: Vec::new() };
    for file in files {
        file.unpack(depth, bounds, notes, &mut opened.files);
    }
    opened
}

impl Message {
    fn take(&mut self, data: &[u8]) {
        let found = properties(data);
        let number = found.iter().find(|(id, _)| *id == property::CODE_PAGE).and_then(|(_, value)| value.number());
        self.code_page = number.filter(|page| *page != 0).or(self.code_page);
        let label = self.code_page.map(rtf::label);
        for (id, value) in found {
            match id {
                property::BODY => self.plain = Some(value.text(label.as_deref())),
                property::HTML => self.html = Some(value.bytes().to_vec()),
                property::RICH_TEXT => self.rich = Some(value.bytes().to_vec()),
                _ => {}
            }
        }
    }

    /// Plain text, else that of the HTML, else that of the rich text.
    fn text(self, bounds: &Bounds, notes: &mut Notes) -> String {
        let label = self.code_page.map(rtf::label);
        if let Some(plain) = self.plain.filter(|plain| plain.chars().any(char::is_alphanumeric)) {
            return plain.trim().chars().take(bounds.text_chars).collect();
        }
        if let Some(markup) = self.html {
            let text = html::to_text(&charset::decode(&markup, label.as_deref(), None).text, &bounds.html);
            notes.extend(text.remarks);
            if !text.text.is_empty() {
                return text.text;
            }
        }
        let Some(rich) = self.rich.as_deref().and_then(|rich| rtf::decompress(rich, MAX_RICH_TEXT)) else {
            return String::new();
        };
        if rich.len() >= MAX_RICH_TEXT {
            notes.bounded(format!("only the first {MAX_RICH_TEXT} bytes of a winmail.dat's text were read"));
        }
        rtf::text(&rich, self.code_page, bounds.text_chars)
    }
}

impl File {
    fn take(&mut self, data: &[u8], label: Option<&str>) {
        for (id, value) in properties(data) {
            match id {
                property::LONG_FILE_NAME => self.name = Some(value.text(label)),
                property::FILE_NAME | property::NAME if self.name.is_none() => self.name = Some(value.text(label)),
                property::MEDIA_TYPE => self.media_type = Some(value.text(label).to_ascii_lowercase()),
                property::DATA => match value {
                    // An object is preceded by the 16 bytes of its kind.
                    Value::Object(bytes) if bytes.get(16..).is_some_and(is_tnef) => {
                        self.message = bytes.get(16..).map(<[u8]>::to_vec);
                    }
                    value => self.data = value.bytes().to_vec(),
                },
                _ => {}
            }
        }
    }

    fn unpack(self, depth: usize, bounds: &Bounds, notes: &mut Notes, files: &mut Vec<Packed>) {
        if files.len() >= bounds.attachments {
            return;
        }
        let name = self.name.or(self.title).filter(|name| !name.trim().is_empty());
        let Some(message) = self.message else {
            let media_type = self.media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            files.push(Packed { name, media_type, bytes: self.data });
            return;
        };
        if depth >= MAX_DEPTH {
            notes.bounded(format!("messages packed deeper than {MAX_DEPTH} were not opened"));
            files.push(Packed { name, media_type: "application/ms-tnef".to_owned(), bytes: message });
            return;
        }
        let inner = stream(&message, depth + 1, bounds, notes);
        if !inner.text.is_empty() {
            let name = name.map(|name| format!("{name}.txt"));
            files.push(Packed { name, media_type: "text/plain".to_owned(), bytes: inner.text.into_bytes() });
        }
        let room = bounds.attachments.saturating_sub(files.len());
        files.extend(inner.files.into_iter().take(room));
    }
}

/// The value of a property.
enum Value<'a> {
    Number(u32),
    /// In a code page.
    Narrow(&'a [u8]),
    /// In UTF-16, little end first.
    Wide(&'a [u8]),
    Binary(&'a [u8]),
    Object(&'a [u8]),
}

impl<'a> Value<'a> {
    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Number(_) => &[],
            Self::Narrow(bytes) | Self::Wide(bytes) | Self::Binary(bytes) | Self::Object(bytes) => bytes,
        }
    }

    fn text(&self, label: Option<&str>) -> String {
        match self {
            Self::Wide(bytes) => clean(&encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0),
            Self::Narrow(bytes) => words(bytes, label),
            Self::Number(_) | Self::Binary(_) | Self::Object(_) => String::new(),
        }
    }
}

fn words(bytes: &[u8], label: Option<&str>) -> String {
    clean(&charset::decode(bytes, label, None).text)
}

/// Up to the zero that ends it, with line feeds for line ends.
fn clean(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or_default().replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|character| !character.is_control() || matches!(character, '\n' | '\t')).collect()
}

/// The properties that can be read; of one with several values the first.
fn properties(data: &[u8]) -> Vec<(u16, Value<'_>)> {
    let mut cursor = Cursor(data);
    let mut found = Vec::new();
    for _ in 0..cursor.u32().unwrap_or_default().min(MAX_PROPERTIES) {
        let Some((id, value)) = cursor.property() else { break };
        found.extend(value.map(|value| (id, value)));
    }
    found
}

/// What is left to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Level, id, length, data, checksum.
    fn attribute(&mut self) -> Option<(u32, &'a [u8])> {
        self.take(1)?;
        let id = self.u32()?;
        let length = usize::try_from(self.u32()?).ok()?;
        let data = self.take(length)?;
        // The checksum of the last one may be cut off.
        let _ = self.take(2);
        Some((id, data))
    }

    /// Bytes preceded by their length and filled up to four.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let bytes = self.take(length)?;
        let fill = length.next_multiple_of(4) - length;
        let _ = self.take(fill.min(self.0.len()));
        Some(bytes)
    }

    fn property(&mut self) -> Option<(u16, Option<Value<'a>>)> {
        const SEVERAL: u16 = 0x1000;
        let kind = self.u16()?;
        let id = self.u16()?;
        if id >= 0x8000 {
            // A named one: its set, and its number or name.
            self.take(16)?;
            if self.u32()? == 0 { self.u32().map(|_| ())? } else { self.sized().map(|_| ())? }
        }
        let single = kind & !SEVERAL;
        let listed = kind & SEVERAL != 0 || matches!(single, 0x1e | 0x1f | 0x102 | 0xd);
        let count = if listed { self.u32()? } else { 1 };
        let mut first = None;
        for _ in 0..count {
            let value = match single {
                0x2 | 0x3 | 0x4 | 0xa | 0xb => Value::Number(self.u32()?),
                0x5 | 0x6 | 0x7 | 0x14 | 0x40 => Value::Binary(self.take(8)?),
                0x48 => Value::Binary(self.take(16)?),
                0x1e => Value::Narrow(self.sized()?),
                0x1f => Value::Wide(self.sized()?),
                0x102 => Value::Binary(self.sized()?),
                0xd => Value::Object(self.sized()?),
                0x1 => break,
                _ => return None,
            };
            first = first.or(Some(value));
        }
        Some((id, first))
    }
}

#[cfg(test)]
#[path = "tnef_tests.rs"]
mod tests;
