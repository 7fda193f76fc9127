//! Streams are written here by the book, so that what is read is known; then they are cut and changed at any place.

use proptest::prelude::*;

use super::*;

fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let sum = data.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    [&[level], &id.to_le_bytes()[..], &length.to_le_bytes(), data, &sum.to_le_bytes()].concat()
}

fn sized(kind: u16, id: u16, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let fill = vec![0; bytes.len().next_multiple_of(4) - bytes.len()];
    [&kind.to_le_bytes()[..], &id.to_le_bytes(), &1_u32.to_le_bytes(), &length.to_le_bytes(), bytes, &fill].concat()
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn listed(properties: &[Vec<u8>]) -> Vec<u8> {
    [&u32::try_from(properties.len()).unwrap().to_le_bytes()[..], &properties.concat()].concat()
}

fn written(attributes: &[Vec<u8>]) -> Vec<u8> {
    [&SIGNATURE[..], &[1, 0], &attributes.concat()].concat()
}

fn file(title: &[u8], data: &[u8], properties: &[Vec<u8>]) -> Vec<u8> {
    [
        attribute(2, attribute::FILE_STARTS, &[0; 14]),
        attribute(2, attribute::FILE_TITLE, title),
        attribute(2, attribute::FILE_DATA, data),
        attribute(2, attribute::FILE_PROPERTIES, &listed(properties)),
    ]
    .concat()
}

const HELLO: &[u8] =
    b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";

fn whole() -> Vec<u8> {
    let named = [
        &0x1e_u16.to_le_bytes()[..],
        &0x8001_u16.to_le_bytes(),
        &[7; 16],
        &1_u32.to_le_bytes(),
        &4_u32.to_le_bytes(),
        b"n\0m\0",
        &1_u32.to_le_bytes(),
        &2_u32.to_le_bytes(),
        b"x\0\0\0",
    ]
    .concat();
    let inner = written(&[attribute(1, attribute::BODY, b"an inner message\0"), file(b"inner.txt\0", b"inner", &[])]);
    let object = [&[9; 16][..], &inner].concat();
    written(&[
        attribute(1, attribute::CODE_PAGE, &936_u64.to_le_bytes()),
        attribute(
            1,
            attribute::PROPERTIES,
            &listed(&[
                [&0x3_u16.to_le_bytes()[..], &0x26_u16.to_le_bytes(), &1_u32.to_le_bytes()].concat(),
                [&0x40_u16.to_le_bytes()[..], &0x39_u16.to_le_bytes(), &[1; 8]].concat(),
                named,
                sized(0x102, property::RICH_TEXT, HELLO),
            ]),
        ),
        // 现场.jpg in GBK
        file(b"\xcf\xd6\xb3\xa1.jpg\0", b"\xff\xd8\xff\xe0data", &[]),
        file(
            b"A~1.DOC\0",
            b"doc",
            &[
                sized(0x1f, property::LONG_FILE_NAME, &wide("关于停水的说明.doc")),
                sized(0x1e, property::MEDIA_TYPE, b"application/msword\0"),
            ],
        ),
        file(b"fwd\0", b"", &[sized(0xd, property::DATA, &object)]),
    ])
}

fn read(bytes: &[u8]) -> (Opened, Vec<crate::entry::Remark>) {
    let mut notes = Notes::default();
    let opened = open(bytes, &Bounds::default(), &mut notes).unwrap();
    (opened, notes.0)
}

#[test]
fn files_text_and_an_inner_message_come_out() {
    let (opened, remarks) = read(&whole());
    assert_eq!(opened.text, "hello world");
    let files: Vec<_> = opened
        .files
        .iter()
        .map(|file| (file.name.as_deref().unwrap(), file.media_type.as_str(), &*file.bytes))
        .collect();
    assert_eq!(
        files,
        [
            ("现场.jpg", "application/octet-stream", b"\xff\xd8\xff\xe0data".as_slice()),
            ("关于停水的说明.doc", "application/msword", b"doc"),
            ("fwd.txt", "text/plain", b"an inner message"),
            ("inner.txt", "application/octet-stream", b"inner"),
        ]
    );
    assert!(remarks.is_empty());
}

#[test]
fn plain_text_goes_before_html_and_html_before_rich_text() {
    let properties = |list: &[Vec<u8>]| written(&[attribute(1, attribute::PROPERTIES, &listed(list))]);
    let page = [&0x3_u16.to_le_bytes()[..], &property::CODE_PAGE.to_le_bytes(), &936_u32.to_le_bytes()].concat();
    let html = sized(0x102, property::HTML, b"<p>\xcd\xa3\xcb\xae</p>");
    let rich = sized(0x102, property::RICH_TEXT, HELLO);
    let plain = sized(0x1f, property::BODY, &wide("三天"));
    assert_eq!(read(&properties(&[rich.clone(), html.clone(), page.clone()])).0.text, "停水");
    assert_eq!(read(&properties(&[rich, html, page, plain])).0.text, "三天");
}

#[test]
fn what_breaks_off_is_read_as_far_as_it_goes() {
    let bytes = whole();
    let (opened, remarks) = read(&bytes[..bytes.len() - 100]);
    assert_eq!(opened.files.len(), 3, "the last one lost its properties");
    assert!(matches!(&remarks[..], [crate::entry::Remark::Mended { .. }]));
    assert!(open(b"PK\x03\x04", &Bounds::default(), &mut Notes::default()).is_none());
    let huge = [&SIGNATURE[..], &[1, 0, 1], &attribute::BODY.to_le_bytes(), &[0xff; 4], b"text"].concat();
    assert_eq!(read(&huge).0.text, "");
}

proptest! {
    #[test]
    fn a_changed_stream_never_panics_and_never_grows(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..12)) {
        let mut bytes = whole();
        for (place, byte, how) in edits {
            let at = 6 + place.index(bytes.len().saturating_sub(6).max(1));
            if at >= bytes.len() {
                continue;
            }
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes.truncate(at),
            }
        }
        let (opened, _) = read(&bytes);
        prop_assert!(opened.files.iter().map(|file| file.bytes.len()).sum::<usize>() <= bytes.len() * (MAX_DEPTH + 1) * 3);
        prop_assert!(opened.files.len() <= Bounds::default().attachments);
    }

    #[test]
    fn arbitrary_bytes_behind_the_signature_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&[&SIGNATURE[..], &bytes].concat());
    }
}
