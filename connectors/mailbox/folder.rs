//! Folder names as IMAP writes them: modified UTF-7 (RFC 3501 section 5.1.3), in which 收件箱 is `&ZTZO9nux-`.

use base64::{
    Engine,
    alphabet::IMAP_MUTF7,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const MODIFIED: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A folder's name as the server is told it, without quotes.
pub(super) fn encode(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    let mut foreign: Vec<u8> = Vec::new();
    for one in name.chars() {
        if (' '..='~').contains(&one) {
            close(&mut written, &mut foreign);
            written.push(one);
            if one == '&' {
                written.push('-');
            }
        } else {
            let mut units = [0; 2];
            foreign.extend(one.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    close(&mut written, &mut foreign);
    written
}

fn close(written: &mut String, foreign: &mut Vec<u8>) {
    if !foreign.is_empty() {
        written.push('&');
        MODIFIED.encode_string(&*foreign, written);
        written.push('-');
        foreign.clear();
    }
}

/// A folder's name as people read it; one that is not well-formed stays as the server wrote it.
pub(super) fn decode(name: &str) -> String {
    try_decode(name).unwrap_or_else(|| name.to_owned())
}

fn try_decode(name: &str) -> Option<String> {
    let mut read = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, shifted)) = rest.split_once('&') {
        read.push_str(plain);
        let (foreign, after) = shifted.split_once('-')?;
        if foreign.is_empty() {
            read.push('&');
        } else {
            let bytes = MODIFIED.decode(foreign).ok()?;
            let (pairs, odd) = bytes.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            read.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = after;
    }
    read.push_str(rest);
    Some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_as_the_standard_and_servers_write_them() {
        let cases = [
            ("INBOX", "INBOX"),
            ("收件箱", "&ZTZO9nux-"),
            ("市长信箱/2026", "&XgKVf0,he7E-/2026"),
            ("R&D", "R&-D"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ];
        for (name, wire) in cases {
            assert_eq!(decode(wire), name);
            assert_eq!(encode(name), wire);
        }
    }

    #[test]
    fn a_malformed_name_stays_as_it_is() {
        for name in ["&", "&abc", "&!!!-", "&Z-"] {
            assert_eq!(decode(name), name);
        }
    }

    proptest! {
        #[test]
        fn every_name_survives(name in any::<String>()) {
            let wire = encode(&name);
            prop_assert!(wire.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode(&wire), name);
        }
    }
}
