//! Addresses and message ids out of header values that keep no grammar.

use mailparse::{MailAddr, addrparse};

use super::{Address, Bounds, Notes, words};

/// The addresses in a raw header value.
pub(super) fn addresses(raw: &[u8], hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> Vec<Address> {
    // Structure first, encoded words afterwards: a decoded name may hold commas and brackets.
    let text = words::raw_text(raw, hint, notes);
    let mut found = parse(&text, hint, bounds, notes);
    if found.is_empty() && text.contains("=?") {
        // Some mailers encode the whole value, address and all.
        let decoded = words::decode_words(&text, hint, bounds, notes);
        found = parse(&decoded, hint, bounds, notes);
        if !found.is_empty() {
            notes.mended("an address was hidden in an encoded word");
        }
    }
    found
}

fn parse(text: &str, hint: Option<&str>, bounds: &Bounds, notes: &mut Notes) -> Vec<Address> {
    // The strict parser is quadratic on very many quoted parts, so it is asked about short values only.
    let strict = if text.len() <= STRICT_BYTES { addrparse(text).ok() } else { None };
    let pairs: Vec<(Option<String>, String)> = match strict {
        Some(list) => list
            .into_inner()
            .into_iter()
            .flat_map(|address| match address {
                MailAddr::Single(single) => vec![single],
                MailAddr::Group(group) => group.addrs,
            })
            .map(|single| (single.display_name, single.addr))
            .collect(),
        None => lenient(text),
    };
    let mut addresses = Vec::new();
    for (name, address) in pairs {
        let Some(email) = clean_email(&address) else { continue };
        if addresses.len() >= bounds.addresses {
            notes.bounded(format!("only the first {} addresses of a header were read", bounds.addresses));
            break;
        }
        let name = name
            .map(|name| words::decode_words(&name, hint, bounds, notes))
            .map(|name| name.trim_matches(['"', '\'', '“', '”', ' ']).chars().take(MAX_NAME).collect::<String>())
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(&email));
        addresses.push(Address { name, email });
    }
    addresses
}

/// The longest value that the strict parser is given, in bytes.
const STRICT_BYTES: usize = 4096;

/// The longest name that is kept, in characters.
const MAX_NAME: usize = 100;

/// The longest address (RFC 5321, 4.5.3.1), in bytes.
const MAX_EMAIL: usize = 320;

/// Splits at commas and semicolons outside quotes and brackets; a piece is a name and an address in brackets, or an address.
fn lenient(text: &str) -> Vec<(Option<String>, String)> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut bracketed) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' => {
                bracketed = false;
                quoted = false;
            }
            ',' | ';' | '，' | '；' if !quoted && !bracketed => {
                pieces.push(&text[start..at]);
                start = at + character.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces.into_iter().filter_map(one).collect()
}

fn one(piece: &str) -> Option<(Option<String>, String)> {
    if let Some((name, rest)) = piece.rsplit_once(['<', '＜']) {
        let address = rest.split(['>', '＞']).next().unwrap_or_default();
        if address.contains('@') {
            return Some((Some(name.to_owned()), address.to_owned()));
        }
    }
    let mut name = Vec::new();
    let mut address = None;
    for token in piece.split(|character: char| character.is_whitespace() || "\"<>()[]".contains(character)) {
        if token.contains('@') && address.is_none() {
            address = Some(token.to_owned());
        } else if !token.is_empty() {
            name.push(token);
        }
    }
    Some((Some(name.join(" ")), address?))
}

/// An address that mail can be sent to, or nothing: a part on each side of its last `@`, no spaces, no controls.
fn clean_email(address: &str) -> Option<String> {
    let address =
        address.trim().trim_matches(|character: char| "<>\"'()[],;:".contains(character) || character.is_whitespace());
    let address =
        address.get(..7).filter(|start| start.eq_ignore_ascii_case("mailto:")).map_or(address, |_| &address[7..]);
    let (local, domain) = address.rsplit_once('@')?;
    let sound = !local.is_empty()
        && !domain.is_empty()
        && address.len() <= MAX_EMAIL
        && !address
            .chars()
            .any(|character| character.is_whitespace() || character.is_control() || "<>,;\"".contains(character));
    sound.then(|| format!("{local}@{}", domain.to_ascii_lowercase()))
}

/// The message ids in a raw header value, without angle brackets.
pub(super) fn message_ids(raw: &[u8], bounds: &Bounds, notes: &mut Notes) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let mut ids: Vec<String> = Vec::new();
    let bracketed = text.contains('<');
    let pieces = text.split(|character: char| if bracketed { character == '>' } else { character.is_whitespace() });
    for piece in pieces {
        let piece = if bracketed { piece.rsplit_once('<').map_or("", |(_, id)| id) } else { piece };
        let id: String =
            piece.chars().filter(|character| !character.is_whitespace() && !character.is_control()).collect();
        if id.is_empty() {
            continue;
        }
        if id.len() > bounds.id_bytes {
            notes.bounded(format!("a message id longer than {} bytes was passed over", bounds.id_bytes));
        } else if ids.len() >= bounds.references {
            notes.bounded(format!("only the first {} message ids of a header were read", bounds.references));
            break;
        } else {
            ids.push(id);
        }
    }
    ids
}
