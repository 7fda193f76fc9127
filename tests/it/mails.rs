//! Mails and telephone forms as they really come, made from a seed: the same seed gives the same bytes. Benchmarks
//! include this file by path, so it depends on nothing but encodings.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use encoding_rs::{BIG5, Encoding, GB18030, GBK, UTF_8};
use serde_json::{Value, json};

/// Every so many items one is said again by the same person.
const REPEAT_EVERY: usize = 20;
/// Every so many items one is said by another person too.
const CO_REPORT_EVERY: usize = 25;

/// How an item stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The first of its matter.
    First,
    /// The same person, the same text as an earlier one.
    Repeat,
    /// Another person, the same text as an earlier one.
    CoReport,
    /// No mail at all.
    Unreadable,
}

/// What must come out of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// How it stands to the mails before it.
    pub(crate) standing: Standing,
    /// The matter: the same number means the same text.
    pub(crate) matter: usize,
    /// The petitioner's address.
    pub(crate) sender: String,
    /// Title.
    pub(crate) subject: String,
    /// Text, without regard to blanks and line ends.
    pub(crate) body: String,
    /// Whether it tells a Message-ID.
    pub(crate) has_message_id: bool,
    /// The name of what is attached.
    pub(crate) attachment: Option<String>,
}

/// A mail.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// A name for its file.
    pub(crate) file_name: String,
    /// Its bytes.
    pub(crate) raw: Vec<u8>,
    /// What must come out of it.
    pub(crate) expected: Expected,
}

/// `SplitMix64` (Steele, Lea, Flood, 2014): enough to choose words by.
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((value ^ (value >> 31)) % sides as u64).unwrap_or(0)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }
}

/// How a mail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A labelled character set, encoded headers.
    Plain(&'static str, Transfer),
    /// 8-bit headers and text under a label.
    Raw(&'static str),
    /// 8-bit headers and text without any label.
    Unlabelled,
    /// Encoded words that end inside a character.
    SplitWords,
    WithoutFrom,
    WithoutMessageId,
    Nested,
    HtmlOnly,
    Attachment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Base64,
    QuotedPrintable,
}

use Transfer::{Base64, QuotedPrintable};

/// In turn, so that every style comes up in every run.
const STYLES: [Style; 19] = [
    Style::Plain("utf-8", Base64),
    Style::Raw("gbk"),
    Style::Plain("gb18030", Base64),
    Style::Plain("big5", Base64),
    Style::WithoutFrom,
    Style::Plain("utf-8", QuotedPrintable),
    Style::HtmlOnly,
    Style::Raw("gb2312"),
    Style::Nested,
    Style::Plain("gbk", QuotedPrintable),
    Style::SplitWords,
    Style::Attachment,
    Style::Plain("big5", QuotedPrintable),
    Style::WithoutMessageId,
    Style::Raw("utf-8"),
    Style::Plain("gbk", Base64),
    Style::Unlabelled,
    Style::Plain("gb18030", QuotedPrintable),
    Style::Plain("gb2312", Base64),
];

fn is_traditional(style: Style) -> bool {
    matches!(style, Style::Plain("big5", _))
}

const AREAS: [&str; 7] = ["白塔区", "文圣区", "宏伟区", "弓长岭区", "太子河区", "辽阳县", "灯塔市"];
const ESTATES: [&str; 30] = [
    "盛源小区",
    "锦绣花园",
    "石化家属区",
    "新华小区",
    "东兴家园",
    "太子河畔",
    "民主小区",
    "卫国小区",
    "庆阳家园",
    "阳光嘉苑",
    "汤河新城",
    "安平家园",
    "铁西小区",
    "祁家小区",
    "首山花园",
    "刘二堡家园",
    "小北河新村",
    "河栏小区",
    "寒岭新村",
    "八会家园",
    "铧子小区",
    "万宝桥家园",
    "沈旦堡新村",
    "西大窑小区",
    "青年小区",
    "武圣家园",
    "东京陵小区",
    "望水台花园",
    "南郊家园",
    "曙光小区",
];
/// Title, what happened, what is asked for.
const MATTERS: [(&str, &str, &str); 12] = [
    ("暖气不热", "供暖以来室内一直只有十四度，报修多次都说在排队", "请供热公司上门维修"),
    ("停水不通知", "从早上起停水，没有接到任何通知", "请尽快恢复供水"),
    ("下水道堵塞", "门前下水道堵塞半个月，污水流到路上", "请安排疏通"),
    ("路灯不亮", "整条路的路灯不亮，老人晚上摔倒了两次", "请维修路灯"),
    ("垃圾没人清运", "垃圾箱一个星期没有清运，气味很大", "请督促清运"),
    ("楼上装修噪音", "周末早上六点就开始砸墙，孩子没法学习", "请有关部门制止"),
    ("电梯频繁故障", "电梯一周停了三次，二十层的老人下不了楼", "请督促物业修好电梯"),
    ("违建占用通道", "有人在公共通道搭了棚子，影响通行", "请依法拆除"),
    ("物业乱收费", "物业在合同之外另收公摊费，不交就停用门禁", "请查处乱收费"),
    ("咨询医保报销", "在外地住院，请问医保怎么报销，需要什么材料", "请告知办理流程"),
    ("建议增设停车位", "车位不够，晚上车停到主路上，建议在空地增设停车位", "希望采纳"),
    ("拖欠工资", "在附近工地干了三个月，包工头拖欠工资一直不给", "请帮忙要回工资"),
];
const MATTERS_TRADITIONAL: [(&str, &str, &str); 4] = [
    ("暖氣不熱", "供暖以來室內一直只有十四度，報修多次都說在排隊", "請供熱公司上門維修"),
    ("下水道堵塞", "門前下水道堵塞半個月，污水流到路上", "請安排疏通"),
    ("請問投資手續", "本人是臺灣同胞，計畫在本市開店，請問需要什麼手續", "敬請告知"),
    ("路燈不亮", "整條路的路燈不亮，老人晚上摔倒了兩次", "請維修路燈"),
];
const SURNAMES: [&str; 12] = ["王", "李", "田", "江", "周", "朱", "高", "林", "何", "郭", "方", "白"];
const GIVEN: [&str; 10] = ["志安", "明", "立新", "文斌", "玉山", "大江", "小平", "永和", "光", "子文"];

/// What one item says, and who says it.
#[derive(Debug, Clone)]
struct Story {
    matter: usize,
    person: usize,
    standing: Standing,
    traditional: bool,
    title: String,
    place: String,
    course: String,
    request: String,
    name: String,
}

/// The story of a matter; no two matters tell the same, up to 216,000 of them.
fn first(matter: usize, traditional: bool, dice: &mut Dice) -> Story {
    // Spread over all homes of all estates, each once: 7919 is prime to their number.
    let home = (matter * 7919) % (40 * 6 * 30 * ESTATES.len());
    let (building, unit, floor, estate) = (home % 40 + 1, home / 40 % 6 + 1, home / 240 % 30 + 1, home / 7200);
    let day = dice.roll(20) + 1;
    let (title, place, course, request) = if traditional {
        let (title, course, request) = MATTERS_TRADITIONAL[dice.roll(MATTERS_TRADITIONAL.len())];
        let place = format!("遼陽市第{}社區{building}號樓{unit}單元{floor}樓", estate + 1);
        (title.to_owned(), place, course, request)
    } else {
        let (title, course, request) = MATTERS[dice.roll(MATTERS.len())];
        let estate = ESTATES[estate];
        let place = format!("{}{estate}{building}号楼{unit}单元{floor}楼", dice.pick(&AREAS));
        (format!("{estate}{title}"), place, course, request)
    };
    let lives = if traditional { "我住在" } else { "我家在" };
    Story {
        matter,
        person: matter,
        standing: Standing::First,
        traditional,
        title,
        course: format!("{lives}{place}。11月{day}日起，{course}。"),
        place,
        request: request.to_owned(),
        name: person(matter),
    }
}

/// The stories of so many items; nothing repeats the one that is `lost`.
fn stories(seed: u64, count: usize, lost: Option<usize>, traditional: impl Fn(usize) -> bool) -> Vec<Story> {
    let mut dice = Dice(seed);
    let mut stories: Vec<Story> = Vec::with_capacity(count);
    for index in 0..count {
        let wanted = traditional(index);
        let again = if index % REPEAT_EVERY == REPEAT_EVERY - 1 {
            Some(Standing::Repeat)
        } else if index % CO_REPORT_EVERY == CO_REPORT_EVERY - 1 {
            Some(Standing::CoReport)
        } else {
            None
        };
        // Not far back, and of differing distance: batches meet their own repeats as well as older ones.
        let from = index.saturating_sub(dice.roll(60) + 10);
        let is_like = |story: &&Story| story.standing == Standing::First && story.traditional == wanted;
        let earlier = again.and_then(|standing| Some((standing, stories[from..].iter().find(is_like)?.clone())));
        let story = match earlier {
            _ if lost == Some(index) => Story { standing: Standing::Unreadable, ..first(index, wanted, &mut dice) },
            Some((Standing::CoReport, story)) => {
                Story { standing: Standing::CoReport, person: index, name: person(index), ..story }
            }
            Some((standing, story)) => Story { standing, ..story },
            None => first(index, wanted, &mut dice),
        };
        stories.push(story);
    }
    stories
}

fn person(number: usize) -> String {
    format!("{}{}", SURNAMES[number % SURNAMES.len()], GIVEN[number / SURNAMES.len() % GIVEN.len()])
}

/// Mails: half of everything that mail programs do to Chinese text, repeats and co-reports among them, and one that is
/// no mail at all. Every mail differs from every other, as `connectors::mail::content_key` sees it.
pub(crate) fn mails(seed: u64, count: usize) -> Vec<Mail> {
    let unreadable = (count > 2).then_some(count / 2);
    let style = |index: usize| STYLES[index % STYLES.len()];
    let stories = stories(seed, count, unreadable, |index| is_traditional(style(index)));
    stories
        .iter()
        .enumerate()
        .map(
            |(index, story)| {
                if unreadable == Some(index) { noise(seed, index) } else { written(seed, index, story, style(index)) }
            },
        )
        .collect()
}

fn noise(seed: u64, index: usize) -> Mail {
    let mut dice = Dice(seed ^ 0xFFFF);
    // No line ends, no colons: nothing that a header could be found in.
    let raw = (0..700).map(|_| u8::try_from(128 + dice.roll(128)).unwrap_or(255)).collect();
    let expected = Expected {
        standing: Standing::Unreadable,
        matter: index,
        sender: String::new(),
        subject: String::new(),
        body: String::new(),
        has_message_id: false,
        attachment: None,
    };
    Mail { file_name: format!("{index:06}.eml"), raw, expected }
}

fn encoding(label: &str) -> &'static Encoding {
    match label {
        "utf-8" => UTF_8,
        "big5" => BIG5,
        "gb18030" => GB18030,
        // Labels lie: what calls itself gb2312 is GBK.
        _ => GBK,
    }
}

fn encoded(label: &str, text: &str) -> Vec<u8> {
    encoding(label).encode(text).0.into_owned()
}

fn word(label: &str, text: &str) -> Vec<u8> {
    format!("=?{label}?B?{}?=", STANDARD.encode(encoded(label, text))).into_bytes()
}

fn folded_base64(bytes: &[u8]) -> Vec<u8> {
    STANDARD.encode(bytes).as_bytes().chunks(76).flat_map(|line| [line, b"\r\n"].concat()).collect()
}

fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 3);
    let mut column = 0;
    for byte in bytes {
        if *byte == b'\n' {
            text.extend_from_slice(b"\r\n");
            column = 0;
            continue;
        }
        if column >= 72 {
            text.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if byte.is_ascii_alphanumeric() || *byte == b',' {
            text.push(*byte);
            column += 1;
        } else if *byte != b'\r' {
            text.extend_from_slice(format!("={byte:02X}").as_bytes());
            column += 3;
        }
    }
    text
}

fn part(label: &str, transfer: Transfer, subtype: &str, text: &str) -> Vec<u8> {
    let bytes = encoded(label, text);
    let (name, body) = match transfer {
        Base64 => ("base64", folded_base64(&bytes)),
        QuotedPrintable => ("quoted-printable", quoted_printable(&bytes)),
    };
    let head = format!("Content-Type: text/{subtype}; charset={label}\r\nContent-Transfer-Encoding: {name}\r\n\r\n");
    [head.as_bytes(), &body].concat()
}

fn multipart(kind: &str, boundary: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n").into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    bytes
}

fn written(seed: u64, index: usize, story: &Story, style: Style) -> Mail {
    let body = format!("您好：\r\n{}\r\n{}。\r\n", story.course, story.request);
    let sender = format!("citizen{}.{seed:x}@mail.example", story.person);
    let label = match style {
        Style::Plain(label, _) | Style::Raw(label) => label,
        Style::Unlabelled | Style::HtmlOnly | Style::Attachment => "gbk",
        _ => "utf-8",
    };
    let raw_head = matches!(style, Style::Raw(_) | Style::Unlabelled);
    let show = |text: &str| if raw_head { encoded(label, text) } else { word(label, text) };
    let subject = match style {
        Style::SplitWords => story.title.as_bytes().chunks(10).fold(Vec::new(), |mut header, bytes| {
            let separator: &[u8] = if header.is_empty() { b"" } else { b"\r\n " };
            header.extend_from_slice(separator);
            header.extend_from_slice(format!("=?utf-8?B?{}?=", STANDARD.encode(bytes)).as_bytes());
            header
        }),
        _ => show(&story.title),
    };
    let mut raw = Vec::new();
    let mut line = |name: &str, value: &[u8]| raw.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    let from = [show(&story.name), format!(" <{sender}>").into_bytes()].concat();
    line(if style == Style::WithoutFrom { "Reply-To" } else { "From" }, &from);
    line("To", b"<mayor@liaoyang.example>");
    line("Subject", &subject);
    let (day, hour, minute, second) = (1 + index / 86_400 % 20, index / 3600 % 24, index / 60 % 60, index % 60);
    line("Date", format!("{day} Nov 2026 {hour:02}:{minute:02}:{second:02} +0800").as_bytes());
    let has_message_id = style != Style::WithoutMessageId;
    if has_message_id {
        line("Message-ID", format!("<{index}.{seed:x}@mail.example>").as_bytes());
    }
    line("MIME-Version", b"1.0");
    let mut attachment = None;
    let content = match style {
        Style::Plain(label, transfer) => part(label, transfer, "plain", &body),
        Style::Raw(label) => {
            let head = format!("Content-Type: text/plain; charset={label}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
            [head.into_bytes(), encoded(label, &body)].concat()
        }
        Style::Unlabelled => {
            [b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_vec(), encoded(label, &body)]
                .concat()
        }
        Style::HtmlOnly => part(label, QuotedPrintable, "html", &html(&body)),
        Style::Nested => {
            let both = [part(label, Base64, "plain", &body), part(label, QuotedPrintable, "html", &html(&body))];
            let related =
                multipart("related", &format!("b{index}"), &[multipart("alternative", &format!("c{index}"), &both)]);
            multipart("mixed", &format!("a{index}"), &[related])
        }
        Style::Attachment => {
            let name = format!("现场照片{}.jpg", index % 7);
            let file = [
                b"Content-Type: image/jpeg; name=\"".to_vec(),
                encoded("gbk", &name),
                b"\"\r\nContent-Disposition: attachment; filename=\"".to_vec(),
                encoded("gbk", &name),
                b"\"\r\nContent-Transfer-Encoding: base64\r\n\r\n".to_vec(),
                folded_base64(&index.to_be_bytes().repeat(40)),
            ];
            attachment = Some(name);
            multipart("mixed", &format!("a{index}"), &[part(label, Base64, "plain", &body), file.concat()])
        }
        Style::SplitWords | Style::WithoutFrom | Style::WithoutMessageId => part(label, Base64, "plain", &body),
    };
    raw.extend_from_slice(&content);
    let expected = Expected {
        standing: story.standing,
        matter: story.matter,
        sender,
        subject: story.title.clone(),
        body,
        has_message_id,
        attachment,
    };
    Mail { file_name: format!("{index:06}.eml"), raw, expected }
}

fn html(body: &str) -> String {
    let lines: String = body.lines().flat_map(|line| ["<p>", line, "</p>\n"]).collect();
    format!("<html><head><style>p {{ color: #333 }}</style></head><body>{lines}</body></html>")
}

/// Forms of a call centre, as the inlet's preset `call_center` reads them, repeats and co-reports among them. Each is a
/// call of its own.
pub(crate) fn forms(seed: u64, count: usize) -> Vec<Value> {
    let stories = stories(seed, count, None, |_| false);
    stories
        .iter()
        .enumerate()
        .map(|(index, story)| {
            let (hour, minute, second) = (index / 3600 % 24, index / 60 % 60, index % 60);
            let time = format!("2026-11-20 {hour:02}:{minute:02}:{second:02}");
            json!({
                "call_id": format!("LY{seed:x}-{index:08}"),
                "caller": format!("139{:08}", story.person % 100_000_000),
                "agent": format!("{:04}", index % 90),
                "start": time, "answer": time, "end": time,
                "recording": format!("rec/{index:08}.wav"),
                "form": {
                    "kind": if story.title.contains("咨询") { "咨询" } else { "投诉" },
                    "title": story.title, "place": story.place, "course": story.course, "request": story.request,
                    "contact": { "name": story.name, "wants_answer": true },
                },
            })
        })
        .collect()
}
