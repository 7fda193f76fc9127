//! Mail that a colleague passes on: the writer of the inner mail is the petitioner, and not the colleague.
//!
//! Only addresses that the settings name are believed in this, because the petitioner of a passed-on mail is whoever its text
//! names. Anybody else who passes a mail on is the petitioner, and what is passed on is a part of the complaint.

use super::{Address, Bounds, Mail, OwnAddresses, complaint, forward, quote};
use crate::entry::Remark;

/// Mails passed on inside one another that are followed.
const MAX_PASSES: usize = 3;

/// The mail as its first writer wrote it, and what those who passed it on wrote themselves.
pub(super) fn unwrap(mail: Mail, own: &OwnAddresses, bounds: &Bounds) -> (Mail, Vec<String>) {
    let mut notes = Vec::new();
    let mut mail = mail;
    for _ in 0..MAX_PASSES {
        if !mail.from.as_ref().is_some_and(|from| own.passes_on(&from.email)) || mail.machine.is_some() {
            break;
        }
        let (inner, passed_on) = once(mail, own, bounds, &mut notes);
        mail = inner;
        if !passed_on {
            break;
        }
    }
    (mail, notes)
}

/// One mail less around it, and whether there was one: else a colleague wrote it and passes nothing on.
fn once(outer: Mail, own: &OwnAddresses, bounds: &Bounds, notes: &mut Vec<String>) -> (Mail, bool) {
    if !outer.enclosed.is_empty() {
        return (enclosed(outer, notes), true);
    }
    let says_so = outer.subject.as_deref().is_some_and(complaint::forwards_something);
    let mut inner = outer;
    let mut remarks = super::Notes(std::mem::take(&mut inner.remarks));
    let found = forward::inline(&inner.text, bounds, &mut remarks)
        .filter(|found| found.headed || says_so || !complaint::is_reply(&inner));
    inner.remarks = remarks.0;
    match found {
        Some(found) => {
            if !found.note.is_empty() {
                notes.push(found.note);
            }
            inner.text = found.text;
            inner.subject = found.subject.or(inner.subject);
            inner.date = found.date.or(inner.date);
            written_by(&mut inner, found.from, own);
            (inner, true)
        }
        None if says_so => {
            written_by(&mut inner, None, own);
            (inner, true)
        }
        None => (inner, false),
    }
}

fn enclosed(mut outer: Mail, notes: &mut Vec<String>) -> Mail {
    let mut all = std::mem::take(&mut outer.enclosed).into_iter();
    let Some(first) = all.next() else { return outer };
    if outer.text != first.text {
        let lines: Vec<&str> = outer.text.lines().collect();
        notes.extend(Some(quote::without_signature(&lines)).filter(|note| !note.is_empty()));
    }
    let mut inner = first;
    // What we received is known by the id of the outer mail, and reached us by its way.
    inner.message_id = outer.message_id;
    inner.in_reply_to.extend(outer.in_reply_to);
    inner.references.splice(0..0, outer.references);
    inner.to = outer.to;
    inner.cc = outer.cc;
    inner.delivered_to = outer.delivered_to;
    inner.attachments = outer.attachments;
    inner.subject = inner.subject.or(outer.subject);
    inner.date = inner.date.or(outer.date);
    let mut remarks = outer.remarks;
    remarks.append(&mut inner.remarks);
    inner.remarks = remarks;
    let writer = |mail: &Mail| mail.from.as_ref().map(|from| from.email.clone());
    let mut others = false;
    for next in all {
        others |= writer(&next) != writer(&inner);
        notes.push(complaint::told(&next));
    }
    if others {
        inner.remarks.push(Remark::Doubtful {
            what: "转来的邮件不止一人所写，只以第一封的写信人为诉求人".to_owned()
        });
    }
    if inner.from.is_none() {
        unnamed(&mut inner);
    }
    inner
}

fn written_by(mail: &mut Mail, from: Option<Address>, own: &OwnAddresses) {
    mail.from_name = None;
    mail.reply_to = None;
    // Our own address inside is no citizen's; a colleague's may pass on once more.
    mail.from = from.filter(|from| !own.holds(&from.email) || own.passes_on(&from.email));
    if mail.from.is_none() {
        unnamed(mail);
    }
}

fn unnamed(mail: &mut Mail) {
    mail.remarks
        .push(Remark::Doubtful { what: "本件由同事转来，没有读出原写信人的地址".to_owned() });
}
