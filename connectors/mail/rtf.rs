//! Rich text as Outlook packs it: out of its compression (MS-OXRTFCP) and to plain text.
//!
//! The published crate for the compression takes room for as many bytes as a stranger's header asks for and does not survive a
//! short header, so this is a reader of its own: bounded in what it writes, linear in what it reads.

use std::collections::BTreeMap;

use super::charset;

/// With what the dictionary begins (MS-OXRTFCP, 2.1.2.1).
const DICTIONARY: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// Bytes of the dictionary, which is written round and round.
const ROUND: usize = 4096;

/// Bytes of the header.
const HEADER: usize = 16;

/// Rich text out of its compression, at most `limit` bytes of it; `None` where it is not in that form. The checksum is not
/// looked at: of a complaint everything is read that can be read.
pub(super) fn decompress(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let content = packed.get(HEADER..)?;
    match packed.get(8..12)? {
        b"MELA" => return Some(content[..content.len().min(limit)].to_vec()),
        b"LZFu" => {}
        _ => return None,
    }
    let mut dictionary = [0_u8; ROUND];
    dictionary[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
    let mut at = DICTIONARY.len();
    let mut out = Vec::new();
    let mut bytes = content.iter().copied();
    while let Some(control) = bytes.next() {
        for bit in 0..8 {
            if out.len() >= limit {
                return Some(out);
            }
            let Some(first) = bytes.next() else { return Some(out) };
            if control >> bit & 1 == 0 {
                dictionary[at] = first;
                at = (at + 1) % ROUND;
                out.push(first);
                continue;
            }
            let Some(second) = bytes.next() else { return Some(out) };
            let reference = usize::from(first) << 8 | usize::from(second);
            let from = reference >> 4;
            if from == at {
                return Some(out);
            }
            for step in 0..(reference & 15) + 2 {
                let byte = dictionary[(from + step) % ROUND];
                dictionary[at] = byte;
                at = (at + 1) % ROUND;
                out.push(byte);
            }
        }
    }
    Some(out)
}

/// Groups open inside one another; what lies deeper is read with the look of the last one.
const MAX_DEPTH: usize = 200;

/// Fonts whose character set is kept.
const MAX_FONTS: usize = 500;

/// Groups that hold no text for a reader.
const UNREAD: [&str; 22] = [
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "objdata",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "generator",
    "themedata",
    "listtable",
    "listoverridetable",
    "revtbl",
    "rsidtbl",
    "filetbl",
    "fldinst",
];

/// What holds within a group.
#[derive(Clone, Copy)]
struct Look {
    unread: bool,
    fonts: bool,
    font: i32,
    /// Characters that stand behind a Unicode character for programs that know none.
    stand_ins: usize,
}

/// The text of rich text, at most `chars` characters of it; `code_page` holds where the rich text tells none.
pub(super) fn text(rtf: &[u8], code_page: Option<u32>, chars: usize) -> String {
    let mut reader = Reader {
        rtf,
        at: 0,
        look: Look { unread: false, fonts: false, font: 0, stand_ins: 1 },
        outer: Vec::new(),
        deeper: 0,
        sets: BTreeMap::new(),
        code_page,
        bytes: Vec::new(),
        surrogate: None,
        passing: 0,
        out: String::new(),
        left: chars,
    };
    reader.read();
    reader.out.trim().to_owned()
}

struct Reader<'a> {
    rtf: &'a [u8],
    at: usize,
    look: Look,
    outer: Vec<Look>,
    /// Open groups beyond the bound.
    deeper: usize,
    /// The character set of each font.
    sets: BTreeMap<i32, u32>,
    code_page: Option<u32>,
    /// Bytes in a code page that are not decoded yet.
    bytes: Vec<u8>,
    /// The first half of a character outside the basic plane.
    surrogate: Option<u16>,
    /// Stand-ins still to be passed over.
    passing: usize,
    out: String,
    left: usize,
}

impl Reader<'_> {
    fn read(&mut self) {
        while self.left > 0
            && let Some(&byte) = self.rtf.get(self.at)
        {
            self.at += 1;
            match byte {
                b'{' => self.open(),
                b'}' => self.close(),
                b'\\' => self.control(),
                b'\r' | b'\n' | 0 => {}
                _ => self.byte(byte),
            }
        }
        self.flush();
    }

    fn open(&mut self) {
        self.flush();
        self.passing = 0;
        if self.outer.len() < MAX_DEPTH { self.outer.push(self.look) } else { self.deeper += 1 }
    }

    fn close(&mut self) {
        self.flush();
        self.passing = 0;
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(look) = self.outer.pop() {
            self.look = look;
        }
    }

    fn control(&mut self) {
        let Some(&first) = self.rtf.get(self.at) else { return };
        if !first.is_ascii_alphabetic() {
            self.at += 1;
            return self.symbol(first);
        }
        let rest = &self.rtf[self.at..];
        let length = rest.iter().take(MAX_WORD).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = String::from_utf8_lossy(&rest[..length]).into_owned();
        let sign = usize::from(rest.get(length) == Some(&b'-'));
        let digits = rest[length + sign..].iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[length..length + sign + digits]).ok().and_then(|text| text.parse().ok());
        self.at += length + if digits > 0 { sign + digits } else { 0 };
        if self.rtf.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.word(&word, number);
    }

    fn symbol(&mut self, symbol: u8) {
        match symbol {
            b'\'' => {
                let code = self.rtf.get(self.at..self.at + 2).and_then(|digits| std::str::from_utf8(digits).ok());
                if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    self.at += 2;
                    self.byte(byte);
                }
            }
            b'*' => self.look.unread = true,
            b'~' => self.character(' '),
            b'_' => self.character('-'),
            b'\\' | b'{' | b'}' => self.byte(symbol),
            b'\r' | b'\n' => self.character('\n'),
            _ => {}
        }
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        match (word, number) {
            ("par" | "line" | "sect" | "page" | "row", _) => self.character('\n'),
            ("tab" | "cell" | "nestcell", _) => self.character('\t'),
            ("emspace" | "enspace" | "qmspace", _) => self.character(' '),
            ("emdash", _) => self.character('—'),
            ("endash", _) => self.character('–'),
            ("lquote", _) => self.character('‘'),
            ("rquote", _) => self.character('’'),
            ("ldblquote", _) => self.character('“'),
            ("rdblquote", _) => self.character('”'),
            ("bullet", _) => self.character('•'),
            ("fonttbl", _) => self.look.fonts = true,
            ("f", Some(font)) => {
                self.flush();
                self.look.font = font;
            }
            ("fcharset", Some(set)) if self.look.fonts && self.sets.len() < MAX_FONTS => {
                self.sets.insert(self.look.font, u32::try_from(set).unwrap_or_default());
            }
            ("ansicpg", Some(page)) => self.code_page = u32::try_from(page).ok().filter(|page| *page != 0),
            ("uc", Some(count)) => self.look.stand_ins = usize::try_from(count).unwrap_or(1),
            ("u", Some(unit)) => self.unicode(unit),
            ("bin", Some(count)) => self.at = self.at.saturating_add(usize::try_from(count).unwrap_or_default()),
            _ if UNREAD.contains(&word) => self.look.unread = true,
            _ => {}
        }
    }

    fn unicode(&mut self, unit: i32) {
        self.flush();
        self.passing = self.look.stand_ins;
        // Units above 32767 are told as negative numbers.
        let Ok(unit) = u16::try_from(unit & 0xffff) else { return };
        let first = self.surrogate.take();
        if (0xd800..0xdc00).contains(&unit) {
            self.surrogate = Some(unit);
            return;
        }
        let units = first.into_iter().chain([unit]);
        for character in char::decode_utf16(units).flatten() {
            self.put(character);
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.passing > 0 {
            self.passing -= 1;
        } else if !self.hidden() {
            self.bytes.push(byte);
        }
    }

    fn character(&mut self, character: char) {
        self.flush();
        self.passing = 0;
        self.put(character);
    }

    fn put(&mut self, character: char) {
        if self.left > 0 && !self.hidden() && (!character.is_control() || matches!(character, '\n' | '\t')) {
            self.left -= 1;
            self.out.push(character);
        }
    }

    fn hidden(&self) -> bool {
        self.look.unread || self.look.fonts
    }

    /// Decodes the bytes that wait, by the character set of their font.
    fn flush(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let by_font = self.sets.get(&self.look.font).copied().and_then(page_of_set);
        let label = by_font.or(self.code_page).map(label);
        for character in charset::decode(&bytes, label.as_deref(), None).text.chars() {
            self.put(character);
        }
    }
}

/// The longest control word, in bytes.
const MAX_WORD: usize = 32;

/// The longest number behind a control word, in digits.
const MAX_DIGITS: usize = 10;

/// The code page that a font's character set means; 0 and 1 say nothing.
fn page_of_set(set: u32) -> Option<u32> {
    Some(match set {
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        204 => 1251,
        238 => 1250,
        _ => return None,
    })
}

/// What a code page is called.
pub(super) fn label(page: u32) -> String {
    match page {
        932 => "shift_jis".to_owned(),
        936 | 54936 => "gb18030".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        65001 => "utf-8".to_owned(),
        other => format!("windows-{other}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The two examples of MS-OXRTFCP, section 4.
    #[test]
    fn the_examples_of_the_format_are_read() {
        let hello = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
        assert_eq!(decompress(hello, 1000).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        let crossing = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4KQA\0\x04 WXYZ\x0dn}\x01\x0e\xb0";
        assert_eq!(decompress(crossing, 1000).unwrap(), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(decompress(hello, 5).unwrap().len().min(22), decompress(hello, 5).unwrap().len());
        assert_eq!(decompress(b"\0\0\0\0\xff\xff\xff\xffMELA\0\0\0\0{\\rtf1 x}", 100).unwrap(), b"{\\rtf1 x}");
        assert_eq!(decompress(b"LZFu", 100), None);
    }

    #[test]
    fn rich_text_reads_like_the_page() {
        let cases: [(&[u8], &str); 8] = [
            (b"{\\rtf1\\ansi\\ansicpg936{\\fonttbl{\\f0 Arial;}}\\pard \\'cd\\'a3\\'cb\\'ae\\par three days}", "停水\nthree days"),
            (b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fcharset0 A;}{\\f1\\fcharset134 S;}}\\f1\\'cd\\'a3{\\f0 x}\\'cb\\'ae}", "停x水"),
            (b"{\\rtf1\\uc1\\u20572 ?\\u27700\\'3f\\uc0\\u19977 \\u22825 !}", "停水三天!"),
            (b"{\\rtf1\\uc1\\u-10179?\\u-8704?}", "😀"),
            (b"{\\rtf1{\\*\\generator x;}{\\info{\\title secret}}{\\pict\\bin5 }}}}}}seen\\{\\}\\\\}", "seen{}\\"),
            (b"{\\rtf1\\fromhtml1 {\\*\\htmltag64 <p>}\\htmlrtf {\\htmlrtf0 hello\\htmlrtf\\par}\\htmlrtf0{\\*\\htmltag72 </p>}again}", "hello\nagain"),
            (b"plain words", "plain words"),
            (b"{\\rtf1 a\\tab b\\emdash c\\~d}", "a\tb—c d"),
        ];
        for (rtf, expected) in cases {
            assert_eq!(text(rtf, None, 1000), expected, "{}", String::from_utf8_lossy(rtf));
        }
        assert_eq!(text(b"{\\rtf1 123456}", None, 3), "123");
    }

    proptest! {
        #[test]
        fn any_rich_text_is_read_within_bounds(rtf in "(\\\\[a-z]{1,6}-?[0-9]{0,11} ?|[{}]|\\\\'[0-9a-g]{0,2}|\\\\[^a-z]|[ -~\u{80}-\u{3ff}]){0,60}") {
            prop_assert!(text(rtf.as_bytes(), Some(936), 20).chars().count() <= 20);
        }

        #[test]
        fn any_packed_bytes_are_read_within_bounds(mut packed in proptest::collection::vec(any::<u8>(), 0..300), limit in 0_usize..500) {
            if packed.len() >= HEADER {
                packed[8..12].copy_from_slice(b"LZFu");
            }
            // A reference writes 17 bytes at most.
            prop_assert!(decompress(&packed, limit).is_none_or(|out| out.len() <= limit + 16));
        }
    }
}
