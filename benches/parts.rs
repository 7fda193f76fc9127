//! What the parts of the path cost an item, one thread: sealing, reading a mail, assessing a complaint.
//!
//! ```text
//! cargo bench --bench parts
//! ```

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first thing that is not as expected"
)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use connectors::{
    complaint::{Channel, Complaint},
    mail::{self, Bounds, OwnAddresses},
};
use jiesu::{
    assess::{Assessor, RuleSet},
    seal::{IndexKind, Keyring, SealContext},
};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

/// Runs of which the fastest is told: what the machine's other work adds is not the part's.
const RUNS: usize = 7;

fn main() {
    let text = Keyring::generate("bench").expect("keys");
    let keyring = Keyring::parse(text.expose_secret()).expect("keys");
    let context = SealContext::new("entry.raw", "bench");
    let value = vec![b'x'; 1024];
    let sealed = keyring.seal(context, &value).expect("sealed");
    measure("seal 1 KiB", 2000, || {
        black_box(keyring.seal(context, black_box(&value)).expect("sealed"));
    });
    measure("open 1 KiB", 2000, || {
        black_box(keyring.open(context, black_box(&sealed)).expect("opened"));
    });
    measure("keyed hash of a telephone number", 10_000, || {
        black_box(keyring.index(IndexKind::Phone, black_box("13900001234")));
    });

    let assessor = Assessor::new(Arc::new(RuleSet::shipped().expect("rules")));
    for length in [30, 100, 300] {
        let complaint = complaint(length);
        measure(&format!("assess {length} characters"), 1000, || {
            black_box(assessor.assess(complaint.clone(), Channel::Phone, Timestamp::UNIX_EPOCH));
        });
    }

    let raw = mail();
    let own = OwnAddresses::default();
    measure(&format!("read a mail of {} bytes", raw.len()), 500, || {
        let read = mail::normalise(black_box(&raw), &own, &Bounds::default(), Timestamp::UNIX_EPOCH);
        black_box(read.expect("a complaint"));
    });
}

fn measure(what: &str, rounds: u32, mut part: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..rounds {
            part();
        }
        best = best.min(start.elapsed() / rounds);
    }
    println!("{what:<36} {best:>10.2?}");
}

fn complaint(characters: usize) -> Complaint {
    let told = "白塔区民主路小区门前路灯连续多日不亮，老人夜间出行困难，已向社区反映多次没有结果，希望尽快维修并回复。";
    Complaint {
        subject: Some("小区门前路灯不亮".to_owned()),
        body: told.chars().cycle().take(characters).collect(),
        ..Complaint::default()
    }
}

fn mail() -> Vec<u8> {
    let body = "尊敬的市长：我家住宏伟区，楼上长期漏水，物业推诿，请帮助协调解决。".repeat(10);
    format!(
        "From: =?UTF-8?B?546L5aWz5aOr?= <wang@example.cn>\r\nTo: box@example.gov.cn\r\nSubject: \
         =?UTF-8?B?5qW85LiK5ryP5rC0?=\r\nDate: Mon, 23 Nov 2026 09:00:00 +0800\r\nMessage-ID: <1@example.cn>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}
