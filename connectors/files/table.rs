//! Reads tables that clerks and other systems hand over: any encoding, any delimiter, title rows above the header,
//! rows with too few cells, quotes that are never closed. A bad row stops nothing.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use encoding_rs::{GB18030, UTF_8, UTF_16BE, UTF_16LE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{fault::Fault, mapping::Compiled};

/// Columns that a table may have.
pub const MAX_COLUMNS: usize = 256;

/// Rows that are looked at for the header; what stands above it is a title.
pub const HEADER_WITHIN: usize = 10;

/// Delimiters that are tried where the settings name none.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// Quotes that are opened and never closed, after which the rest is no longer mended.
const MAX_OPEN_QUOTES: usize = 16;

/// How a table's text is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Charset {
    /// By the byte order mark; without one, UTF-8 where all of the file is UTF-8, or where its header is known in UTF-8
    /// alone; GB18030 otherwise.
    #[default]
    Auto,
    /// UTF-8.
    Utf8,
    /// GB18030, which also holds GBK and GB 2312.
    Gb18030,
}

/// A table whose rows can be read one by one.
#[derive(Debug)]
pub(super) struct Table {
    text: String,
    /// Whether bytes of the file stood for no character.
    pub(super) mended: bool,
    delimiter: u8,
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    span: Range<usize>,
    cells: usize,
    /// A quote is opened in it and never closed.
    open: bool,
}

impl Row {
    #[cfg(test)]
    pub(super) fn cells(&self) -> usize {
        self.cells
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}

impl Table {
    /// Reads the shape of a table; `most` rows at most.
    pub(super) fn read(
        bytes: &[u8],
        charset: Charset,
        delimiter: Option<char>,
        mapping: &Compiled,
        most: usize,
    ) -> Result<Self, Fault> {
        let (text, mended) = decode(bytes, charset);
        let wanted: Vec<String> = mapping.columns().collect();
        let delimiters = match delimiter.and_then(|delimiter| u8::try_from(delimiter).ok()) {
            Some(given) => vec![given],
            None => DELIMITERS.to_vec(),
        };
        let mut best: Option<(usize, u8, usize)> = None;
        for delimiter in delimiters {
            for (index, row) in records(&text, delimiter, HEADER_WITHIN).iter().enumerate() {
                let Some(cells) = cells(&text[row.span.clone()], delimiter, row) else { continue };
                let matches = cells.iter().filter(|cell| wanted.iter().any(|name| name == cell.trim())).count();
                if matches > best.map_or(0, |(most, _, _)| most) {
                    best = Some((matches, delimiter, index));
                }
            }
        }
        let Some((_, delimiter, header)) = best else {
            // A broken byte anywhere makes UTF-8 look like GB18030; the header tells.
            if charset == Charset::Auto {
                return Self::read(bytes, Charset::Utf8, delimiter, mapping, most);
            }
            return Err(Fault::permanent(format!(
                "no column that the mapping names stands in the first {HEADER_WITHIN} rows of the table"
            ))
            .remedy("add the names of its columns to the mapping and hand the table over again"));
        };
        let mut rows = records(&text, delimiter, most.saturating_add(HEADER_WITHIN));
        let columns = rows.get(header).and_then(|row| cells(&text[row.span.clone()], delimiter, row));
        rows.drain(..=header.min(rows.len().saturating_sub(1)));
        rows.retain(|row| !blank(&text[row.span.clone()], delimiter));
        Ok(Self { columns: named(&columns.unwrap_or_default()), mended, delimiter, rows, text })
    }

    /// How many rows there are below the header, blank ones left out.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The line of the file on which a row begins, counted from 1.
    pub(super) fn line(&self, index: usize) -> usize {
        let start = self.rows.get(index).map_or(0, |row| row.span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let breaks = before.matches('\n').count();
        // Old files end their lines with a carriage return alone.
        if breaks > 0 { breaks + 1 } else { before.matches('\r').count() + 1 }
    }

    /// The text of a row as it stands in the table.
    pub(super) fn text(&self, index: usize) -> &str {
        self.rows.get(index).map_or("", |row| &self.text[row.span.clone()])
    }

    /// A row as an object of its columns, or why it is none.
    pub(super) fn row(&self, index: usize) -> Result<Map<String, Value>, String> {
        let row = self.rows.get(index).ok_or_else(|| "the table has no such row".to_owned())?;
        if row.open {
            return Err("a quote is opened in this row and never closed".to_owned());
        }
        let wrong = || format!("the row has {} cells where the header has {}", row.cells, self.columns.len());
        let mut cells = cells(&self.text[row.span.clone()], self.delimiter, row).ok_or_else(wrong)?;
        // Spreadsheets write empty cells to the right of the table, or leave them all out.
        while cells.len() > self.columns.len() && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
            cells.pop();
        }
        if cells.len() != self.columns.len() {
            return Err(wrong());
        }
        let pairs = self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        Ok(pairs.map(|(column, cell)| (column.clone(), Value::String(plain(cell)))).collect())
    }
}

/// A cell without the dress in which spreadsheets keep long numbers from being counted: `="00123"`, `'00123`.
fn plain(cell: String) -> String {
    let text = cell.trim();
    if let Some(inner) = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        return inner.to_owned();
    }
    match text.strip_prefix('\'') {
        Some(rest) if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) => rest.to_owned(),
        _ => cell,
    }
}

/// Column names: trimmed, an empty one by its place, a repeated one with a number.
fn named(cells: &[String]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let names = cells.iter().enumerate().map(|(index, cell)| match cell.trim() {
        "" => format!("#{}", index + 1),
        name => name.to_owned(),
    });
    let mut names: Vec<String> = names
        .map(|name| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}#{count}") }
        })
        .collect();
    // Empty cells to the right of the header are no columns.
    while names.last().is_some_and(|name| *name == format!("#{}", names.len())) {
        names.pop();
    }
    names
}

fn decode(bytes: &[u8], charset: Charset) -> (String, bool) {
    let marked = encoding_rs::Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let encoding = match (marked, charset) {
        (Some(marked), _) if [UTF_8, UTF_16LE, UTF_16BE].contains(&marked) => marked,
        (_, Charset::Utf8) => UTF_8,
        (_, Charset::Auto) if std::str::from_utf8(bytes).is_ok() => UTF_8,
        (_, Charset::Auto | Charset::Gb18030) => GB18030,
    };
    let (text, _, mended) = encoding.decode(bytes);
    (Cow::into_owned(text), mended)
}

/// Where the rows of a table stand, by RFC 4180: a quote counts only where a cell begins.
pub(super) fn records(text: &str, delimiter: u8, most: usize) -> Vec<Row> {
    let bytes = text.as_bytes();
    let mut rows = Vec::new();
    let mut position = 0;
    let mut open_quotes = 0;
    while position < bytes.len() && rows.len() < most {
        let mut scan = scan(bytes, position, delimiter);
        if scan.open && open_quotes < MAX_OPEN_QUOTES {
            // The rest of the file is not one cell: give up this row only.
            open_quotes += 1;
            scan.end = bytes[position..]
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'\r'))
                .map_or(bytes.len(), |length| position + length);
        }
        if scan.end > position {
            rows.push(Row { span: position..scan.end, cells: scan.cells, open: scan.open });
        }
        position = scan.end + 1;
    }
    rows
}

struct Scan {
    end: usize,
    cells: usize,
    open: bool,
}

fn scan(bytes: &[u8], start: usize, delimiter: u8) -> Scan {
    let mut cells = 1;
    let mut quoted = false;
    let mut cell_begins = true;
    let mut position = start;
    while let Some(&byte) = bytes.get(position) {
        if quoted {
            if byte == b'"' {
                if bytes.get(position + 1) == Some(&b'"') {
                    position += 1;
                } else {
                    quoted = false;
                }
            }
        } else if byte == b'"' && cell_begins {
            quoted = true;
            cell_begins = false;
        } else if byte == delimiter {
            cells += 1;
            cell_begins = true;
        } else if matches!(byte, b'\n' | b'\r') {
            return Scan { end: position, cells, open: false };
        } else {
            cell_begins = false;
        }
        position += 1;
    }
    Scan { end: bytes.len(), cells, open: quoted }
}

fn cells(text: &str, delimiter: u8, row: &Row) -> Option<Vec<String>> {
    if row.cells > MAX_COLUMNS || row.open {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(text.len().clamp(64, 64 * 1024))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    if !reader.read_record(&mut record).ok()? {
        return None;
    }
    Some(record.iter().map(str::to_owned).collect())
}

fn blank(text: &str, delimiter: u8) -> bool {
    text.bytes().all(|byte| byte == delimiter || byte == b'"' || byte.is_ascii_whitespace())
}
