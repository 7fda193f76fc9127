//! From what a server gives of a mail to an item of a page.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::link::Envelope;
use crate::{
    complaint::Stamp,
    entry::{ExternalId, Form, RawEntry, Remark, Revision, Unread},
    mail::content_key,
};

/// An entry of what was fetched of a mail, at most `limit` bytes.
pub(super) fn entry(mut body: Vec<u8>, known: &Envelope, limit: usize) -> RawEntry {
    let told = known.size.map(u64::from);
    // A body that just reaches the limit was cut there, unless the server says that this is all of it.
    let cut = body.len() >= limit && told != Some(body.len() as u64);
    let over = cut || body.len() > limit || told.is_some_and(|size| size > limit as u64);
    body.truncate(limit);
    let remarks = if over { vec![Remark::Oversize { size: told, limit: limit as u64 }] } else { Vec::new() };
    RawEntry {
        external_id: content_key(&body),
        revision: Revision::only(),
        delivery_id: None,
        source_time: known.date.as_deref().and_then(internal_date).map(Stamp::second),
        form: Form::Mail,
        raw: Bytes::from(body),
        remarks,
    }
}

/// An id for a mail without content: its date and size outlive a change of UIDVALIDITY; where one of them is missing the UID
/// must help out. Mails of one page that are alike in both are counted.
pub(super) fn unread(
    known: &Envelope,
    uidvalidity: u32,
    reason: &str,
    seen: &mut BTreeMap<(String, u32), u32>,
) -> Unread {
    let external_id = match (&known.date, known.size) {
        (Some(date), Some(size)) => {
            let count = seen.entry((date.clone(), size)).and_modify(|count| *count += 1).or_default();
            format!("unread:{date}:{size}:{count}")
        }
        (Some(date), None) => format!("unread:{date}:uid {}", known.uid),
        (None, _) => format!("unread:uid {uidvalidity}/{}", known.uid),
    };
    Unread {
        external_id: ExternalId::new(&external_id),
        revision: Revision::only(),
        form: Form::Mail,
        raw: Bytes::new(),
        reason: format!("mail UID {} cannot be fetched: {reason}", known.uid),
    }
}

/// RFC 3501 date-time: `23-Nov-2026 17:30:09 +0800`.
pub(super) fn internal_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()?.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_servers_write_them() {
        let cases = [
            ("23-Nov-2026 17:30:09 +0800", Some("2026-11-23T09:30:09Z")),
            (" 3-Nov-2026 17:30:09 +0000", Some("2026-11-03T17:30:09Z")),
            ("3-Nov-2026 17:30:09 -0330", Some("2026-11-03T21:00:09Z")),
            ("yesterday", None),
            ("31-Feb-2026 17:30:09 +0800", None),
        ];
        for (text, expected) in cases {
            assert_eq!(internal_date(text), expected.map(|text| text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_mail_without_content_keeps_its_name_and_never_takes_another_ones() {
        let told = |uid, size, date: Option<&str>| Envelope { uid, size, date: date.map(str::to_owned) };
        let name = |known: &Envelope, uidvalidity| unread(known, uidvalidity, "", &mut BTreeMap::new()).external_id;
        let date = Some("23-Nov-2026 17:30:09 +0800");
        assert_eq!(name(&told(1, Some(9), date), 1), name(&told(5, Some(9), date), 2), "outlives UIDVALIDITY");
        assert_ne!(name(&told(1, None, date), 1), name(&told(2, None, date), 1));
        assert_ne!(name(&told(1, None, None), 1), name(&told(1, None, None), 2));
        let mut seen = BTreeMap::new();
        let twins = [1, 2].map(|uid| unread(&told(uid, Some(9), date), 1, "", &mut seen).external_id);
        assert_ne!(twins[0], twins[1], "two mails of one second and size are two");
    }
}
