//! Workbooks (.xlsx), as the tables that are in them.
//!
//! Each sheet becomes the text of a table, so that header, rows, ids and quarantine follow the same rules as in a CSV
//! file. A workbook is an archive and so may hold far more than its size: what it unpacks to is counted before anything
//! of it is kept.

use std::io::{Cursor, Read, sink};

use bytes::Bytes;
use calamine::{DataRef, Reader as _, Xlsx};

use super::table::{HEADER_WITHIN, MAX_COLUMNS};
use crate::fault::Fault;

/// What all parts of a workbook may unpack to, in bytes; the text that is read of it is held to the same bound.
pub const MAX_UNPACKED: u64 = 256 * 1024 * 1024;

/// Parts that a workbook may have.
const MAX_PARTS: usize = 2_000;

/// Sheets that are read.
const MAX_SHEETS: usize = 64;

/// The days that Excel can show as a date: 1900-01-01 to 9999-12-31.
const DAYS: std::ops::Range<f64> = 1.0..2_958_466.0;

/// Whole numbers from here on may have lost digits.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The sheets of a workbook, each as the text of a table with commas; empty ones are left out.
///
/// # Errors
/// A permanent fault where it is no workbook or goes over a bound; holds nothing of the content.
pub(super) fn sheets(bytes: &Bytes) -> Result<Vec<String>, Fault> {
    sheets_within(bytes, MAX_UNPACKED)
}

fn sheets_within(bytes: &Bytes, most: u64) -> Result<Vec<String>, Fault> {
    measure(bytes, most)?;
    let mut workbook = Xlsx::new(Cursor::new(bytes.clone())).map_err(|_| broken())?;
    let names = workbook.sheet_names();
    if names.len() > MAX_SHEETS {
        return Err(Fault::permanent(format!("the workbook has more than {MAX_SHEETS} sheets"))
            .remedy("hand the sheets over as files of their own"));
    }
    let mut texts = Vec::new();
    let mut left = usize::try_from(most).unwrap_or(usize::MAX);
    for name in names {
        // A sheet of another kind, such as a chart, has no cells.
        let Ok(mut cells) = workbook.worksheet_cells_reader(&name) else { continue };
        let mut sheet = Sheet::new(left);
        while let Some(cell) = cells.next_cell().map_err(|_| broken())? {
            let (row, column) = cell.get_position();
            sheet.take(row, column, text(cell.get_value()))?;
        }
        let text = sheet.finish()?;
        left = left.saturating_sub(text.len());
        if !text.is_empty() {
            texts.push(text);
        }
    }
    Ok(texts)
}

/// Unpacks every part once and throws it away: the sizes that an archive tells may be lies.
fn measure(bytes: &Bytes, most: u64) -> Result<(), Fault> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.clone())).map_err(|_| broken())?;
    if archive.len() > MAX_PARTS {
        return Err(too_large(most));
    }
    let mut left = most;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|_| broken())?;
        let length = std::io::copy(&mut part.take(left.saturating_add(1)), &mut sink()).map_err(|_| broken())?;
        left = left.checked_sub(length).ok_or_else(|| too_large(most))?;
    }
    Ok(())
}

fn broken() -> Fault {
    Fault::permanent("the file is no workbook, or a broken or a locked one")
        .remedy("open it in a spreadsheet program and save it again as .xlsx without a password, or as CSV UTF-8")
}

fn too_large(most: u64) -> Fault {
    Fault::permanent(format!("the workbook unpacks to more than {most} bytes or {MAX_PARTS} parts"))
        .remedy("cut it in pieces; what overlaps is recognised")
}

/// A sheet on its way to text.
struct Sheet {
    writer: csv::Writer<Vec<u8>>,
    /// Rows held back until it is known how wide the header is.
    first: Vec<Vec<String>>,
    width: usize,
    row: Option<(u32, Vec<String>)>,
    left: usize,
    most: usize,
}

impl Sheet {
    fn new(most: usize) -> Self {
        let writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        Self { writer, first: Vec::new(), width: 0, row: None, left: most, most }
    }

    fn take(&mut self, row: u32, column: u32, text: String) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        self.left = self.left.checked_sub(text.len()).ok_or_else(|| too_large(self.most as u64))?;
        if self.row.as_ref().is_none_or(|(current, _)| *current != row) {
            self.end_row()?;
        }
        let (_, cells) = self.row.get_or_insert_with(|| (row, Vec::new()));
        // What stands beyond the columns of a table makes the row one cell too wide, so that it is told.
        let column = usize::try_from(column).unwrap_or(usize::MAX).min(MAX_COLUMNS);
        if cells.len() <= column {
            cells.resize(column + 1, String::new());
        }
        if let Some(cell) = cells.get_mut(column) {
            *cell = text;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), Fault> {
        let Some((_, cells)) = self.row.take() else { return Ok(()) };
        self.left = self.left.checked_sub(cells.len()).ok_or_else(|| too_large(self.most as u64))?;
        if self.first.len() < HEADER_WITHIN {
            self.width = self.width.max(cells.len());
            self.first.push(cells);
            return Ok(());
        }
        self.flush()?;
        self.write(cells)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        for cells in std::mem::take(&mut self.first).into_iter().filter(|cells| !cells.is_empty()) {
            self.write(cells)?;
        }
        // Once written they are not gathered again.
        self.first = vec![Vec::new(); HEADER_WITHIN];
        Ok(())
    }

    /// Writes a row; the empty cells that a workbook leaves out at its end are added.
    fn write(&mut self, mut cells: Vec<String>) -> Result<(), Fault> {
        if cells.len() < self.width {
            cells.resize(self.width, String::new());
        }
        self.writer.write_record(cells).map_err(|_| broken())
    }

    fn finish(mut self) -> Result<String, Fault> {
        self.end_row()?;
        self.flush()?;
        let bytes = self.writer.into_inner().map_err(|_| broken())?;
        String::from_utf8(bytes).map_err(|_| broken())
    }
}

/// What a cell shows, near enough: dates as dates, whole numbers without a fraction.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => written(*number),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(flag) => flag.to_string(),
        DataRef::DateTime(moment) if moment.is_datetime() && DAYS.contains(&moment.as_f64()) => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            if moment.as_f64().fract() == 0.0 {
                return format!("{year:04}-{month:02}-{day:02}");
            }
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
        }
        DataRef::DateTime(moment) => written(moment.as_f64()),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// A number as text; one that may have lost digits in scientific notation, so that it is taken for no id.
fn written(number: f64) -> String {
    if number.abs() < EXACT { number.to_string() } else { format!("{number:E}").replace('E', "E+") }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        contract::{Adapter as _, Limits},
        entry::{Item, RawEntry},
        files::{Settings, expand},
    };

    /// A workbook with sheets of the given XML rows; style 1 is a date with time, style 2 a date.
    fn workbook(sheets: &[&str]) -> Vec<u8> {
        const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        const LINKS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut part = |name: String, text: String| {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        };
        let numbered = |each: &dyn Fn(usize) -> String| (1..=sheets.len()).map(each).collect::<String>();
        let named = numbered(&|number| format!("<sheet name=\"S{number}\" sheetId=\"{number}\" r:id=\"r{number}\"/>"));
        let links = numbered(&|number| {
            format!(
                "<Relationship Id=\"r{number}\" Type=\"{LINKS}/worksheet\" Target=\"worksheets/sheet{number}.xml\"/>"
            )
        });
        part(
            "_rels/.rels".to_owned(),
            format!(
                "<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"w\" Type=\"{LINKS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        );
        part(
            "xl/workbook.xml".to_owned(),
            format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{LINKS}\"><sheets>{named}</sheets></workbook>"),
        );
        part(
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!(
                "<Relationships xmlns=\"{PACKAGE}\">{links}<Relationship Id=\"s\" Type=\"{LINKS}/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        );
        part(
            "xl/styles.xml".to_owned(),
            format!(
                "<styleSheet xmlns=\"{MAIN}\"><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"22\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"
            ),
        );
        for (index, rows) in sheets.iter().enumerate() {
            part(
                format!("xl/worksheets/sheet{}.xml", index + 1),
                format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"),
            );
        }
        archive.finish().unwrap().into_inner()
    }

    fn inline(reference: &str, text: &str) -> String {
        format!("<c r=\"{reference}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    }

    #[test]
    fn cells_become_the_text_that_they_show() {
        let rows = format!(
            "<row r=\"1\">{}{}{}</row><row r=\"3\">{}<c r=\"B3\" s=\"1\"><v>43836.506689814815</v></c></row>\
             <row r=\"4\"><c r=\"A4\"><v>250331144260109</v></c><c r=\"B4\" s=\"2\"><v>43836</v></c><c r=\"C4\"><v>1.5</v></c></row>\
             <row r=\"5\"><c r=\"A5\"><v>25033114426010901234</v></c><c r=\"B5\" t=\"e\"><v>#N/A</v></c></row>",
            inline("A1", "编号"),
            inline("B1", "受理时间"),
            inline("C1", "内容"),
            inline("A3", "甲,&quot;乙&quot;"),
        );
        let texts = sheets(&Bytes::from(workbook(&[&rows, ""]))).unwrap();
        assert_eq!(
            texts,
            ["编号,受理时间,内容\n\"甲,\"\"乙\"\"\",2020-01-06 12:09:38,\n250331144260109,2020-01-06,1.5\n2.5033114426010903E+19,,\n"
                .to_owned()]
        );
    }

    #[test]
    fn d04_a_workbook_that_unpacks_without_end_is_refused_before_it_is_read() {
        let bomb = "x".repeat(3_000_000);
        let bytes = Bytes::from(workbook(&[&format!("<row r=\"1\">{}</row>", inline("A1", &bomb))]));
        assert!(bytes.len() < 100_000, "the archive itself is small");
        let fault = sheets_within(&bytes, 2_000_000).unwrap_err();
        assert!(fault.message.contains("unpacks to more than 2000000"), "{fault}");
        assert_eq!(sheets_within(&bytes, 20_000_000).unwrap().len(), 1);
        // A cell far out makes no row that is as wide.
        let far = Bytes::from(workbook(&["<row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row>"]));
        assert!(sheets(&far).unwrap()[0].len() < 2 * MAX_COLUMNS);
    }

    #[test]
    fn a_workbook_is_read_sheet_by_sheet_and_a_row_of_it_is_that_of_a_csv_file() {
        let cell = |text: &str| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>");
        let row = |cells: &[&str]| format!("<row>{}</row>", cells.iter().map(|text| cell(text)).collect::<String>());
        // An export of Shanghai's shape: dates as text and as Excel serials in one column, and a row that is too wide.
        let head = ["12345工单编号", "12345受理时间", "12345诉求地址", "12345内容描述"];
        let one = [
            row(&["12345热线工单导出"]),
            row(&head),
            row(&["SH20200106001", "2020/1/6 12:09:38", "襄平街1号", "路灯不亮"]),
            format!(
                "<row>{}<c><v>43836.506689814815</v></c>{}{}</row>",
                cell("SH20200106002"),
                cell("襄平街2号"),
                cell("停水")
            ),
            row(&["SH20200106003", "x", "x", "x", "x"]),
            row(&["SH20200106004", "2020-01-07", "襄平街4号", "噪音"]),
        ];
        // And one of Shunde's.
        let two = [row(&["序号", "工单编号", "标题", "内容"]), row(&["1", "250331144260109-01", "占道", "占道经营"])];
        let three = [row(&["说明"]), row(&["本表仅供内部使用"])];
        let bytes = workbook(&[&one.concat(), &two.concat(), &three.concat()]);
        let items = expand("a.xlsx", &bytes, &Limits::default()).unwrap();
        let read: Vec<&RawEntry> = items
            .iter()
            .filter_map(|item| match item {
                Item::Entry(entry) => Some(entry),
                Item::Unread(_) | Item::Fragment(_) => None,
            })
            .collect();
        let now: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let names: Vec<&str> = read.iter().map(|entry| entry.external_id.as_str()).collect();
        assert_eq!(names, ["SH20200106001", "SH20200106002", "SH20200106004", "250331144260109-01"]);
        assert_eq!(items.len(), 6, "the bad row and the sheet of something else are in quarantine");
        let reader = Settings::new("x").normaliser().unwrap();
        let complaints: Vec<_> = read.iter().map(|entry| reader.normalise(entry, now).unwrap()).collect();
        let noon: Timestamp = "2020-01-06T12:09:38+08:00".parse().unwrap();
        for complaint in &complaints[..2] {
            assert_eq!(complaint.made_at.unwrap().at.as_second(), noon.as_second());
        }
        assert_eq!(complaints[1].place.as_deref(), Some("襄平街2号"));
        assert_eq!((complaints[3].subject.as_deref(), complaints[3].body.as_str()), (Some("占道"), "占道经营"));

        let text = "序号,工单编号,标题,内容\n1,250331144260109-01,占道,占道经营\n";
        let csv = expand("a.csv", text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(csv[0], items[4], "handed over in either form, it is the same");
        assert!(expand("a.xlsx", &workbook(&[""]), &Limits::default()).unwrap_err().message.contains("empty"));
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..1000_usize) {
            let _ = sheets(&Bytes::from([b"PK\x03\x04".as_slice(), &bytes].concat()));
            let mut whole = workbook(&["<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>"]);
            whole.truncate(whole.len().saturating_sub(cut));
            let _ = sheets(&Bytes::from(whole));
        }
    }
}
