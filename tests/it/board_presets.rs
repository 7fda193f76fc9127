//! Presets of boards in HTML against pages kept as files, each with what is expected beside it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use connectors::contract::{Adapter, Limits};
use serde_json::Value;

use super::board::{Site, clock, complaint, entry, preset, reader, reader_with, run};

/// A site of files: its list, the pages of its items by id, and what becomes of them.
struct Files {
    preset: &'static str,
    list: &'static str,
    pages: [(&'static str, &'static str); 2],
    expected: &'static str,
}

const MINXIN: Files = Files {
    preset: "minxin",
    list: include_str!("../../fixtures/board/minxin/list.html"),
    pages: [
        ("2026110703", include_str!("../../fixtures/board/minxin/detail-2026110703.html")),
        ("2026110612", include_str!("../../fixtures/board/minxin/detail-2026110612.html")),
    ],
    expected: include_str!("../../fixtures/board/minxin/expected.json"),
};
const ZHUHAI: Files = Files {
    preset: "zhuhai",
    list: include_str!("../../fixtures/board/zhuhai/list.html"),
    pages: [
        ("90412", include_str!("../../fixtures/board/zhuhai/detail-90412.html")),
        ("90377", include_str!("../../fixtures/board/zhuhai/detail-90377.html")),
    ],
    expected: include_str!("../../fixtures/board/zhuhai/expected.json"),
};
const JIAODONG: Files = Files {
    preset: "jiaodong",
    list: include_str!("../../fixtures/board/jiaodong/list.html"),
    pages: [
        ("55102", include_str!("../../fixtures/board/jiaodong/detail-55102.html")),
        ("55097", include_str!("../../fixtures/board/jiaodong/detail-55097.html")),
    ],
    expected: include_str!("../../fixtures/board/jiaodong/expected.json"),
};

/// Serves the files; the list's pages beyond the first say that there is nothing, in the list's own layout.
async fn answer(State(files): State<Arc<Files>>, request: Request) -> Response {
    let uri = request.uri();
    let asked = |name: &str| {
        let query = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        query.map(str::to_owned)
    };
    let id = asked("id").or(asked("transactionNo"));
    let html = match (uri.path().contains("list"), id) {
        (true, _) if asked("page").as_deref() == Some("1") => files.list.to_owned(),
        (true, _) => "<table class='transactions letters'><tr><td class=none>没有</td></tr></table>\
                      <ul class=msglist><li class=none>没有</li></ul>"
            .to_owned(),
        (false, Some(id)) => match files.pages.iter().find(|(known, _)| *known == id) {
            Some((_, page)) => (*page).to_owned(),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
        (false, None) => return StatusCode::NOT_FOUND.into_response(),
    };
    let bytes =
        if files.preset == "jiaodong" { encoding_rs::GB18030.encode(&html).0.into_owned() } else { html.into_bytes() };
    ([(header::CONTENT_TYPE, "text/html")], bytes).into_response()
}

#[tokio::test]
async fn presets_of_boards_in_html_read_what_their_pages_tell() {
    for files in [MINXIN, ZHUHAI, JIAODONG] {
        let (name, expected) = (files.preset, files.expected);
        let site = Site::serve(Router::new().fallback(answer).with_state(Arc::new(files))).await;
        let settings = preset(name, &site);
        assert_eq!(settings.validate(), [], "{name}");
        let check = reader(&settings).check().await;
        assert!(check.passed(), "{name}: {:?}", check.steps);
        let items = run(&mut *reader(&settings), &mut None).await.unwrap();
        let expected: BTreeMap<String, Value> = serde_json::from_str(expected).unwrap();
        assert_eq!(items.len(), expected.len(), "{name}");
        for (id, expected) in &expected {
            let entry = entry(&items, id);
            let got = complaint(&settings, entry);
            let text = |field: &str| expected[field].as_str().map(str::to_owned);
            assert_eq!(got.subject, text("subject"), "{name} {id}");
            assert_eq!(Some(got.body), text("body"), "{name} {id}");
            assert_eq!((got.label, got.place), (text("label"), text("place")), "{name} {id}");
            assert_eq!(got.parties, text("parties"), "{name} {id}");
            assert_eq!(got.petitioner.name, text("name"), "{name} {id}");
            assert_eq!(got.petitioner.phones.first().cloned(), text("phone"), "{name} {id}");
            assert_eq!(got.petitioner.emails.first().cloned(), text("email"), "{name} {id}");
            assert_eq!(got.petitioner.address, text("address"), "{name} {id}");
            let made_at = got.made_at.unwrap();
            assert_eq!(Some(made_at.at.to_string()), text("made_at"), "{name} {id}");
            assert_eq!(serde_json::to_value(made_at.precision).unwrap(), expected["precision"], "{name} {id}");
            assert_eq!(got.remarks, [], "{name} {id}");
        }
        // Read again, nothing is new under another name.
        let again = run(&mut *reader_with(&settings, &clock(), Limits::default()), &mut None).await.unwrap();
        assert_eq!(again, items, "{name}");
    }
}
