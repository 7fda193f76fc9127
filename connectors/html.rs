//! HTML to plain text.
//!
//! Text is canonical, so that no stored script and no tracking picture reaches anyone: whatever a citizen's mail program or
//! a board's page wraps around the words is dropped here, once, for every adapter. Nothing remote is ever loaded and no
//! address of a picture survives. The result is text, not markup: whoever shows it in a page escapes it like any other.
//!
//! The walk goes over tags and text in their written order and builds no tree. A tree builder is quadratic on deep nesting,
//! on unclosed formatting elements and on a tag with very many attributes; a walk in order is linear whatever it is fed.

use crate::entry::Remark;

/// How much is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of HTML read; the rest is left out.
    pub input_bytes: usize,
    /// Characters of text written; the rest is left out.
    pub text_chars: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { input_bytes: 4 * 1024 * 1024, text_chars: 200_000 }
    }
}

/// The plain text of a piece of HTML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text: one line a block, one empty line at most between two, nothing at either end.
    pub text: String,
    /// The bounds that were met, and what had to be mended.
    pub remarks: Vec<Remark>,
}

/// Turns HTML into plain text. Takes time linear in the input, whatever the input is.
pub fn to_text(html: &str, bounds: &Bounds) -> Text {
    walk(html, bounds, false)
}

/// As [`to_text`], with `> ` before each line of what a mail program marks as a quoted mail, as in plain text.
pub fn to_text_with_quotes(html: &str, bounds: &Bounds) -> Text {
    walk(html, bounds, true)
}

fn walk(html: &str, bounds: &Bounds, marks_quotes: bool) -> Text {
    let mut remarks = Vec::new();
    let mut input = html;
    if input.len() > bounds.input_bytes {
        input = &input[..input.floor_char_boundary(bounds.input_bytes)];
        remarks.push(Remark::Bounded {
            what: format!("only the first {} bytes of the HTML were read", bounds.input_bytes),
        });
    }
    let mut scanner = Scanner::new(input);
    let mut writer = Writer::new(bounds.text_chars);
    while let Some(piece) = scanner.next_piece() {
        match piece {
            Piece::Text(text) => writer.text(text),
            Piece::Tag { name, closing, attributes } => {
                writer.tag(name, closing);
                if marks_quotes && name.eq_ignore_ascii_case("blockquote") {
                    writer.quote(closing, attributes);
                }
            }
        }
        if writer.full {
            remarks.push(Remark::Bounded {
                what: format!("only the first {} characters of the HTML's text were kept", bounds.text_chars),
            });
            break;
        }
    }
    if scanner.mended {
        remarks.push(Remark::Mended { what: "HTML with a tag or comment that never ends".to_owned() });
    }
    Text { text: writer.out, remarks }
}

/// How deep the elements of `html` nest at most, estimated in one pass without building a tree.
///
/// Ask this before giving a foreign page to a tree builder: 20,000 nested elements cost it the better part of a second.
/// Elements whose end tag is optional (`p`, `li`, `tr`, `td` and their kin) count only while they are closed properly.
pub fn nesting(html: &str) -> usize {
    const UNCOUNTED: &str = "area base br col dd dt embed hr img input li link meta option p param \
        source tbody td th thead tr track wbr";
    let mut scanner = Scanner::new(html);
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    while let Some(piece) = scanner.next_piece() {
        let Piece::Tag { name, closing, .. } = piece else { continue };
        if is_one_of(name, UNCOUNTED) {
            continue;
        }
        depth = if closing { depth.saturating_sub(1) } else { depth + 1 };
        deepest = deepest.max(depth);
    }
    deepest
}

enum Piece<'a> {
    Text(&'a str),
    Tag { name: &'a str, closing: bool, attributes: &'a str },
}

/// Elements whose content is never text for a reader.
const SKIPPED: [&str; 9] =
    ["script", "style", "title", "template", "noscript", "iframe", "noembed", "noframes", "object"];

/// Splits HTML into text and tags by the rules of the HTML standard, section 13.2.5, as far as text needs them.
struct Scanner<'a> {
    html: &'a str,
    at: usize,
    /// Set once a quoted attribute value was found to swallow the rest: from there on a tag ends at the first `>`.
    ignore_quotes: bool,
    /// Set once no comment ends any more, so that the search is not repeated.
    no_comment_end: bool,
    /// The elements of [`SKIPPED`] that are known not to end any more.
    unclosed: [bool; SKIPPED.len()],
    mended: bool,
}

impl<'a> Scanner<'a> {
    fn new(html: &'a str) -> Self {
        Self {
            html,
            at: 0,
            ignore_quotes: false,
            no_comment_end: false,
            unclosed: [false; SKIPPED.len()],
            mended: false,
        }
    }

    fn next_piece(&mut self) -> Option<Piece<'a>> {
        loop {
            let rest = &self.html[self.at..];
            if rest.is_empty() {
                return None;
            }
            if !starts_markup(rest) {
                // A lone `<` is text; so the search for the next markup starts behind it.
                let mut end = 0;
                loop {
                    let from = end + usize::from(rest[end..].starts_with('<'));
                    end = rest[from..].find('<').map_or(rest.len(), |found| from + found);
                    if end == rest.len() || starts_markup(&rest[end..]) {
                        break;
                    }
                }
                self.at += end;
                return Some(Piece::Text(&rest[..end]));
            }
            if rest.starts_with("<!--") {
                self.comment(rest);
                continue;
            }
            if let Some(piece) = self.tag(rest) {
                return Some(piece);
            }
        }
    }

    fn comment(&mut self, rest: &str) {
        if !self.no_comment_end {
            // `<!-->` is a whole comment.
            if let Some(end) = rest[2..].find("-->") {
                self.at += 2 + end + 3;
                return;
            }
            self.no_comment_end = true;
            self.mended = true;
        }
        // The standard drops the rest; a citizen's words are worth more than that.
        self.at += 4;
    }

    fn tag(&mut self, rest: &'a str) -> Option<Piece<'a>> {
        let bytes = rest.as_bytes();
        let Some(end) = self.tag_end(bytes) else {
            // No `>` follows at all: what is left is text without this one mark.
            self.mended = true;
            self.at += rest.len();
            return Some(Piece::Text(&rest[1..]));
        };
        self.at += end + 1;
        if matches!(bytes[1], b'!' | b'?') {
            return None;
        }
        let closing = bytes[1] == b'/';
        let start = 1 + usize::from(closing);
        let length = bytes[start..end]
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || *byte == b'/')
            .unwrap_or(end - start);
        let name = &rest[start..start + length];
        let attributes = &rest[start + length..end];
        if !closing {
            self.skip_content(name);
        }
        Some(Piece::Tag { name, closing, attributes })
    }

    /// Where the tag's `>` stands.
    fn tag_end(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.ignore_quotes {
            let mut quote = None;
            let mut before = b' ';
            for (at, &byte) in bytes.iter().enumerate() {
                match quote {
                    Some(open) if byte == open => quote = None,
                    None if byte == b'>' => return Some(at),
                    None if before == b'=' && matches!(byte, b'"' | b'\'') => quote = Some(byte),
                    Some(_) | None => {}
                }
                if !byte.is_ascii_whitespace() {
                    before = byte;
                }
            }
            self.ignore_quotes = true;
            self.mended = true;
        }
        bytes.iter().position(|byte| *byte == b'>')
    }

    /// Moves behind the content of an element that holds no text.
    fn skip_content(&mut self, name: &str) {
        let Some(which) = SKIPPED.iter().position(|skipped| name.eq_ignore_ascii_case(skipped)) else { return };
        if self.unclosed[which] {
            return;
        }
        let rest = &self.html.as_bytes()[self.at..];
        let mut from = 0;
        while let Some(found) = self.html[self.at + from..].find("</") {
            let start = from + found + 2;
            let end = start + name.len();
            if rest.len() >= end && rest[start..end].eq_ignore_ascii_case(name.as_bytes()) {
                self.at += from + found;
                return;
            }
            from = start;
        }
        self.unclosed[which] = true;
        self.mended = true;
        if matches!(SKIPPED[which], "script" | "style") {
            self.at = self.html.len();
        }
    }
}

/// Whether an element's name is one of a list of names parted by spaces.
fn is_one_of(name: &str, names: &str) -> bool {
    names.split(' ').any(|one| name.eq_ignore_ascii_case(one))
}

fn starts_markup(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes[0] == b'<'
        && match bytes.get(1) {
            Some(b'!' | b'?') => true,
            Some(b'/') => bytes.get(2).is_some_and(u8::is_ascii_alphabetic),
            Some(byte) => byte.is_ascii_alphabetic(),
            None => false,
        }
}

/// Elements that stand on lines of their own.
const BLOCKS: &str = "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption \
    figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main menu \
    nav ol option p pre section summary table tr ul textarea";

/// Writes text with the white space that its blocks ask for.
struct Writer {
    out: String,
    chars_left: usize,
    full: bool,
    /// Line breaks owed before the next character.
    breaks: u8,
    /// Whether a space is owed before the next character.
    space: bool,
    /// Whether a list mark is owed before the next character.
    bullet: bool,
    /// Open elements that keep their line breaks.
    preformatted: usize,
    /// The open `blockquote` elements, and whether each is a quoted mail.
    quotes: Vec<bool>,
    /// Open `blockquote` elements beyond the bound.
    deeper: usize,
}

/// Open `blockquote` elements that are told apart.
const MAX_QUOTES: usize = 100;

/// The longest list of attributes that is looked at, in bytes.
const MAX_ATTRIBUTES: usize = 1000;

impl Writer {
    fn new(chars: usize) -> Self {
        Self {
            out: String::new(),
            chars_left: chars,
            full: false,
            breaks: 0,
            space: false,
            bullet: false,
            preformatted: 0,
            quotes: Vec::new(),
            deeper: 0,
        }
    }

    /// Outlook and editors indent with this element too, so it must be marked as a quote (`type="cite"`, Gmail's class, the
    /// line at its left that web mails draw).
    fn quote(&mut self, closing: bool, attributes: &str) {
        if closing && self.deeper > 0 {
            self.deeper -= 1;
        } else if closing {
            self.quotes.pop();
        } else if self.quotes.len() >= MAX_QUOTES {
            self.deeper += 1;
        } else {
            let attributes = attributes[..attributes.floor_char_boundary(MAX_ATTRIBUTES)].to_ascii_lowercase();
            let marks = ["cite", "quote", "replycontent", "border-left"];
            self.quotes.push(marks.iter().any(|mark| attributes.contains(mark)));
        }
    }

    fn tag(&mut self, name: &str, closing: bool) {
        if name.eq_ignore_ascii_case("br") {
            self.breaks = (self.breaks + 1).min(2);
            return;
        }
        if name.eq_ignore_ascii_case("td") || name.eq_ignore_ascii_case("th") {
            self.space = true;
            return;
        }
        if !is_one_of(name, BLOCKS) {
            return;
        }
        self.breaks = self.breaks.max(1);
        if name.eq_ignore_ascii_case("li") {
            self.bullet = !closing;
        }
        if name.eq_ignore_ascii_case("pre") || name.eq_ignore_ascii_case("textarea") {
            self.preformatted =
                if closing { self.preformatted.saturating_sub(1) } else { self.preformatted.saturating_add(1) };
        }
    }

    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if self.full {
                return;
            }
            if first == '&'
                && let Some((character, second, length)) = entity(rest)
            {
                self.character(character);
                if let Some(second) = second {
                    self.character(second);
                }
                rest = &rest[length..];
                continue;
            }
            self.character(first);
            rest = &rest[first.len_utf8()..];
        }
    }

    fn character(&mut self, character: char) {
        match character {
            '\n' if self.preformatted > 0 => self.breaks = (self.breaks + 1).min(2),
            ' ' | '\t' | '\n' | '\r' | '\u{c}' | '\u{a0}' => self.space = true,
            // Marks without width and control characters say nothing to a reader.
            '\u{200b}' | '\u{feff}' | '\u{ad}' => {}
            _ if character.is_control() => {}
            _ => {
                self.settle();
                self.push(character);
            }
        }
    }

    /// Writes the white space that is owed.
    fn settle(&mut self) {
        if !self.out.is_empty() {
            for _ in 0..self.breaks {
                self.push('\n');
            }
            if self.breaks == 0 && self.space {
                self.push(' ');
            }
        }
        let starts_line = self.out.is_empty() || self.out.ends_with('\n');
        if starts_line && self.quotes.contains(&true) {
            self.push('>');
            self.push(' ');
        }
        if self.bullet {
            self.push('-');
            self.push(' ');
        }
        self.breaks = 0;
        self.space = false;
        self.bullet = false;
    }

    fn push(&mut self, character: char) {
        if self.chars_left == 0 {
            self.full = true;
            return;
        }
        self.chars_left -= 1;
        self.out.push(character);
    }
}

/// The longest name of an entity with its semicolon, in bytes.
const ENTITY_BYTES: usize = 33;

/// Decodes the entity that `text` starts with: its one or two characters, and its length in bytes.
fn entity(text: &str) -> Option<(char, Option<char>, usize)> {
    let rest = &text[1..];
    if let Some(number) = rest.strip_prefix('#') {
        let (digits, radix, prefix) = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => (hexadecimal, 16, 3),
            None => (number, 10, 2),
        };
        let length = digits.bytes().take(ENTITY_BYTES).take_while(|byte| char::from(*byte).is_digit(radix)).count();
        let value = u32::from_str_radix(&digits[..length], radix).ok()?;
        let semicolon = usize::from(digits[length..].starts_with(';'));
        return Some((numbered(value), None, prefix + length + semicolon));
    }
    let name = rest.bytes().take(ENTITY_BYTES).take_while(u8::is_ascii_alphanumeric).count();
    let with_semicolon = name + usize::from(rest[name..].starts_with(';'));
    // Without its semicolon an old name counts as far as it is one: `&ampx` is `&x`.
    for length in (1..=with_semicolon).rev() {
        if let Some(&(first, second)) = html5ever::data::NAMED_ENTITIES.get(&rest[..length])
            && first != 0
        {
            let second = char::from_u32(second).filter(|_| second != 0);
            return Some((char::from_u32(first)?, second, 1 + length));
        }
    }
    None
}

/// The character of a numbered reference; numbers of the C1 range mean windows-1252, as the HTML standard says.
fn numbered(value: u32) -> char {
    if let Ok(byte @ 0x80..=0x9f) = u8::try_from(value) {
        let bytes = [byte];
        let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(&bytes);
        return text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(value).filter(|_| value != 0).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(html: &str) -> String {
        to_text(html, &Bounds::default()).text
    }

    #[test]
    fn reads_like_the_page() {
        let cases = [
            ("", ""),
            ("纯文本", "纯文本"),
            ("<p>第一段</p><p>第二段</p>", "第一段\n第二段"),
            ("<div>您好：</div><div><br></div><div>我家停水。</div>", "您好：\n\n我家停水。"),
            ("一<br>二<br/>三<BR><br><br><br>四", "一\n二\n三\n\n四"),
            ("<ul><li>白塔区</li><li></li><li>文圣区</li></ul>", "- 白塔区\n- 文圣区"),
            (
                "<table><tr><td>姓名</td><td>张三</td></tr><tr><td>电话</td><td>无</td></tr></table>",
                "姓名 张三\n电话 无",
            ),
            (
                "a &lt; b &amp;&amp; c&nbsp;&nbsp;d &#22909; &#x597D; &copy2026 &unknown; &",
                "a < b && c d 好 好 ©2026 &unknown; &",
            ),
            ("3 < 5 且 5 > 3", "3 < 5 且 5 > 3"),
            ("<a href='http://example.com/x?a=1'>链接</a>", "链接"),
            ("<script>alert('<p>x</p>')</script>前<style>p{}</style>后<STYLE>a</Style >。", "前后。"),
            ("<head><title>标题</title><meta charset=gbk></head><body>正文</body>", "正文"),
            ("<noscript><img src=x></noscript><template><p>模板</p></template>可见", "可见"),
            ("<!-- 注释 <p> -->正文<!--[if mso]><p>x</p><![endif]-->。", "正文。"),
            ("<img alt='>' src=\"a>b\">图后", "图后"),
            ("<pre>一\n 二</pre>三", "一\n二\n三"),
            ("<p title=\"没有结束>正文</p>再来", "正文\n再来"),
            ("<!-- 没有结束 正文", "没有结束 正文"),
            ("尾巴<div clas", "尾巴div clas"),
            ("&lt;script&gt;", "<script>"),
            ("&#0;&#x110000;&#128;", "\u{fffd}\u{fffd}€"),
        ];
        for (html, expected) in cases {
            assert_eq!(plain(html), expected, "{html}");
        }
    }

    #[test]
    fn says_which_bound_was_met() {
        let bounds = Bounds { input_bytes: 10, text_chars: 2 };
        let text = to_text("<p>一二三四五</p>", &bounds);
        assert_eq!(text.text, "一二");
        assert_eq!(text.remarks.len(), 1);
        let text = to_text("一二三四五", &Bounds { input_bytes: 100, text_chars: 3 });
        assert_eq!(text.text, "一二三");
        assert!(matches!(text.remarks[..], [Remark::Bounded { .. }]));
    }

    #[test]
    fn hostile_input_takes_linear_time() {
        let size = 1024 * 1024;
        let hostile = "<div>|<b>|<a b='|<a b=\">\" |<!--|<script>|<title>|</|<|&|&amp|<p x>|a |<table><tr><td>|<title></titl|<a |&#|<style></|=\"'<a";
        for unit in hostile.split('|') {
            let html = unit.repeat(size / unit.len());
            let started = std::time::Instant::now();
            let text = to_text(&html, &Bounds::default());
            let deepest = nesting(&html);
            let taken = started.elapsed();
            // Unoptimised and on a busy machine; anything quadratic would take minutes.
            assert!(taken.as_secs() < 10, "{unit:?} took {taken:?}");
            assert!(text.text.len() <= html.len() && deepest <= size);
        }
    }

    #[test]
    fn tells_deep_pages() {
        assert_eq!(nesting("<html><body><p>a<p>b<div><b>c</b></div></body></html>"), 4);
        assert_eq!(nesting(&"<div>".repeat(20_000)), 20_000);
    }

    proptest! {
        #[test]
        fn keeps_its_bounds(html in "(<[a-z/!]{0,6}[ ='\"]{0,3}>?|&[a-z#0-9;]{0,4}|[一-三]|--|[ \n])*", chars in 0_usize..40) {
            let text = to_text(&html, &Bounds { input_bytes: 120, text_chars: chars });
            prop_assert!(text.text.chars().count() <= chars);
            prop_assert!(!text.text.starts_with(char::is_whitespace));
        }
    }
}
