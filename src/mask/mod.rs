//! Finds personal data in free text and replaces it by words that say what stood there (Article 24).
//!
//! Handlers must not learn who complained, yet citizens write their number, name and identity card into the text
//! itself. Three sources are joined: what is known of the petitioner, numbers and addresses recognised by their form,
//! and the phrases with which people introduce themselves. Where in doubt more is masked: the entry keeps everything,
//! and can be unsealed on the record.

mod canonical;
mod introductions;
mod numbers;
mod tokens;

pub use canonical::{canonical_email, canonical_phone};
use connectors::complaint::Petitioner;

/// Most values of one kind (telephone numbers, mail addresses) of one petitioner that are looked for.
pub const KNOWN_LIMIT: usize = 16;

/// What a masked piece was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Mobile,
    Landline,
    Identity,
    BankCard,
    Email,
    Plate,
    Name,
    Address,
    DoorNumber,
    Organisation,
    Network,
}

impl Label {
    fn shown(self) -> &'static str {
        match self {
            Self::Mobile => "[手机号]",
            Self::Landline => "[电话]",
            Self::Identity => "[身份证号]",
            Self::BankCard => "[银行卡号]",
            Self::Email => "[邮箱]",
            Self::Plate => "[车牌]",
            Self::Name => "[姓名]",
            Self::Address => "[地址]",
            Self::DoorNumber => "[门牌]",
            Self::Organisation => "[单位]",
            Self::Network => "[IP]",
        }
    }
}

/// A piece of a text that must not be seen, in positions of its characters.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    label: Label,
}

/// A text with its personal data masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The text.
    pub text: String,
    /// How many pieces were masked.
    pub count: u32,
}

/// Masks personal data in a text: what is `known` of the petitioner, wherever it occurs, and whatever has the form of
/// personal data. Takes time in proportion to the text; masking twice changes nothing.
pub fn mask(text: &str, known: &Petitioner) -> Masked {
    let characters: Vec<char> = text.chars().collect();
    let mut spans = Vec::new();
    numbers::find(&characters, known, &mut spans);
    tokens::find(&characters, &mut spans);
    introductions::find(&characters, &mut spans);
    find_known(text, &characters, known, &mut spans);
    render(text, &characters, spans)
}

/// Replaces the spans; of two that overlap, the one that starts first stands and takes the other in.
fn render(text: &str, characters: &[char], mut spans: Vec<Span>) -> Masked {
    if spans.is_empty() {
        return Masked { text: text.to_owned(), count: 0 };
    }
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut masked = String::with_capacity(text.len());
    let mut count = 0;
    let mut position = 0;
    for span in spans {
        if span.start >= position {
            masked.extend(&characters[position..span.start]);
            masked.push_str(span.label.shown());
            count += 1;
        }
        position = position.max(span.end);
    }
    masked.extend(&characters[position..]);
    Masked { text: masked, count }
}

/// Names that name nobody.
const NOBODY: [&str; 14] =
    ["匿名", "无名", "市民", "网友", "群众", "居民", "业主", "用户", "来电人", "不详", "未知", "游客", "先生", "女士"];

fn find_known(text: &str, characters: &[char], known: &Petitioner, spans: &mut Vec<Span>) {
    let mut seek = |value: &str, label: Label| {
        let value = value.trim();
        if text.is_empty() || value.is_empty() || value.len() > text.len() {
            return;
        }
        let length = value.chars().count();
        let (mut bytes, mut position) = (0, 0);
        for (found, _) in text.match_indices(value) {
            position += text[bytes..found].chars().count();
            bytes = found;
            spans.push(Span { start: position, end: position + length, label });
        }
    };
    if let Some(name) = known.name.as_deref().map(str::trim)
        && name.chars().count() >= 2
        && !NOBODY.contains(&name)
    {
        seek(name, Label::Name);
    }
    for email in known.emails.iter().take(KNOWN_LIMIT) {
        seek(email, Label::Email);
    }
    for phone in known.phones.iter().take(KNOWN_LIMIT) {
        if phone.chars().filter(char::is_ascii_digit).count() >= 7 {
            seek(phone, Label::Landline);
        }
    }
    for (value, label) in [(&known.organisation, Label::Organisation), (&known.ip, Label::Network)] {
        if let Some(value) = value.as_deref().filter(|value| value.chars().count() >= 4) {
            seek(value, label);
        }
    }
    if let Some(code) = known.organisation_code.as_deref().filter(|code| code.len() >= 15) {
        seek(code, Label::Organisation);
    }
    if let Some(address) = known.address.as_deref() {
        find_address(characters, address, spans);
    }
}

/// Masks the petitioner's address. Where it ends in a house number, street and estate stay readable and the number is
/// masked, wherever in the text the estate is followed by it: heat that fails at home must still be found by its handler.
fn find_address(characters: &[char], address: &str, spans: &mut Vec<Span>) {
    let address: Vec<char> = address.trim().chars().filter(|character| !character.is_whitespace()).collect();
    if address.len() < 4 {
        return;
    }
    let house = address.iter().position(|character| is_digit(*character)).filter(|position| *position >= 2);
    let (anchor, tail) = match house {
        // The last characters before the number are the street or estate: they anchor it in texts that leave the city out.
        Some(house) => (&address[house.saturating_sub(4)..house], &address[house..]),
        None => (&address[..], &address[..0]),
    };
    let mut position = 0;
    while position + anchor.len() <= characters.len() {
        if characters[position..].starts_with(anchor) {
            let end = position + anchor.len();
            if tail.is_empty() {
                spans.push(Span { start: position, end, label: Label::Address });
            } else {
                let length = characters[end..].iter().zip(tail).take_while(|(left, right)| left == right).count();
                if length > 0 {
                    spans.push(Span { start: end, end: end + length, label: Label::DoorNumber });
                }
            }
            position = end;
        } else {
            position += 1;
        }
    }
}

/// The value of a digit, ASCII or full-width.
fn digit(character: char) -> Option<u8> {
    match character {
        '0'..='9' => Some(character as u8 - b'0'),
        '０'..='９' => u8::try_from(u32::from(character) - u32::from('０')).ok(),
        _ => None,
    }
}

fn is_digit(character: char) -> bool {
    digit(character).is_some()
}

#[cfg(test)]
mod tests;
