//! The Asterisk Manager Interface on the wire: lines of `Name: value`, an empty line behind each message. Whatever comes,
//! no more is held than the bounds say: a line that is too long is cut, and a message that is too long is told as such.

use bytes::BytesMut;

/// Headers of one message.
const MAX_HEADERS: usize = 400;

/// Bounds of what is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of one line.
    pub(super) line: usize,
    /// Bytes of one message.
    pub(super) message: usize,
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Name and value, in the order in which they came.
    pub(super) headers: Vec<(String, String)>,
    /// Whether a bound was met: something of it is missing.
    pub(super) cut: bool,
}

impl Message {
    /// The first value under a name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.find_map(|(_, value)| (!value.is_empty()).then_some(value.as_str()))
    }

    /// Whether it answers the action with this id.
    pub(super) fn answers(&self, action: &str) -> bool {
        self.get("Response").is_some() && self.get("ActionID") == Some(action)
    }
}

/// Reads messages out of bytes, however they are cut into pieces.
#[derive(Debug)]
pub(super) struct Parser {
    bounds: Bounds,
    message: Message,
    bytes: usize,
    /// The rest of the line is passed over.
    skipping: bool,
}

impl Parser {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, message: Message::default(), bytes: 0, skipping: false }
    }

    /// The next whole line of `from`, without its end; a longer one is cut.
    pub(super) fn line(&mut self, from: &mut BytesMut) -> Option<(Vec<u8>, bool)> {
        loop {
            let Some(end) = from.iter().position(|byte| *byte == b'\n') else {
                if from.len() <= self.bounds.line {
                    return None;
                }
                let line = from.split_to(self.bounds.line).to_vec();
                from.clear();
                if std::mem::replace(&mut self.skipping, true) {
                    return None;
                }
                return Some((line, true));
            };
            let line = from.split_to(end + 1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let cut = line.len() > self.bounds.line;
            return Some((line[..line.len().min(self.bounds.line)].to_vec(), cut));
        }
    }

    /// The next whole message of `from`; what was read of another stays here.
    pub(super) fn message(&mut self, from: &mut BytesMut) -> Option<Message> {
        while let Some((line, cut)) = self.line(from) {
            if line.is_empty() {
                self.bytes = 0;
                let message = std::mem::take(&mut self.message);
                if !message.headers.is_empty() || message.cut {
                    return Some(message);
                }
                continue;
            }
            self.message.cut |= cut;
            self.bytes = self.bytes.saturating_add(line.len());
            if self.bytes > self.bounds.message || self.message.headers.len() >= MAX_HEADERS {
                self.message.cut = true;
                continue;
            }
            let line = decoded(&line);
            // What is no header is the banner, or the output of a command that we did not give.
            if let Some((name, value)) = line.split_once(':') {
                self.message.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        None
    }
}

/// Names of agents and callers come in whatever the exchange was set up with.
fn decoded(line: &[u8]) -> String {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::GB18030.decode(line).0.into_owned(),
    };
    if text.chars().any(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { line: 64, message: 256 };

    fn messages(pieces: &[&[u8]]) -> Vec<Message> {
        let (mut parser, mut inbound, mut messages) = (Parser::new(BOUNDS), BytesMut::new(), Vec::new());
        for piece in pieces {
            inbound.extend_from_slice(piece);
            while let Some(message) = parser.message(&mut inbound) {
                messages.push(message);
            }
            assert!(inbound.len() <= BOUNDS.line, "{} bytes wait", inbound.len());
        }
        messages
    }

    #[test]
    fn a17_hostile_lines_are_cut_and_what_follows_is_read() {
        let long = [b"CallerIDName: ".as_slice(), &b"x".repeat(10_000), b"\r\n"].concat();
        let many = b"A: b\r\n".repeat(1000);
        let (gbk, _, _) = encoding_rs::GB18030.encode("MemberName: 话务员\r\n");
        let told = messages(&[
            b"Event: Hangup\r\n",
            &long,
            b"Linkedid: 1.1\r\n\r\nEvent: A\n\n\r\n\r\n",
            b"no header\r\n:\r\nEvent: B\x00\x1b[0m\r\n\r\n",
            &many,
            b"\r\nEvent: C\r\n",
            &gbk,
            b"\r\n",
        ]);
        let event = |message: &Message| (message.get("event").map(str::to_owned), message.cut);
        let found: Vec<_> = told.iter().map(event).collect();
        let event = |name: &str, cut| (Some(name.to_owned()), cut);
        assert_eq!(
            found,
            [event("Hangup", true), event("A", false), event("B  [0m", false), (None, true), event("C", false)]
        );
        assert_eq!(told[0].get("Linkedid"), Some("1.1"));
        assert_eq!(told[4].get("MemberName"), Some("话务员"));
        assert!(told[3].headers.len() <= 256 / 4);
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_the_messages_are_the_same(
            lines in prop::collection::vec("(Event|Linkedid|x)(: ?.{0,20})?|", 0..20), cuts in prop::collection::vec(1..9_usize, 1..20),
        ) {
            let whole: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let (mut pieces, mut rest, mut sizes) = (Vec::new(), whole.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(messages(&pieces), messages(&[&whole]));
        }

        #[test]
        fn no_bytes_panic_or_pile_up(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            for message in messages(&pieces) {
                let bytes: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
                prop_assert!(bytes <= BOUNDS.message * 3, "{bytes} bytes");
            }
        }
    }
}
