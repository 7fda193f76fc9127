//! What an adapter says beside its entries: faults, reasons, remarks, steps, and its log. A citizen's data may stand in
//! none of it (Article 24), nor may a secret.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// A citizen's name.
pub(crate) const NAME: &str = "张三丰";
/// A citizen's telephone number.
pub(crate) const PHONE: &str = "13900001234";

/// Everything that was said.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<String>>);

impl Heard {
    /// Notes what was said.
    pub(super) fn note(&self, said: impl Debug) {
        let mut text = self.0.lock().unwrap();
        writeln!(text, "{said:?}").unwrap();
    }

    /// Listens to the log of this thread until the guard is dropped.
    pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(Listener(self.clone()))
    }

    /// Nothing of a citizen, and no secret, was said.
    pub(super) fn is_silent(&self, secrets: &[&str]) {
        let text = self.0.lock().unwrap();
        let escaped = NAME.escape_unicode().to_string();
        for private in [NAME, PHONE, &escaped, "路灯"].into_iter().chain(secrets.iter().copied()) {
            let line = text.lines().find(|line| line.contains(private));
            assert!(line.is_none(), "{private:?} was said: {line:?}");
        }
    }
}

struct Listener(Heard);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A log line holds whatever it is given; that it cannot be written would be told by the assertion.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Listener {
    fn take(&self, visit: impl FnOnce(&mut Fields<'_>)) {
        let mut text = String::new();
        visit(&mut Fields(&mut text));
        self.0.note(text);
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries log what passes through them at their lowest levels; the gateway never turns these on.
        metadata.target().starts_with("connectors") || *metadata.level() <= tracing::Level::DEBUG
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.take(|fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.take(|fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.take(|fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "was said")]
    fn what_is_logged_is_heard() {
        let heard = Heard::default();
        let _listening = heard.listen();
        tracing::debug!(petitioner.name = NAME, "read");
        heard.is_silent(&[]);
    }

    #[test]
    fn what_is_not_personal_is_not_found() {
        let heard = Heard::default();
        heard.note("the server answered 500");
        heard.is_silent(&["secret"]);
    }
}
