//! Mail addresses and car plates.

use super::{Label, Span, digit};

/// Longest local part of a mail address (RFC 5321), in characters.
const LOCAL: usize = 64;

/// Longest domain of a mail address (RFC 1035), in characters.
const DOMAIN: usize = 253;

/// Characters that stand for a province on a car plate.
const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼";

pub(super) fn find(characters: &[char], spans: &mut Vec<Span>) {
    for (position, character) in characters.iter().enumerate() {
        match character {
            '@' | '＠' => spans.extend(email(characters, position)),
            // A letter is rare in Chinese text, and looked for first: the provinces are many.
            province => {
                let letter = characters.get(position + 1).is_some_and(|next| half(*next).is_ascii_alphabetic());
                if letter && PROVINCES.contains(*province) {
                    spans.extend(plate(characters, position));
                }
            }
        }
    }
}

fn email(characters: &[char], at: usize) -> Option<Span> {
    let local = characters[..at].iter().rev().take(LOCAL).take_while(|character| is_local(**character)).count();
    let domain: Vec<char> = characters[at + 1..]
        .iter()
        .take(DOMAIN)
        .map(|character| half(*character))
        .take_while(|c| is_domain(*c))
        .collect();
    let end = domain.iter().rposition(char::is_ascii_alphanumeric)? + 1;
    let dot = domain[..end].iter().rposition(|character| *character == '.')?;
    let top = &domain[dot + 1..end];
    let sound = local > 0 && dot > 0 && top.len() >= 2 && top.iter().all(char::is_ascii_alphabetic);
    sound.then_some(Span { start: at - local, end: at + 1 + end, label: Label::Email })
}

fn half(character: char) -> char {
    match u32::from(character) {
        code @ 0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0).unwrap_or(character),
        _ => character,
    }
}

fn is_local(character: char) -> bool {
    let character = half(character);
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '%' | '+' | '-')
}

fn is_domain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-')
}

/// A plate (GA 36): province, letter, five letters or digits; six for new energy; the last may be 学, 警, 挂, 港 or 澳.
fn plate(characters: &[char], start: usize) -> Option<Span> {
    let office = half(*characters.get(start + 1)?);
    if !office.is_ascii_alphabetic() {
        return None;
    }
    let mut position = start + 2;
    while characters.get(position).is_some_and(|character| matches!(character, '·' | '•' | '.' | '-' | ' ' | '．'))
    {
        position += 1;
        if position > start + 3 {
            break;
        }
    }
    let serial =
        characters[position..].iter().take(7).take_while(|character| half(**character).is_ascii_alphanumeric()).count();
    let digits =
        characters[position..position + serial].iter().filter(|character| digit(**character).is_some()).count();
    let special =
        characters.get(position + serial).is_some_and(|c| matches!(c, '学' | '警' | '挂' | '港' | '澳' | '领' | '试'));
    let length = match serial {
        4 if special => 5,
        5 | 6 => serial,
        _ => return None,
    };
    (digits >= 2).then_some(Span { start, end: position + length, label: Label::Plate })
}
