//! Text that stays in its columns at 80 characters a line, where most characters are two columns wide.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns of a line.
const WIDTH: usize = 80;
/// Between two columns of a table.
const GAP: usize = 2;

/// A table whose last column takes what is left of the line.
#[derive(Debug)]
pub(crate) struct Table {
    /// Heading, and the widest that the column may become.
    columns: Vec<(&'static str, usize)>,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Row(Vec<String>),
    Note(String),
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, usize)]) -> Self {
        Self { columns: columns.to_vec(), lines: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.lines.push(Line::Row(cells.into_iter().map(|cell| clean(&cell).replace('\n', " ")).collect()));
    }

    /// A line below the last row, folded.
    pub(crate) fn note(&mut self, text: &str) {
        self.lines.push(Line::Note(fold(text, 4)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let mut widths: Vec<usize> = self.columns.iter().map(|(head, _)| head.width()).collect();
        for line in &self.lines {
            if let Line::Row(cells) = line {
                for ((width, cell), (_, most)) in widths.iter_mut().zip(cells).zip(&self.columns) {
                    *width = (*width).max(cell.width().min(*most));
                }
            }
        }
        if let Some((last, before)) = widths.split_last_mut() {
            let taken: usize = before.iter().map(|width| width + GAP).sum();
            *last = (*last).min(WIDTH.saturating_sub(taken).max(8));
        }
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let mut text = line(&heads, &widths);
        for row in &self.lines {
            match row {
                Line::Row(cells) => text.push_str(&line(cells, &widths)),
                Line::Note(note) => text.push_str(note),
            }
        }
        text
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cut(cell, *width);
        let pad = width.saturating_sub(cell.width()) + GAP;
        text.push_str(&cell);
        text.extend(std::iter::repeat_n(' ', pad));
    }
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    text
}

/// The beginning of a text that fits, marked where something was cut off.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if taken + wide + 1 > width {
            break;
        }
        taken += wide;
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// Takes out what would move the cursor or turn the reading direction: citizens write what they like, and a terminal
/// obeys it. Line breaks stay.
pub(crate) fn clean(text: &str) -> String {
    let unsafe_there = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .filter(|character| *character != '\r')
        .map(|character| if unsafe_there(character) { ' ' } else { character })
        .collect()
}

/// A text in lines that fit, each indented.
pub(crate) fn fold(text: &str, indent: usize) -> String {
    let room = WIDTH.saturating_sub(indent).max(8);
    let mut folded = String::new();
    for paragraph in clean(text).lines() {
        let mut rest = paragraph;
        loop {
            let end = fitting(rest, room);
            let (now, later) = rest.split_at(end);
            folded.extend(std::iter::repeat_n(' ', indent));
            folded.push_str(now.trim_end());
            folded.push('\n');
            rest = later.trim_start();
            if rest.is_empty() {
                break;
            }
        }
    }
    folded
}

/// Where a line ends: at the last blank that fits, or between two characters, as Chinese is broken.
fn fitting(text: &str, room: usize) -> usize {
    let mut taken = 0;
    let mut blank = None;
    let mut latin = false;
    for (place, character) in text.char_indices() {
        if character == ' ' {
            blank = Some(place);
        }
        let wide = character.width().unwrap_or(0);
        if taken + wide > room {
            let within_word = latin && character.is_ascii() && character != ' ';
            return match blank {
                Some(blank) if within_word && blank > 0 => blank,
                _ => place,
            };
        }
        latin = character.is_ascii();
        taken += wide;
    }
    text.len()
}

/// Names and values, one a line, the values in one column; empty values are left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let widest = facts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let folded = fold(value, widest + GAP);
        text.push_str(name);
        text.extend(std::iter::repeat_n(' ', widest.saturating_sub(name.width())));
        // The first line's indent makes room for the name.
        text.push_str(folded.get(widest..).unwrap_or(&folded));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_where_they_should_in_80_columns_of_double_width() {
        let mut table = Table::new(&[("接入点", 10), ("标题", 80)]);
        table.row(["mayor-mailbox-of-the-city".to_owned(), "供热温度不达标".repeat(10)]);
        table.row(["board".to_owned(), "噪音".to_owned()]);
        table.note("认证失败，the server answered 401; check the credentials of this connector ".repeat(2).trim());
        let text = table.text();
        for line in text.lines() {
            assert!(line.width() <= WIDTH, "{line}");
        }
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "接入点      标题");
        assert!(lines[1].starts_with("mayor-mai…  供热") && lines[1].ends_with('…'), "{}", lines[1]);
        assert_eq!(lines[2], "board       噪音");
        assert!(lines[3].starts_with("    认证失败"));
    }

    #[test]
    fn what_a_citizen_wrote_cannot_steer_the_terminal() {
        assert_eq!(clean("\u{1b}[2J清屏\u{202e}\r\n第二行"), " [2J清屏 \n第二行");
    }

    #[test]
    fn folding_loses_nothing_and_ends() {
        for text in ["", "一", &"一".repeat(300), &"word ".repeat(80), &"x".repeat(500), "a\n\nb"] {
            let folded = fold(text, 70);
            let letters = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<String>();
            assert_eq!(letters(&folded), letters(text));
        }
    }
}
