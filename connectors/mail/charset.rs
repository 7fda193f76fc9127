//! Bytes to text when the label is wrong, unknown or absent.
//!
//! Chinese mail says gb2312 and means GBK or GB18030, says nothing at all, or says a number; one stray byte must not cost
//! the other thousand characters. Nothing here fails: what cannot be told becomes U+FFFD and a remark.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, Encoding, GB18030, UTF_8};

/// Text made of bytes, and what had to be assumed for it.
pub(super) struct Decoded {
    pub(super) text: String,
    /// What was assumed or lost, in words.
    pub(super) mended: Option<&'static str>,
}

impl Decoded {
    fn clean(text: impl Into<String>) -> Self {
        Self { text: text.into(), mended: None }
    }

    fn mended(text: impl Into<String>, what: &'static str) -> Self {
        Self { text: text.into(), mended: Some(what) }
    }
}

enum Label {
    Standard(&'static Encoding),
    Hz,
    Utf7,
    /// Says nothing of what 8-bit bytes mean: absent, unknown, or a label that mailers put on anything.
    Silent,
}

const LOST: &str = "some characters could not be decoded";
const DETECTED: &str = "the character set was not told and was detected";
const WRONG: &str = "the character set was told wrongly";

/// Decodes bytes by their label, mistrusting it; `hint` is what the rest of the mail says of itself.
pub(super) fn decode(bytes: &[u8], label: Option<&str>, hint: Option<&str>) -> Decoded {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let label = label.map_or(Label::Silent, resolve);
    match label {
        Label::Hz => Decoded::clean(decode_hz(bytes)),
        Label::Utf7 => Decoded::clean(decode_utf7(bytes)),
        Label::Silent if bytes.is_ascii() => {
            if is_hz(bytes) {
                return Decoded::mended(decode_hz(bytes), DETECTED);
            }
            Decoded::clean(String::from_utf8_lossy(bytes))
        }
        Label::Silent => detect(bytes, hint),
        Label::Standard(encoding) => by_label(bytes, encoding),
    }
}

/// What a label means. In mail `gb2312` is never the set of 1980: GB18030 reads it and all its successors.
fn resolve(label: &str) -> Label {
    let label =
        label.trim_matches(|character: char| character.is_whitespace() || matches!(character, '"' | '\'' | ';'));
    // RFC 2231 lets a language follow the character set of an encoded word.
    let label = label.split('*').next().unwrap_or_default().to_ascii_lowercase();
    match label.as_str() {
        "gb2312" | "gbk" | "gb18030" | "gb-2312" | "gb_2312" | "gb_2312-80" | "gb2312-80" | "gb18030-2000"
        | "gb18030-2005" | "cp936" | "ms936" | "936" | "windows-936" | "x-gbk" | "euc-cn" | "x-euc-cn" | "euccn"
        | "csgb2312" | "chinese" | "gb" | "gbk2312" | "134" | "x-mac-chinesesimp" | "utf-8gbk" => {
            Label::Standard(GB18030)
        }
        "136" | "950" | "ms950" | "windows-950" | "cp950" | "x-x-big5" | "big-5" | "big5-hkscs" => {
            Label::Standard(BIG5)
        }
        "utf8" | "utf_8" | "65001" | "cp65001" | "utf-8-bom" | "utf8mb4" => Label::Standard(UTF_8),
        "hz" | "hz-gb-2312" | "hz-gb2312" => Label::Hz,
        "utf-7" | "utf7" | "unicode-1-1-utf-7" | "x-unicode-2-0-utf-7" | "csunicode11utf7" | "65000" => Label::Utf7,
        // Mailers write these on whatever they hold.
        "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso-8859-1" | "latin1" | "windows-1252" | "iso8859-1"
        | "iso_8859-1" | "cp1252" => Label::Silent,
        other => match Encoding::for_label_no_replacement(other.as_bytes()) {
            Some(encoding) => Label::Standard(encoding),
            None => Label::Silent,
        },
    }
}

fn by_label(bytes: &[u8], encoding: &'static Encoding) -> Decoded {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let utf8 = if encoding == UTF_8 { None } else { std::str::from_utf8(bytes).ok().filter(|_| !bytes.is_ascii()) };
    if let Some(utf8) = utf8
        && encoding.is_ascii_compatible()
        && (had_errors || surely_utf8(bytes))
    {
        return Decoded::mended(utf8, WRONG);
    }
    if !had_errors {
        return Decoded::clean(text);
    }
    // One bad byte does not make the label wrong; a text full of them does.
    let lost = replacements(&text);
    let foreign = text.chars().filter(|character| !character.is_ascii()).count();
    if lost * 4 > foreign {
        let other = detect(bytes, None);
        if replacements(&other.text) * 4 < lost {
            return Decoded::mended(other.text, WRONG);
        }
    }
    Decoded::mended(text, LOST)
}

/// Tells what bytes that no label explains are: UTF-8, what the mail says elsewhere, GB18030, or a guess.
fn detect(bytes: &[u8], hint: Option<&str>) -> Decoded {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Decoded::clean(text);
    }
    if let Some(Label::Standard(encoding)) = hint.map(resolve)
        && encoding != UTF_8
        && let (text, false) = encoding.decode_without_bom_handling(bytes)
    {
        return Decoded::mended(text, DETECTED);
    }
    if looks_like_gb2312(bytes)
        && let (text, false) = GB18030.decode_without_bom_handling(bytes)
    {
        return Decoded::mended(text, DETECTED);
    }
    if looks_like_big5(bytes)
        && let (text, false) = BIG5.decode_without_bom_handling(bytes)
    {
        return Decoded::mended(text, DETECTED);
    }
    if let Some(text) = nearly_utf8(bytes) {
        return Decoded::mended(text, LOST);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    // The first bytes decide; more of them only cost time.
    detector.feed(&bytes[..bytes.len().min(DETECTED_BYTES)], true);
    let encoding = detector.guess(Some(b"cn"), Utf8Detection::Deny);
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    if had_errors {
        let (gb, _) = GB18030.decode_without_bom_handling(bytes);
        let best = if replacements(&gb) <= replacements(&text) { gb } else { text };
        return Decoded::mended(best, LOST);
    }
    Decoded::mended(text, DETECTED)
}

/// Bytes that the detector looks at.
const DETECTED_BYTES: usize = 64 * 1024;

fn replacements(text: &str) -> usize {
    text.chars().filter(|character| *character == char::REPLACEMENT_CHARACTER).count()
}

/// Four Chinese characters in well-formed UTF-8 do not come about by chance in another character set.
fn surely_utf8(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| (0xe3..=0xe9).contains(*byte)).count() >= 4
}

/// UTF-8 with a few bad bytes.
fn nearly_utf8(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = String::from_utf8_lossy(bytes);
    let foreign = text.chars().filter(|character| !character.is_ascii()).count();
    (replacements(&text) * 10 <= foreign).then_some(text)
}

/// Whether the 8-bit bytes are mostly pairs of the characters of GB 2312, and many of them its everyday first level.
fn looks_like_gb2312(bytes: &[u8]) -> bool {
    let (mut pairs, mut inside, mut everyday) = (0_usize, 0_usize, 0_usize);
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] < 0x80 {
            at += 1;
            continue;
        }
        pairs += 1;
        if let Some(&trail) = bytes.get(at + 1)
            && trail >= 0xa1
        {
            inside += usize::from((0xa1..=0xf7).contains(&bytes[at]));
            everyday += usize::from((0xb0..=0xd7).contains(&bytes[at]));
        }
        at += 2;
    }
    pairs > 0 && inside * 10 >= pairs * 8 && everyday * 10 >= pairs * 5
}

/// Whether nearly all 8-bit bytes start pairs of Big5's marks and everyday characters, some of them no pair of GB 2312.
fn looks_like_big5(bytes: &[u8]) -> bool {
    let (mut pairs, mut everyday, mut low) = (0_usize, 0_usize, 0_usize);
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] < 0x80 {
            at += 1;
            continue;
        }
        pairs += 1;
        everyday += usize::from((0xa1..=0xc6).contains(&bytes[at]));
        low += usize::from(bytes.get(at + 1).is_some_and(|trail| (0x40..=0x7e).contains(trail)));
        at += 2;
    }
    everyday * 20 >= pairs * 19 && low * 5 >= pairs
}

fn is_hz(bytes: &[u8]) -> bool {
    let open = bytes.windows(2).position(|pair| pair == b"~{");
    open.is_some_and(|open| bytes[open..].windows(2).any(|pair| pair == b"~}"))
}

/// HZ (RFC 1843): `~{` opens and `~}` closes a run of GB 2312 with the high bits off.
fn decode_hz(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut inside = false;
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at], bytes.get(at + 1).copied());
        match pair {
            (b'~', Some(b'{')) => inside = true,
            (b'~', Some(b'}')) => inside = false,
            (b'~', Some(b'~')) if !inside => plain.push(b'~'),
            (b'~', Some(b'\n')) if !inside => {}
            (first @ 0x21..=0x77, Some(second @ 0x21..=0x7e)) if inside => plain.extend([first | 0x80, second | 0x80]),
            (byte, _) => {
                // A line break ends a run that was left open (RFC 1843, 2).
                inside &= byte != b'\n';
                plain.push(byte);
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    GB18030.decode_without_bom_handling(&plain).0.into_owned()
}

/// UTF-7 (RFC 2152): `+` opens a run of base64 over UTF-16, ended by any other character; `-` after it is swallowed.
fn decode_utf7(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        if byte != b'+' {
            out.push(if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER });
            continue;
        }
        if bytes.get(at) == Some(&b'-') {
            out.push('+');
            at += 1;
            continue;
        }
        let length =
            bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')).count();
        let run = super::transfer::base64(&bytes[at..at + length]).bytes;
        let units = run.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        at += length;
        at += usize::from(bytes.get(at) == Some(&b'-'));
    }
    out
}
