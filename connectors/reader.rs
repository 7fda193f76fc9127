//! The pure part of adapters whose items are mails or documents that a mapping describes: folders of letters, and
//! programs of others.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    complaint::Complaint,
    contract::{Normalise, Unreadable},
    entry::{Form, RawEntry, Remark},
    mail,
    mapping::{self, Compiled},
};

/// Reads mails and mapped documents.
pub(crate) struct Reader {
    /// Where the fields of a document stand.
    pub(crate) mapping: Arc<Compiled>,
    /// By what our own mails are known.
    pub(crate) own: mail::OwnAddresses,
    /// Bounds of a mail.
    pub(crate) bounds: mail::Bounds,
    /// What is said of a document that is none.
    pub(crate) unread: &'static str,
}

impl Normalise for Reader {
    fn normalise(&self, entry: &RawEntry, received_at: Timestamp) -> Result<Complaint, Unreadable> {
        let mut complaint = match entry.form {
            Form::Mail => mail::normalise(&entry.raw, &self.own, &self.bounds, received_at)?,
            Form::Row | Form::Json => {
                let document = serde_json::from_slice(&entry.raw).map_err(|_| Unreadable(self.unread.to_owned()))?;
                let mut complaint = self.mapping.complaint(&document)?;
                mapping::doubt_clock(&mut complaint, received_at);
                complaint
            }
        };
        let known: Vec<Remark> =
            entry.remarks.iter().filter(|remark| !complaint.remarks.contains(remark)).cloned().collect();
        complaint.remarks.splice(0..0, known);
        Ok(complaint)
    }
    fn attachment(&self, entry: &RawEntry, part: u32) -> Option<Vec<u8>> {
        match entry.form {
            Form::Mail => mail::part(&entry.raw, part, &self.bounds),
            Form::Row | Form::Json => None,
        }
    }
}
