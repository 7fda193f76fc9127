//! One file and the items in it, each made only when it is asked for: a large export is never held twice.

use std::ops::Range;

use bytes::Bytes;

use super::{
    mbox,
    table::{Charset, Table},
    workbook,
};
use crate::{
    contract::Limits,
    entry::{ExternalId, Form, Item, RawEntry, Remark, Revision, Unread},
    fault::Fault,
    mail,
    mapping::Compiled,
};

/// Items that one file may hold.
pub const MAX_ITEMS: usize = 500_000;

/// How the tables among the files are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// Where the columns go.
    pub(super) mapping: &'a Compiled,
    /// How the text is encoded.
    pub(super) charset: Charset,
    /// What stands between cells; `None` to find out.
    pub(super) delimiter: Option<char>,
}

/// A file whose kind is known.
#[derive(Debug)]
pub(super) enum Document {
    /// One mail.
    Mail(Bytes),
    /// A mailbox file.
    Mbox { bytes: Bytes, mails: Vec<Range<usize>> },
    /// A table.
    Table(Table),
    /// The sheets of a workbook.
    Workbook(Vec<Sheet>),
}

/// A sheet of a workbook.
#[derive(Debug)]
pub(super) enum Sheet {
    /// Its rows are items.
    Table(Table),
    /// It is a table of something else: one item for quarantine, so that it is not passed over in silence.
    Foreign(String),
}

impl Document {
    /// Reads a file as what its name and its first bytes say that it is.
    ///
    /// # Errors
    /// A permanent fault that says what it is instead; holds neither the name nor anything of the content.
    pub(super) fn read(name: &str, bytes: Bytes, reading: Reading<'_>) -> Result<Self, Fault> {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
        if let Some(fault) = foreign(&bytes, &extension) {
            return Err(fault);
        }
        let document = match extension.as_str() {
            "eml" => Self::Mail(bytes),
            "mbox" => {
                let mails = mbox::split(&bytes, MAX_ITEMS).ok_or_else(|| {
                    Fault::permanent("the file is no mailbox file: it does not start with \"From \"")
                        .remedy("export it as mbox, or hand the mails over as .eml files")
                })?;
                Self::Mbox { bytes, mails }
            }
            "xlsx" => Self::Workbook(sheets(&bytes, reading)?),
            _ => Self::Table(Table::read(&bytes, reading.charset, reading.delimiter, reading.mapping, MAX_ITEMS + 1)?),
        };
        if document.len() > MAX_ITEMS {
            return Err(Fault::permanent(format!("the file holds more than {MAX_ITEMS} items"))
                .remedy("cut it in pieces; what overlaps is recognised"));
        }
        Ok(document)
    }

    /// Items in it.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Mail(_) => 1,
            Self::Mbox { mails, .. } => mails.len(),
            Self::Table(table) => table.len(),
            Self::Workbook(sheets) => sheets.iter().map(Sheet::len).sum(),
        }
    }

    /// Where an item stands, in words: the line of a table, the number of a mail.
    pub(super) fn place(&self, index: usize) -> String {
        match self {
            Self::Mail(_) => "the mail".to_owned(),
            Self::Mbox { .. } => format!("mail {}", index + 1),
            Self::Table(table) => format!("line {}", table.line(index)),
            Self::Workbook(sheets) => {
                let mut index = index;
                for (number, sheet) in (1..).zip(sheets) {
                    match sheet {
                        Sheet::Table(table) if index < table.len() => {
                            return format!("sheet {number}, line {}", table.line(index));
                        }
                        Sheet::Foreign(_) if index == 0 => return format!("sheet {number}"),
                        _ => index -= sheet.len(),
                    }
                }
                "the workbook".to_owned()
            }
        }
    }

    /// The item at a place, which is less than [`Document::len`].
    pub(super) fn item(&self, index: usize, mapping: &Compiled, limits: &Limits) -> Item {
        match self {
            Self::Mail(bytes) => letter(bytes.clone(), limits),
            Self::Mbox { bytes, mails } => {
                let span = mails.get(index).cloned().unwrap_or_default();
                let mail = bytes.slice(span);
                let mail = match mbox::unquoted(&mail) {
                    std::borrow::Cow::Borrowed(_) => mail,
                    std::borrow::Cow::Owned(mail) => Bytes::from(mail),
                };
                letter(mail, limits)
            }
            Self::Table(table) => row(table, index, mapping, limits),
            Self::Workbook(sheets) => {
                let mut index = index;
                for sheet in sheets {
                    match sheet {
                        Sheet::Table(table) if index < table.len() => return row(table, index, mapping, limits),
                        Sheet::Foreign(text) if index == 0 => return unread(text, FOREIGN_SHEET.to_owned(), limits),
                        _ => index -= sheet.len(),
                    }
                }
                unread("", FOREIGN_SHEET.to_owned(), limits)
            }
        }
    }
}

const FOREIGN_SHEET: &str = "a sheet of the workbook has no column that the mapping names in its first rows";

impl Sheet {
    fn len(&self) -> usize {
        match self {
            Self::Table(table) => table.len(),
            Self::Foreign(_) => 1,
        }
    }
}

/// The sheets of a workbook; at least one of them is a table that the mapping knows.
fn sheets(bytes: &Bytes, reading: Reading<'_>) -> Result<Vec<Sheet>, Fault> {
    let mut refused = None;
    let mut sheets = Vec::new();
    for text in workbook::sheets(bytes)? {
        let table = Table::read(text.as_bytes(), Charset::Utf8, Some(','), reading.mapping, MAX_ITEMS + 1);
        sheets.push(match table {
            Ok(table) => Sheet::Table(table),
            Err(fault) => {
                refused = Some(fault);
                Sheet::Foreign(text)
            }
        });
    }
    if sheets.iter().any(|sheet| matches!(sheet, Sheet::Table(_))) {
        return Ok(sheets);
    }
    let empty = || Fault::permanent("the workbook is empty").remedy("hand it over again once it is filled");
    Err(refused.unwrap_or_else(empty))
}

/// What a file is that cannot be read, by its name or by its first bytes; names lie.
fn foreign(bytes: &[u8], extension: &str) -> Option<Fault> {
    let says = |what: &str, remedy: &str| Some(Fault::permanent(what).remedy(remedy));
    if bytes.is_empty() {
        return says("the file is empty", "hand it over again once it is written");
    }
    let archive = bytes.starts_with(b"PK\x03\x04");
    let others: [(&[u8], &str); 7] = [
        (b"PK\x05\x06", "zip"),
        (b"PK\x07\x08", "zip"),
        (b"Rar!\x1a\x07", "rar"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x1f\x8b", "gz"),
        (b"BZh", "bz2"),
        (b"\xfd7zXZ\x00", "xz"),
    ];
    let packed = others.iter().any(|(magic, name)| bytes.starts_with(magic) || extension == *name);
    if packed || (archive && extension != "xlsx") {
        return says(
            "archives (.zip, .rar, .7z, .gz) are never unpacked",
            "unpack it and hand over the files in it; a workbook's name ends in .xlsx",
        );
    }
    if extension == "xlsx" && !archive && !bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return says("the file is no workbook, whatever its name says", "save the sheet as .xlsx or as CSV UTF-8");
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") || extension == "xls" {
        return says(
            "old or locked workbooks (.xls) and Outlook mails (.msg) cannot be read",
            "save the sheet as .xlsx without a password or as CSV, the mail as .eml",
        );
    }
    if !matches!(extension, "eml" | "mbox" | "csv" | "tsv" | "xlsx") {
        return says("files of this kind cannot be read", "hand over .eml, .mbox, .csv, .tsv or .xlsx");
    }
    None
}

fn letter(raw: Bytes, limits: &Limits) -> Item {
    let external_id = mail::content_key(&raw);
    let (raw, remarks) = bounded(raw, limits);
    Item::Entry(RawEntry {
        external_id,
        revision: Revision::only(),
        delivery_id: None,
        source_time: None,
        form: Form::Mail,
        raw,
        remarks,
    })
}

fn bounded(raw: Bytes, limits: &Limits) -> (Bytes, Vec<Remark>) {
    if raw.len() <= limits.item_bytes {
        return (raw, Vec::new());
    }
    let remark = Remark::Oversize { size: Some(raw.len() as u64), limit: limits.item_bytes as u64 };
    (raw.slice(..limits.item_bytes), vec![remark])
}

fn row(table: &Table, index: usize, mapping: &Compiled, limits: &Limits) -> Item {
    let text = table.text(index);
    if text.len() > limits.item_bytes {
        return unread(text, format!("the row is larger than {} bytes", limits.item_bytes), limits);
    }
    let columns = match table.row(index) {
        Ok(columns) => serde_json::Value::Object(columns),
        Err(reason) => return unread(text, reason, limits),
    };
    let raw = Bytes::from(columns.to_string());
    // Without an id of its own a row is its content, in whatever file it stands.
    let (external_id, revision) = match mapping.id(&columns) {
        Some(id) => (id, mapping.revision(&columns)),
        None => (ExternalId::of_content(&[mapping.revision(&columns).as_str().as_bytes(), &raw]), Revision::only()),
    };
    let remarks = if table.mended && raw_holds_replacement(&raw) {
        vec![Remark::Mended { what: "bytes that stand for no character were replaced".to_owned() }]
    } else {
        Vec::new()
    };
    Item::Entry(RawEntry {
        external_id,
        revision,
        delivery_id: None,
        source_time: mapping.time(&columns),
        form: Form::Row,
        raw,
        remarks,
    })
}

fn raw_holds_replacement(raw: &[u8]) -> bool {
    raw.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes())
}

fn unread(text: &str, reason: String, limits: &Limits) -> Item {
    let raw = Bytes::copy_from_slice(&text.as_bytes()[..text.len().min(limits.item_bytes)]);
    Item::Unread(Unread {
        external_id: ExternalId::of_content(&[text.as_bytes()]),
        revision: Revision::only(),
        form: Form::Row,
        raw,
        reason,
    })
}
