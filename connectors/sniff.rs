//! What a file is by its first bytes, beside what it says that it is. Nothing is opened here: a citizen's mail program may
//! name a picture wrongly, and whoever means harm names a program a picture. Both are told to the reader.

use crate::complaint::Attachment;

/// Kinds of files that are never taken for one another by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    /// Sound and film share their containers.
    Recording,
    /// Documents of office programs, packed as an archive or as an older container of Microsoft's.
    Office,
    Pdf,
    Archive,
    Page,
    Text,
    Program,
}

/// The media type that the first bytes of a file tell.
pub(crate) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    infer::get(bytes).map(|kind| kind.mime_type())
}

/// What is to be said of an attachment that is not what it says, in words and without anything of it.
pub(crate) fn mismatch(attachment: &Attachment) -> Option<String> {
    let sniffed = attachment.sniffed.as_deref()?;
    let is = kind(sniffed);
    let ending =
        attachment.name.as_deref().and_then(|name| name.rsplit_once('.')).and_then(|(_, ending)| by_ending(ending));
    let told = [kind(&attachment.media_type), ending];
    let wrong = |told: Kind| is.is_some_and(|is| !may_be(told, is, sniffed));
    let hides_a_program = is == Some(Kind::Program) && !told.contains(&Some(Kind::Program));
    if !hides_a_program && !told.into_iter().flatten().any(wrong) {
        return None;
    }
    Some(format!("附件的内容与其名称或类型不符，实为 {sniffed}"))
}

/// Whether what is told as one kind may rightly turn out to be another.
fn may_be(told: Kind, is: Kind, sniffed: &str) -> bool {
    match (told, is) {
        // Office documents are archives, and an archive's reader cannot always tell.
        (Kind::Office | Kind::Program, Kind::Archive) => matches!(sniffed, "application/zip" | "application/epub+zip"),
        // Saved pages and their kin are often given a document's name by office programs.
        (Kind::Office | Kind::Text, Kind::Page) => sniffed != "text/x-shellscript",
        (told, is) => told == is,
    }
}

/// The kind of a media type; `None` where it says nothing.
fn kind(media_type: &str) -> Option<Kind> {
    const PROGRAMS: [&str; 11] = [
        "application/x-executable",
        "application/vnd.microsoft.portable-executable",
        "application/x-msdownload",
        "application/x-msdos-program",
        "application/java",
        "application/java-archive",
        "application/x-mach-binary",
        "application/vnd.android.dex",
        "application/vnd.android.package-archive",
        "application/wasm",
        "text/x-shellscript",
    ];
    const ARCHIVES: [&str; 12] = [
        "application/zip",
        "application/x-zip-compressed",
        "application/x-tar",
        "application/vnd.rar",
        "application/x-rar-compressed",
        "application/gzip",
        "application/x-gzip",
        "application/x-bzip2",
        "application/x-7z-compressed",
        "application/x-xz",
        "application/zstd",
        "application/vnd.ms-cab-compressed",
    ];
    let told = media_type.trim().to_ascii_lowercase();
    let office =
        ["application/vnd.openxmlformats-", "application/vnd.oasis.", "application/vnd.ms-", "application/wps-office"];
    Some(match told.as_str() {
        told if PROGRAMS.contains(&told) => Kind::Program,
        told if ARCHIVES.contains(&told) => Kind::Archive,
        "application/pdf" => Kind::Pdf,
        "application/msword" | "application/rtf" | "text/rtf" | "application/x-ole-storage" | "application/kswps" => {
            Kind::Office
        }
        "text/html" | "application/xhtml+xml" | "image/svg+xml" | "text/xml" | "application/xml" => Kind::Page,
        "application/vnd.ms-tnef" => return None,
        told if office.iter().any(|start| told.starts_with(start)) => Kind::Office,
        told if told.starts_with("image/") => Kind::Picture,
        told if told.starts_with("audio/") || told.starts_with("video/") => Kind::Recording,
        told if told.starts_with("text/") => Kind::Text,
        _ => return None,
    })
}

/// The kind that the end of a name tells.
fn by_ending(ending: &str) -> Option<Kind> {
    Some(match ending.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "png" | "gif" | "bmp" | "webp" | "heic" | "tif" | "tiff" => Kind::Picture,
        "mp3" | "m4a" | "amr" | "wav" | "aac" | "ogg" | "mp4" | "mov" | "avi" | "3gp" | "webm" | "mpg" => {
            Kind::Recording
        }
        "doc" | "docx" | "xls" | "xlsx" | "ppt" | "pptx" | "wps" | "et" | "dps" | "odt" | "ods" | "rtf" => Kind::Office,
        "pdf" => Kind::Pdf,
        "zip" | "rar" | "7z" | "gz" | "tar" => Kind::Archive,
        "htm" | "html" | "svg" | "xml" | "mht" => Kind::Page,
        "txt" | "csv" => Kind::Text,
        "exe" | "scr" | "com" | "bat" | "cmd" | "dll" | "msi" | "js" | "vbs" | "jar" | "apk" | "sh" | "ps1" => {
            Kind::Program
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_what_it_says_is_told() {
        const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";
        const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        const PDF: &[u8] = b"%PDF-1.7\n";
        const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0";
        const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
        let cases: [(&[u8], &str, &str, bool); 16] = [
            (JPEG, "a.jpg", "image/jpeg", false),
            (PNG, "a.jpg", "image/jpeg", false),
            (JPEG, "a.jpg", "application/octet-stream", false),
            (JPEG, "a", "application/octet-stream", false),
            (PDF, "a.pdf", "application/pdf", false),
            (PDF, "a.jpg", "application/octet-stream", true),
            (PDF, "a.doc", "application/msword", true),
            (EXE, "a.jpg", "image/jpeg", true),
            (EXE, "a.jpg", "application/octet-stream", true),
            (EXE, "a", "application/octet-stream", true),
            (EXE, "a.exe", "application/octet-stream", false),
            (ZIP, "a.docx", "application/octet-stream", false),
            (ZIP, "a.zip", "application/x-zip-compressed", false),
            (ZIP, "a.jpg", "image/jpeg", true),
            (OLE, "a.wps", "application/octet-stream", false),
            (b"plain text", "a.jpg", "image/jpeg", false),
        ];
        for (bytes, name, told, expected) in cases {
            let attachment = Attachment {
                name: Some(name.to_owned()),
                media_type: told.to_owned(),
                sniffed: media_type(bytes).map(str::to_owned),
                size: 0,
                digest: String::new(),
                part: 1,
            };
            let said = mismatch(&attachment);
            assert_eq!(said.is_some(), expected, "{name} told as {told} is {:?}: {said:?}", attachment.sniffed);
            assert!(said.is_none_or(|said| name.len() == 1 || !said.contains(name)));
        }
    }
}
