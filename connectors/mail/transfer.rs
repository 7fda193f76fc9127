//! Content transfer encodings (RFC 2045), read leniently: what is broken is passed over, never an error.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Bytes out of a transfer encoding, and whether anything had to be passed over.
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    pub(super) mended: bool,
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 with foreign characters dropped, padding missing, too long or in the middle (several runs in a row).
pub(super) fn base64(encoded: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let mut mended = false;
    let mut run: Vec<u8> = Vec::with_capacity(encoded.len());
    let mut flush = |run: &mut Vec<u8>, mended: &mut bool| {
        if run.len() % 4 == 1 {
            // Six bits are no byte.
            run.pop();
            *mended = true;
        }
        if LENIENT.decode_vec(&*run, &mut bytes).is_err() {
            *mended = true;
        }
        run.clear();
    };
    for &byte in encoded {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => run.push(byte),
            // The URL alphabet strays into mail now and then.
            b'-' => run.push(b'+'),
            b'_' => run.push(b'/'),
            b'=' => flush(&mut run, &mut mended),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => mended = true,
        }
    }
    flush(&mut run, &mut mended);
    Bytes { bytes, mended }
}

/// Quoted-printable; an `=` that opens nothing stays as it is, and 8-bit bytes pass.
pub(super) fn quoted_printable(encoded: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut mended = false;
    let mut at = 0;
    while at < encoded.len() {
        let byte = encoded[at];
        at += 1;
        if byte != b'=' {
            mended |= byte >= 0x80;
            bytes.push(byte);
            continue;
        }
        let rest = &encoded[at..];
        if let [high, low, ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            bytes.push(high << 4 | low);
            at += 2;
            continue;
        }
        let blank =
            rest.iter().take(MAX_TRAILING_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match rest.get(blank) {
            Some(b'\n') => at += blank + 1,
            // The mail ends inside a soft line break.
            None => at += blank,
            Some(_) => {
                mended = true;
                bytes.push(b'=');
            }
        }
    }
    Bytes { bytes, mended }
}

/// White space that is looked over between an `=` and the end of its line.
const MAX_TRAILING_BLANKS: usize = 80;

/// The Q encoding of an encoded word (RFC 2047, 4.2).
pub(super) fn q_word(encoded: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
    quoted_printable(&spaced).bytes
}

/// Percent-encoded octets (RFC 2231); a `%` that opens nothing stays as it is.
pub(super) fn percent(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while at < encoded.len() {
        if encoded[at] == b'%'
            && let [high, low, ..] = encoded[at + 1..]
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            bytes.push(high << 4 | low);
            at += 3;
            continue;
        }
        bytes.push(encoded[at]);
        at += 1;
    }
    bytes
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
