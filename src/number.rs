//! The number of a ticket (工单): what a citizen is told, reads out over the telephone and quotes in a reply.
//!
//! It carries its day, so that a clerk knows where to look, and a check digit, so that a digit misheard, mistyped or
//! swapped with its neighbour is recognised as a mistake and never opens someone else's ticket.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Characters of a number with every separator it is written with, and slack; more is not read.
const LONGEST: usize = 40;
/// Digits of the day, the serial and the check digit.
const DIGITS: usize = 13;
/// The last serial of a day.
const LAST_SERIAL: u32 = 999_999;

/// The quasigroup of order ten by which Damm's check digit is computed (H. Michael Damm, "Total anti-symmetrische
/// Quasigruppen", 2004): it catches every changed digit and every swap of neighbours.
const DAMM: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// The number of a ticket, written `YYMMDD-NNNNNN-C`: the day, the serial of that day, the check digit over both.
///
/// Numbers sort as they were given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TicketNumber {
    date: Date,
    serial: u32,
}

/// Why something is no ticket number. What was read is not repeated: it may be anything a citizen wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The day is outside the century that two digits of a year can tell.
    #[error("a ticket number cannot carry the year {0}: its two digits stand for 2000 to 2099")]
    Year(i16),
    /// The day has no serial left.
    #[error("{date} has no ticket number left: serial {serial} is beyond 999999, take a number of the next day")]
    Exhausted {
        /// The day.
        date: Date,
        /// The serial asked for.
        serial: u32,
    },
    /// Something other than digits, blanks and hyphens.
    #[error("character {0} of the ticket number is no digit: write it as 261123-000042-8")]
    Character(usize),
    /// Not thirteen digits.
    #[error("a ticket number has 13 digits, this has {0}: write it as 261123-000042-8")]
    Length(usize),
    /// The first six digits name no day.
    #[error("the first six digits of the ticket number name no day: a digit was misheard or mistyped, ask again")]
    Day,
    /// The check digit does not match.
    #[error("the check digit of the ticket number does not match: a digit was misheard or mistyped, ask again")]
    CheckDigit,
}

impl TicketNumber {
    /// The number of the ticket that was the `serial`-th of `date`.
    ///
    /// # Errors
    /// [`NumberError::Year`] outside 2000 to 2099, [`NumberError::Exhausted`] beyond 999,999 a day.
    pub fn new(date: Date, serial: u32) -> Result<Self, NumberError> {
        if !(2000..=2099).contains(&date.year()) {
            return Err(NumberError::Year(date.year()));
        }
        if serial > LAST_SERIAL {
            return Err(NumberError::Exhausted { date, serial });
        }
        Ok(Self { date, serial })
    }

    /// The day it was given out.
    pub fn date(self) -> Date {
        self.date
    }

    /// Its serial on that day.
    pub fn serial(self) -> u32 {
        self.serial
    }

    /// The token by which the subject of a message names the ticket: `[工单 261123-000042-8]`.
    pub fn token(self) -> String {
        format!("[工单 {self}]")
    }

    /// The first ticket that `text` names by a token, check digit verified.
    ///
    /// Brackets and digits of full width, blanks and line breaks inside the token are what mail programs make of it,
    /// and are tolerated. A bare number is not a token: citizens write many.
    pub fn find_token(text: &str) -> Option<Self> {
        text.match_indices("工单").find_map(|(start, word)| {
            let before = text[..start].chars().rev().take(LONGEST).find(|character| !character.is_whitespace())?;
            if !matches!(before, '[' | '［' | '【') {
                return None;
            }
            let rest = &text[start + word.len()..];
            let (end, _) =
                rest.char_indices().take(LONGEST).find(|(_, character)| matches!(character, ']' | '］' | '】'))?;
            rest[..end].parse().ok()
        })
    }

    /// Day and serial as one number of twelve digits.
    fn payload(self) -> u64 {
        let [year, month, day] =
            [i32::from(self.date.year()) % 100, i32::from(self.date.month()), i32::from(self.date.day())]
                .map(|part| u64::from(part.unsigned_abs()));
        ((year * 100 + month) * 100 + day) * 1_000_000 + u64::from(self.serial)
    }
}

/// The check digit of the twelve digits of `payload`.
fn check_digit(payload: u64) -> u8 {
    let digits = format!("{payload:012}");
    digits.bytes().fold(0, |interim, digit| DAMM[usize::from(interim)][usize::from((digit - b'0') % 10)])
}

impl fmt::Display for TicketNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.payload();
        write!(formatter, "{:06}-{:06}-{}", payload / 1_000_000, payload % 1_000_000, check_digit(payload))
    }
}

impl FromStr for TicketNumber {
    type Err = NumberError;

    /// Reads a number as people write it: digits of full width, blanks, any hyphen or none.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let mut digits: Vec<u32> = Vec::with_capacity(DIGITS);
        for (index, character) in text.chars().take(LONGEST + 1).enumerate() {
            let narrow = match character {
                '０'..='９' => char::from_u32(character as u32 - '０' as u32 + '0' as u32).unwrap_or(character),
                _ => character,
            };
            match narrow.to_digit(10) {
                Some(digit) => digits.push(digit),
                None if is_separator(character) => {}
                None => return Err(NumberError::Character(index + 1)),
            }
        }
        if digits.len() != DIGITS || text.chars().nth(LONGEST).is_some() {
            return Err(NumberError::Length(digits.len()));
        }

        let read = |from: usize, to: usize| digits[from..to].iter().fold(0_u32, |value, digit| value * 10 + digit);
        let small = |from: usize| i8::try_from(read(from, from + 2)).map_err(|_| NumberError::Day);
        // The check digit first: it says what is wrong better than an impossible day does.
        let payload = u64::from(read(0, 6)) * 1_000_000 + u64::from(read(6, 12));
        if u32::from(check_digit(payload)) != digits[12] {
            return Err(NumberError::CheckDigit);
        }
        let date = Date::new(2000 + i16::from(small(0)?), small(2)?, small(4)?).map_err(|_| NumberError::Day)?;
        Self::new(date, read(6, 12))
    }
}

/// Whether a character may stand between the digits of a number.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '-' | '‐'..='―' | '−' | '－' | '﹣' | 'ー' | '\u{200b}' | '\u{feff}')
}

impl TryFrom<String> for TicketNumber {
    type Error = NumberError;

    fn try_from(text: String) -> Result<Self, NumberError> {
        text.parse()
    }
}

impl From<TicketNumber> for String {
    fn from(number: TicketNumber) -> Self {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn number(day: Date, serial: u32) -> TicketNumber {
        TicketNumber::new(day, serial).unwrap()
    }

    #[test]
    fn check_digit_follows_damm() {
        // 572 → 4 is the example of Damm's publication; leading zeros do not change the digit.
        assert_eq!(check_digit(572), 4);
        assert_eq!(check_digit(0), 0);
    }

    #[test]
    fn numbers_are_written_and_read_as_people_do() {
        let expected = number(date(2026, 11, 23), 42);
        assert_eq!(expected.to_string(), "261123-000042-8");
        assert_eq!(number(date(2000, 1, 2), 0).to_string().get(..13), Some("000102-000000"));
        for text in [
            "261123-000042-8",
            "2611230000428",
            " 261123 000042 8 ",
            "２６１１２３－００００４２－８",
            "261123—000042–8",
            "26 11 23 00 00 42 8",
            "261123\u{3000}000042\r\n 8",
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", NumberError::Length(0)),
            ("261123-000042", NumberError::Length(12)),
            ("261123-000042-81", NumberError::Length(14)),
            ("261123-00004x-8", NumberError::Character(13)),
            ("261123-000042-2", NumberError::CheckDigit),
            ("二六一一二三", NumberError::Character(1)),
        ] {
            assert_eq!(text.parse::<TicketNumber>(), Err(reason), "{text:?}");
        }
        // A right check digit does not save a day that no calendar has.
        let impossible = format!("261340-000001-{}", check_digit(261_340_000_001));
        assert_eq!(impossible.parse::<TicketNumber>(), Err(NumberError::Day));
        let blanks = format!("{}261123-000042-8", " ".repeat(LONGEST));
        assert!(matches!(blanks.parse::<TicketNumber>(), Err(NumberError::Length(_))));
    }

    #[test]
    fn a_day_has_a_last_number() {
        let day = date(2026, 11, 23);
        assert!(TicketNumber::new(day, 999_999).is_ok());
        assert_eq!(TicketNumber::new(day, 1_000_000), Err(NumberError::Exhausted { date: day, serial: 1_000_000 }));
        assert_eq!(TicketNumber::new(date(1999, 12, 31), 1), Err(NumberError::Year(1999)));
        assert_eq!(TicketNumber::new(date(2100, 1, 1), 1), Err(NumberError::Year(2100)));
    }

    #[test]
    fn tokens_are_found_as_mail_programs_leave_them() {
        let expected = number(date(2026, 11, 23), 42);
        assert_eq!(expected.token(), "[工单 261123-000042-8]");
        for text in [
            "Re: 受理告知 [工单 261123-000042-8]",
            "回复：【工单２６１１２３－００００４２－８】",
            "[工单\r\n 261123-000042-8]",
            "[工单 261123-000042-2] 又见 [ 工单 261123-000042-8 ]",
            "工单工单[工单 261123-000042-8]",
        ] {
            assert_eq!(TicketNumber::find_token(text), Some(expected), "{text:?}");
        }
        for text in [
            "",
            "工单 261123-000042-8",
            "[工单 261123-000042-2]",
            "[工单 261123-000042-8",
            "[订单 261123-000042-8]",
            "[工单号不详]",
            "[工单",
        ] {
            assert_eq!(TicketNumber::find_token(text), None, "{text:?}");
        }
    }

    prop_compose! {
        fn any_number()(day in 0..36_524_i32, serial in 0..=LAST_SERIAL) -> TicketNumber {
            use jiff::ToSpan as _;
            number(date(2000, 1, 1) + day.days(), serial)
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(expected in any_number()) {
            prop_assert_eq!(expected.to_string().parse(), Ok(expected));
            prop_assert_eq!(TicketNumber::find_token(&format!("答复:{}谢谢", expected.token())), Some(expected));
            prop_assert_eq!(serde_json::from_value::<TicketNumber>(serde_json::json!(expected)).unwrap(), expected);
        }

        #[test]
        fn every_changed_digit_is_noticed(right in any_number()) {
            let right: Vec<u8> = right.to_string().bytes().filter(u8::is_ascii_digit).collect();
            for place in 0..right.len() {
                for digit in (b'0'..=b'9').filter(|digit| *digit != right[place]) {
                    let mut wrong = right.clone();
                    wrong[place] = digit;
                    let wrong = String::from_utf8(wrong).unwrap();
                    prop_assert_eq!(wrong.parse::<TicketNumber>(), Err(NumberError::CheckDigit), "{}", wrong);
                }
            }
        }

        #[test]
        fn every_swap_of_neighbours_is_noticed(right in any_number()) {
            let right: Vec<u8> = right.to_string().bytes().filter(u8::is_ascii_digit).collect();
            for place in (1..right.len()).filter(|place| right[*place] != right[*place - 1]) {
                let mut wrong = right.clone();
                wrong.swap(place - 1, place);
                let wrong = String::from_utf8(wrong).unwrap();
                prop_assert_eq!(wrong.parse::<TicketNumber>(), Err(NumberError::CheckDigit), "{}", wrong);
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[\\[【工单 0-9０-９x\\]】-]{0,200}") {
            // Whatever is found was really there.
            if let Some(found) = TicketNumber::find_token(&text) {
                let digits: String = text.chars().filter_map(|character| match character {
                    '０'..='９' => char::from_u32(character as u32 - '０' as u32 + '0' as u32),
                    _ => Some(character),
                }).filter(char::is_ascii_digit).collect();
                let found: String = found.to_string().chars().filter(char::is_ascii_digit).collect();
                prop_assert!(digits.contains(&found));
            }
            let _ = text.parse::<TicketNumber>();
        }
    }
}
