//! The presets for exports, against files in their shapes, and what is refused.

use serde_json::Value;

use super::{Settings, document::Document};
use crate::{
    contract::{Adapter, Limits},
    entry::Item,
    holdings::Period,
    mapping::{Mapping, Preset},
};

const EXPORTS: [(Preset, &[u8], &str); 5] = [
    (
        Preset::Shunde,
        include_bytes!("../../fixtures/exports/shunde.csv"),
        include_str!("../../fixtures/exports/shunde.csv.expected.json"),
    ),
    (
        Preset::ShanghaiDistrict,
        include_bytes!("../../fixtures/exports/shanghai_district.csv"),
        include_str!("../../fixtures/exports/shanghai_district.csv.expected.json"),
    ),
    (
        Preset::Minxin,
        include_bytes!("../../fixtures/exports/minxin.csv"),
        include_str!("../../fixtures/exports/minxin.csv.expected.json"),
    ),
    (
        Preset::CityManagement,
        include_bytes!("../../fixtures/exports/city_management.csv"),
        include_str!("../../fixtures/exports/city_management.csv.expected.json"),
    ),
    (
        Preset::Fuzhou,
        include_bytes!("../../fixtures/exports/fuzhou.csv"),
        include_str!("../../fixtures/exports/fuzhou.csv.expected.json"),
    ),
];

#[test]
fn every_preset_reads_an_export_in_its_shape() {
    for (preset, bytes, expected) in EXPORTS {
        let name = preset.as_str();
        let settings = Settings { mapping: Mapping::preset(preset), ..Settings::new("x") };
        assert_eq!(settings.validate(), [], "{name}");
        let items = settings.expand("export.csv", bytes, &Limits::default()).unwrap();
        let expected: Vec<Value> = serde_json::from_str(expected).unwrap();
        assert_eq!(items.len(), expected.len(), "{name}");
        let reader = settings.normaliser().unwrap();
        for (item, expected) in items.iter().zip(&expected) {
            let Item::Entry(entry) = item else { panic!("{name}: {item:?}") };
            assert_eq!(entry.external_id.as_str(), expected["id"], "{name}");
            let read = reader.normalise(entry, "2026-11-25T00:00:00Z".parse().unwrap());
            if let Some(place) = expected["unreadable"].as_str() {
                assert!(read.unwrap_err().0.contains(place), "{name}: a row without its text goes to quarantine");
                continue;
            }
            let read = read.unwrap();
            let text = |field: &str| expected[field].as_str().map(str::to_owned);
            assert_eq!((read.subject, Some(read.body)), (text("subject"), text("body")), "{name}");
            assert_eq!(
                (read.place, read.label, read.parties),
                (text("place"), text("label"), text("parties")),
                "{name}"
            );
            let petitioner = read.petitioner;
            assert_eq!(petitioner.name, text("name"), "{name}");
            assert_eq!(petitioner.phones.first().cloned(), text("phone"), "{name}");
            assert_eq!(petitioner.emails.first().cloned(), text("email"), "{name}");
            assert_eq!(read.made_at.map(|stamp| stamp.at.to_string()), text("made_at"), "{name}");
            let precision = read.made_at.map(|stamp| serde_json::to_value(stamp.precision).unwrap());
            assert_eq!(precision.unwrap_or_default(), expected["precision"], "{name}");
        }
    }
}

#[test]
fn d04_archives_are_refused_by_their_first_bytes_with_what_to_do() {
    let archives: [&[u8]; 7] = [
        b"PK\x03\x04....",
        b"PK\x05\x06....",
        b"Rar!\x1a\x07\x01\x00",
        b"7z\xbc\xaf\x27\x1c..",
        b"\x1f\x8b\x08..",
        b"BZh9..",
        b"\xfd7zXZ\x00..",
    ];
    for bytes in archives {
        for name in ["letters.csv", "letters.zip", "letters.eml", "letters"] {
            let fault = super::expand(name, bytes, &Limits::default()).unwrap_err();
            assert!(fault.message.contains("never unpacked"), "{name}: {fault}");
            assert!(fault.to_string().contains("unpack it and hand over"), "{name}: {fault}");
        }
    }
    for name in ["a.rar", "a.7z", "a.zip", "a.gz"] {
        assert!(super::expand(name, "标题,内容\n甲,乙\n".as_bytes(), &Limits::default()).is_err(), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let text = "信件登记表,\n标题,内容\n路灯,\"不亮\n很久了\"\n,\n坏行\n井盖,丢失\n\"甲,乙\n";
    let handed = Settings::new("x").read_file("a.csv", text.as_bytes().into(), &Limits::default()).unwrap().unwrap();
    let places: Vec<Option<String>> = handed.iter().map(|one| one.place.clone()).collect();
    assert_eq!(places, [None, Some("line 6".to_owned()), None, Some("line 8".to_owned())]);
    let settings = Settings::new("x");
    let mapping = settings.compiled().unwrap();
    let mails = "From a 09:00 2026\nA: 1\n\nx\n\nFrom b 10:00 2026\nA: 2\n\ny\n";
    let document = Document::read("a.mbox", mails.as_bytes().into(), settings.reading(&mapping)).unwrap();
    assert_eq!(document.place(1), "mail 2");
}

#[tokio::test]
async fn a_folder_names_what_it_holds_for_a_period() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &[u8], at: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let at: jiff::Timestamp = at.parse().unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.as_second().unsigned_abs());
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    };
    write("b.csv", "编号,内容\n1,路灯不亮\n2,井盖丢失\n".as_bytes(), "2026-11-02T00:00:00Z");
    write("done/a.csv", "编号,内容\n3,垃圾未清\n".as_bytes(), "2026-11-01T00:00:00Z");
    write("done/a.zip", b"PK\x03\x04", "2026-11-01T00:00:00Z");
    write("done/old.csv", "编号,内容\n4,很久以前\n".as_bytes(), "2025-11-01T00:00:00Z");
    let settings = Settings::new(folder.path());
    let mut pull = super::tests::start(&settings, &super::tests::clock(), Limits::default());
    let period = Period { from: "2026-11-01T00:00:00Z".parse().unwrap(), to: "2026-12-01T00:00:00Z".parse().unwrap() };
    let held = pull.holdings(period).await.unwrap().unwrap();
    let mut ids: Vec<&str> = held.items.iter().map(|held| held.id.as_str()).collect();
    ids.sort_unstable();
    assert!(held.whole && ids[..3] == ["1", "2", "3"] && ids.len() == 4, "{held:?}");
    let taken = super::tests::all_ids(&mut *pull).await;
    assert!(taken.iter().all(|id| ids.contains(&id.as_str())) && taken.len() == 2, "the same ids: {taken:?}");
}
