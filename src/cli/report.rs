//! What a command answers: text for people or one JSON document, and an exit code.

use std::io::{self, ErrorKind, Write as _};

use serde::Serialize;

use super::failure::Code;

/// The answer of a command that came to its end.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
    code: Code,
}

impl Report {
    /// Says nothing.
    pub(crate) fn silent(code: Code) -> Self {
        Self { text: String::new(), code }
    }

    /// For people, or for machines with `--json`.
    pub(crate) fn of(as_json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<Self> {
        let mut text = if as_json { serde_json::to_string_pretty(value)? } else { text() };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Self { text, code: Code::Done })
    }

    /// The same answer with another exit code.
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Writes the answer to standard output. A reader that went away (`jiesu … | head`) has seen what it wanted.
    pub(crate) fn write(&self) -> io::Result<Code> {
        let mut output = io::stdout().lock();
        match output.write_all(self.text.as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self.code),
        }
    }
}
