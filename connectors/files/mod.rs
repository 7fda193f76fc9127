//! `files`: letters and exports that people hand over as files, from a watched folder or from the command line.
//!
//! Clerks key letters into tables, other systems export theirs, mail programs save mails. Nothing is ever deleted: a file
//! whose items are all stored moves to the done folder, and one that cannot be read moves there too once it stands in
//! quarantine with the reason. Handing a file over twice, or two exports that overlap, adds nothing: a row is known by
//! its own id or by its content, a mail by its content, never by the file.

mod document;
#[cfg(test)]
mod exports;
mod folder;
mod mbox;
mod table;
mod workbook;

#[cfg(test)]
mod harness;
mod holdings;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    contract::{Adapter, HandedOver, Limits, Mistake, Normalise, Source, Toolbox},
    entry::Item,
    fault::Fault,
    mail,
    mapping::{self, Compiled, Mapping, Preset},
    reader::Reader,
};

pub use document::MAX_ITEMS;
pub use table::{Charset, HEADER_WITHIN, MAX_COLUMNS};
pub use workbook::MAX_UNPACKED;

/// What the adapter reads, in one line.
pub const ABOUT: &str =
    "文件夹：信件登记表、导出表格、存档邮件 / a watched folder of .eml, .mbox, .csv, .tsv and .xlsx files";

/// The longest that a file may be left to settle, in seconds.
pub const MAX_SETTLE: u32 = 3600;

/// The largest file that may be allowed, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// Items of one file that cannot be read and whose places are told.
const MAX_PLACES: usize = 200;

/// Settings of a watched folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder that is watched. Only files directly in it are taken; links, hidden files and those that end in .part
    /// or .tmp are passed over.
    pub folder: PathBuf,
    /// Where a file goes once all of it is stored; `done` inside the folder unless set. Must be on the same file system.
    #[serde(default)]
    pub done_folder: Option<PathBuf>,
    /// Where each field of a complaint stands in a table: the pointer of a column is "/" and its name.
    #[serde(default = "default_mapping")]
    pub mapping: Mapping,
    /// How tables are encoded.
    #[serde(default)]
    pub encoding: Charset,
    /// What stands between the cells of a table; found out unless set.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// How long a file must have been left unchanged before it is taken, in seconds; 10 unless set.
    #[serde(default = "default_settle")]
    pub settle_seconds: u32,
    /// The largest file that is read, in bytes; 64 MiB unless set. It is held in memory while its items are taken.
    #[serde(default = "default_file_bytes")]
    pub file_bytes: u64,
    /// Addresses of our own, so that our own mail among the files is known.
    #[serde(default)]
    pub own_addresses: Vec<String>,
    /// Addresses of colleagues and offices that pass on citizens' mail: in what they pass on, the writer of the inner mail is
    /// the petitioner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwarders: Vec<String>,
}

fn default_mapping() -> Mapping {
    Mapping::preset(Preset::Letter)
}

fn default_settle() -> u32 {
    10
}

fn default_file_bytes() -> u64 {
    64 * 1024 * 1024
}

impl Settings {
    /// A folder with everything else as it is unless set.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            done_folder: None,
            mapping: default_mapping(),
            encoding: Charset::Auto,
            delimiter: None,
            settle_seconds: default_settle(),
            file_bytes: default_file_bytes(),
            own_addresses: Vec::new(),
            forwarders: Vec::new(),
        }
    }

    /// The items of one file that is handed over by hand, read as this connector reads those of its folder.
    ///
    /// # Errors
    /// A permanent fault where the file is of a kind that cannot be read; a configuration fault where the mapping
    /// cannot be used. One bad row or mail is its own item.
    pub fn expand(&self, name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Item>, Fault> {
        let handed = self.handed_over(name, Bytes::copy_from_slice(bytes), limits)?;
        Ok(handed.into_iter().map(|handed| handed.item).collect())
    }

    fn handed_over(&self, name: &str, bytes: Bytes, limits: &Limits) -> Result<Vec<HandedOver>, Fault> {
        let mapping = self.compiled()?;
        let document = document::Document::read(name, bytes, self.reading(&mapping))?;
        let mut places = 0;
        let one = |index| {
            let item = document.item(index, &mapping, limits);
            // Counting lines takes as long as the file: a person looks for the first few only.
            let told = matches!(item, Item::Unread(_)) && places < MAX_PLACES;
            places += usize::from(told);
            HandedOver { place: told.then(|| document.place(index)), item }
        };
        Ok((0..document.len()).map(one).collect())
    }

    fn compiled(&self) -> Result<Arc<Compiled>, Fault> {
        self.mapping.compile().map(Arc::new).map_err(|mistakes| mapping::fault(&mistakes))
    }

    fn reading<'a>(&self, mapping: &'a Compiled) -> document::Reading<'a> {
        document::Reading { mapping, charset: self.encoding, delimiter: self.delimiter }
    }

    fn done(&self) -> PathBuf {
        self.done_folder.clone().unwrap_or_else(|| self.folder.join("done"))
    }
}

/// The items of one file, its tables read by the column names that clerks use ([`Preset::Letter`]).
///
/// # Errors
/// As [`Settings::expand`].
pub fn expand(name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Item>, Fault> {
    Settings::new(PathBuf::new()).expand(name, bytes, limits)
}

impl Adapter for Settings {
    fn validate(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.folder.as_os_str().is_empty() {
            mistakes.push(Mistake::new("/folder", "no folder is named").suggest("folder = \"/srv/jiesu/letters\""));
        }
        if self.done() == self.folder {
            let message = "the done folder is the folder that is watched: files would be taken for ever";
            mistakes.push(Mistake::new("/done_folder", message).suggest("leave it out, or name another folder"));
        }
        if self.settle_seconds > MAX_SETTLE {
            let message = format!("{} is more than {MAX_SETTLE} seconds", self.settle_seconds);
            mistakes.push(Mistake::new("/settle_seconds", message).suggest("10"));
        }
        if !(1..=MAX_FILE_BYTES).contains(&self.file_bytes) {
            let message = format!("{} is not within 1 to {MAX_FILE_BYTES} bytes", self.file_bytes);
            mistakes.push(Mistake::new("/file_bytes", message).suggest(default_file_bytes().to_string()));
        }
        if let Some(delimiter) = self.delimiter
            && (!delimiter.is_ascii() || matches!(delimiter, '"' | '\r' | '\n'))
        {
            let message = "the delimiter must be one ASCII character that is neither a quote nor a line break";
            mistakes.push(Mistake::new("/delimiter", message).suggest("leave it out: it is found out"));
        }
        mistakes.extend(mapping::below("/mapping", self.mapping.validate()));
        mistakes
    }

    fn normaliser(&self) -> Result<Arc<dyn Normalise>, Fault> {
        let own = mail::OwnAddresses {
            addresses: self.own_addresses.clone(),
            forwarders: self.forwarders.clone(),
            ..mail::OwnAddresses::default()
        };
        Ok(Arc::new(Reader {
            mapping: self.compiled()?,
            own,
            bounds: mail::Bounds::default(),
            unread: "the row is no object of columns: it was taken in unread",
        }))
    }

    fn read_file(&self, name: &str, bytes: Bytes, limits: &Limits) -> Option<Result<Vec<HandedOver>, Fault>> {
        Some(self.handed_over(name, bytes, limits))
    }

    fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    fn source(&self, tools: &Toolbox) -> Result<Source, Fault> {
        Ok(Source::Pull(Box::new(folder::Folder::new(self.clone(), self.compiled()?, tools.clone()))))
    }
}
