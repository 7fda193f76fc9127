//! Telephone, identity and bank card numbers: whole runs of digits are taken first and then classified, so that no
//! pattern matches inside a longer number.

use connectors::complaint::Petitioner;

use super::{KNOWN_LIMIT, Label, Span, canonical::is_landline, digit};

/// Most runs of digits, with one separator between two of them, that are read as one number. A mobile written digit by
/// digit has eleven.
const GROUPS: usize = 11;

/// How far before a number a word is looked for that says what the number is, in characters.
const CONTEXT: usize = 8;

/// Digits that stand together.
struct Run {
    start: usize,
    end: usize,
    digits: String,
    /// Whether the character between this run and the next may stand inside one number.
    joined: bool,
}

pub(super) fn find(characters: &[char], known: &Petitioner, spans: &mut Vec<Span>) {
    let local: Vec<String> = known
        .phones
        .iter()
        .take(KNOWN_LIMIT)
        .map(|phone| phone.chars().filter_map(digit).map(|value| char::from(b'0' + value)).collect::<String>())
        .filter(|digits| digits.len() >= 7)
        .collect();
    let runs = runs(characters);
    let mut index = 0;
    while index < runs.len() {
        if let Some((count, label, end)) = classify(characters, &runs[index..], &local) {
            spans.push(Span { start: lead(characters, runs[index].start, label), end, label });
            index += count;
        } else {
            index += 1;
        }
    }
    chinese_mobiles(characters, spans);
}

fn runs(characters: &[char]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut position = 0;
    while position < characters.len() {
        let Some(first) = digit(characters[position]) else {
            position += 1;
            continue;
        };
        let start = position;
        let mut digits = String::from(char::from(b'0' + first));
        position += 1;
        while let Some(next) = characters.get(position).and_then(|character| digit(*character)) {
            digits.push(char::from(b'0' + next));
            position += 1;
        }
        if let Some(last) = runs.last_mut() {
            let gap = &characters[last.end..start];
            last.joined = matches!(gap, [one] if is_separator(*one))
                || matches!(gap, [a, b] if is_separator(*a) && is_separator(*b));
        }
        runs.push(Run { start, end: position, digits, joined: false });
    }
    runs
}

fn is_separator(character: char) -> bool {
    matches!(
        character,
        ' ' | '\u{a0}'
            | '\u{3000}'
            | '\t'
            | '-'
            | '－'
            | '–'
            | '—'
            | '‐'
            | '‑'
            | '·'
            | '.'
            | ')'
            | '）'
            | '('
            | '（'
            | '_'
    )
}

/// Takes the `+` of a country code and the bracket of an area code into the span.
fn lead(characters: &[char], start: usize, label: Label) -> usize {
    let before = start.checked_sub(1).map(|position| characters[position]);
    match (label, before) {
        (Label::Mobile | Label::Landline, Some('+' | '＋')) | (Label::Landline, Some('(' | '（')) => start - 1,
        _ => start,
    }
}

/// What the number is that begins with the first run: how many runs it takes, its label, and where it ends.
fn classify(characters: &[char], runs: &[Run], local: &[String]) -> Option<(usize, Label, usize)> {
    let first = runs.first()?;
    if let Some(label) = single(characters, first, local) {
        let mut end = first.end;
        if label == Label::Identity && first.digits.len() == 17 && is_x(characters, end) {
            end += 1;
        }
        if label == Label::Landline
            && let Some(extension) = extension(runs)
        {
            return Some((2, label, extension));
        }
        return Some((1, label, end));
    }
    let mut digits = first.digits.clone();
    let mut lengths = vec![first.digits.len()];
    for (count, pair) in runs.windows(2).take(GROUPS - 1).enumerate() {
        if !pair[0].joined || digits.len() > 19 {
            break;
        }
        digits.push_str(&pair[1].digits);
        lengths.push(pair[1].digits.len());
        if let Some(label) = grouped(characters, &digits, &lengths, pair[1].end) {
            let taken = count + 2;
            let mut end = pair[1].end;
            if label == Label::Identity && digits.len() == 17 && is_x(characters, end) {
                end += 1;
            }
            if label == Label::Landline
                && let Some(extension) = extension(&runs[taken - 1..])
            {
                return Some((taken + 1, label, extension));
            }
            return Some((taken, label, end));
        }
    }
    None
}

/// Where the extension of a landline ends, when the next run is one.
fn extension(runs: &[Run]) -> Option<usize> {
    match runs {
        [first, second, ..] if first.joined && (2..=5).contains(&second.digits.len()) => Some(second.end),
        _ => None,
    }
}

fn single(characters: &[char], run: &Run, local: &[String]) -> Option<Label> {
    let digits = run.digits.as_str();
    let bare = digits.strip_prefix("0086").or_else(|| digits.strip_prefix("86")).unwrap_or(digits);
    if is_mobile(digits) || is_mobile(bare) || digits.strip_prefix('0').is_some_and(is_mobile) {
        return Some(Label::Mobile);
    }
    if is_landline(digits) || local.iter().any(|known| known == digits) {
        return Some(Label::Landline);
    }
    match digits.len() {
        17 if is_identity_with_x(characters, digits, run.end) => return Some(Label::Identity),
        18 if is_identity(digits.as_bytes()) => return Some(Label::Identity),
        15 if is_old_identity(digits.as_bytes()) => return Some(Label::Identity),
        15 | 17 | 18 if told_before(characters, run.start, &["身份证"]) => return Some(Label::Identity),
        16..=19 if is_bank_card(digits.as_bytes()) => return Some(Label::BankCard),
        16..=19 if told_before(characters, run.start, &["银行卡", "卡号", "账号", "帐号"]) => {
            return Some(Label::BankCard);
        }
        7 | 8
            if told_before(
                characters,
                run.start,
                &["联系电话", "我的电话", "本人电话", "家里电话", "座机", "我家电话"],
            ) =>
        {
            return Some(Label::Landline);
        }
        _ => {}
    }
    None
}

/// Numbers written in groups: only in the groupings that people use, so that dates and order numbers stay.
fn grouped(characters: &[char], digits: &str, lengths: &[usize], end: usize) -> Option<Label> {
    let singles = lengths.iter().all(|length| *length == 1);
    let mobile_groups = |groups: &[usize]| {
        matches!(groups, [3, 4, 4] | [3, 8] | [7, 4] | [4, 7] | [4, 4, 3] | [3, 3, 5] | [5, 6] | [3, 4, 2, 2] | [11])
    };
    if (singles && is_mobile(digits)) || (mobile_groups(lengths) && is_mobile(digits)) {
        return Some(Label::Mobile);
    }
    if let [country, rest @ ..] = lengths
        && let Some(bare) = digits.strip_prefix("0086").or_else(|| digits.strip_prefix("86"))
        && digits.len() - bare.len() == *country
    {
        if mobile_groups(rest) && is_mobile(bare) {
            return Some(Label::Mobile);
        }
        if matches!(rest, [2 | 3, 7 | 8]) && is_landline(&format!("0{bare}")) {
            return Some(Label::Landline);
        }
    }
    if matches!(lengths, [3 | 4, 7 | 8] | [3 | 4, 3 | 4, 4]) && is_landline(digits) {
        return Some(Label::Landline);
    }
    match digits.len() {
        18 if matches!(lengths, [6, 8, 4] | [6, 4, 4, 4] | [3, 3, 4, 4, 4] | [4, 4, 4, 4, 2])
            && is_identity(digits.as_bytes()) =>
        {
            Some(Label::Identity)
        }
        17 if matches!(lengths, [6, 8, 3] | [6, 4, 4, 3]) && is_identity_with_x(characters, digits, end) => {
            Some(Label::Identity)
        }
        16..=19
            if lengths.len() >= 4
                && lengths[..lengths.len() - 1].iter().all(|length| *length == 4)
                && lengths.last().is_some_and(|last| *last <= 4)
                && is_bank_card(digits.as_bytes()) =>
        {
            Some(Label::BankCard)
        }
        _ => None,
    }
}

/// Whether one of the words stands shortly before the position, with no mask between.
fn told_before(characters: &[char], position: usize, words: &[&str]) -> bool {
    let before = &characters[position.saturating_sub(CONTEXT)..position];
    let before = before.iter().rposition(|character| *character == ']').map_or(before, |mask| &before[mask + 1..]);
    let before: String = before.iter().collect();
    words.iter().any(|word| before.contains(word))
}

/// Whether the digits are a mobile number of mainland China.
pub(super) fn is_mobile(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    bytes.len() == 11 && bytes[0] == b'1' && (b'3'..=b'9').contains(&bytes[1])
}

fn is_x(characters: &[char], position: usize) -> bool {
    characters.get(position).is_some_and(|character| matches!(character, 'x' | 'X' | 'ｘ' | 'Ｘ'))
}

fn is_identity_with_x(characters: &[char], digits: &str, end: usize) -> bool {
    is_x(characters, end) && is_identity([digits.as_bytes(), b"X"].concat().as_slice())
}

/// Whether the eighteen characters are an identity number: GB 11643 with the check character of ISO 7064 MOD 11-2.
fn is_identity(bytes: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    if bytes.len() != 18
        || !region(bytes)
        || !date(number(&bytes[6..10]), number(&bytes[10..12]), number(&bytes[12..14]))
    {
        return false;
    }
    let sum: u32 = bytes.iter().zip(WEIGHTS).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    bytes[17] == b"10X98765432"[(sum % 11) as usize]
}

/// Whether the fifteen digits are an identity number of before 1999, which has no check character.
fn is_old_identity(bytes: &[u8]) -> bool {
    region(bytes) && date(1900 + number(&bytes[6..8]), number(&bytes[8..10]), number(&bytes[10..12]))
}

fn region(bytes: &[u8]) -> bool {
    matches!(number(&bytes[..2]), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
}

fn date(year: u32, month: u32, day: u32) -> bool {
    (1900..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, byte| value * 10 + u32::from(byte.wrapping_sub(b'0')))
}

/// Whether the digits are a card number: issuer prefixes in use in China, check digit of ISO/IEC 7812 (Luhn).
fn is_bank_card(bytes: &[u8]) -> bool {
    if !(16..=19).contains(&bytes.len()) || !(b'3'..=b'6').contains(&bytes[0]) {
        return false;
    }
    let sum: u32 = bytes
        .iter()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let value = u32::from(byte - b'0') * if index % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Mobile numbers written out in Chinese numerals: 一三八零零零零一二三四.
fn chinese_mobiles(characters: &[char], spans: &mut Vec<Span>) {
    let mut position = 0;
    while position < characters.len() {
        if numeral(characters[position]).is_none() {
            position += 1;
            continue;
        }
        let start = position;
        let mut digits = String::new();
        while let Some(value) = characters.get(position).and_then(|character| numeral(*character)) {
            digits.push(char::from(b'0' + value));
            position += 1;
        }
        if is_mobile(&digits) {
            spans.push(Span { start, end: position, label: Label::Mobile });
        }
    }
}

fn numeral(character: char) -> Option<u8> {
    Some(match character {
        '零' | '〇' | '○' => 0,
        '一' | '壹' | '幺' => 1,
        '二' | '贰' | '两' => 2,
        '三' | '叁' => 3,
        '四' | '肆' => 4,
        '五' | '伍' => 5,
        '六' | '陆' => 6,
        '七' | '柒' => 7,
        '八' | '捌' => 8,
        '九' | '玖' => 9,
        _ => return None,
    })
}
