//! The conformance suite's hand on a mailbox, through the server of the tests.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Settings,
    tests::{Gives, Shared, serve},
};
use crate::{
    conformance::{Applies, Given, Kind, NAME, PHONE, PullHarness, Trouble, pull_conforms},
    contract::Adapter,
};

struct Office {
    server: Shared,
    settings: Settings,
}

fn mail(item: &Given) -> Vec<u8> {
    let word = |text: &str| format!("=?utf-8?B?{}?=", STANDARD.encode(text));
    let date = item.made_at().strftime("%a, %d %b %Y %H:%M:%S +0000");
    format!(
        "From: {} <{}@mail.example>\r\nTo: <mayor@office.example>\r\nSubject: {}\r\nDate: {date}\r\n\
         Message-ID: <{}@mail.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
        word(NAME),
        PHONE,
        word(&item.subject()),
        item.number,
        item.body(),
    )
    .into_bytes()
}

impl PullHarness for Office {
    const ADAPTER: &'static str = "mailbox";

    async fn start() -> Self {
        static MAILBOXES: AtomicU32 = AtomicU32::new(1);
        let (server, settings) = serve(Vec::new());
        // UIDs may be given anew under another UIDVALIDITY only (RFC 3501, 2.3.1.1).
        server.lock().unwrap().uidvalidity = Some(MAILBOXES.fetch_add(1, Ordering::Relaxed));
        server.lock().unwrap().came = "15-Dec-2029 17:30:09 +0800";
        Self { server, settings }
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        Box::new(self.settings.clone())
    }

    async fn put(&self, items: &[Given]) -> Applies {
        let mut server = self.server.lock().unwrap();
        for item in items {
            let uid = server.mails.last().map_or(1, |(uid, _)| uid + 1);
            let gives = if item.kind == Kind::Unreadable { Gives::Refuses } else { Gives::Body(mail(item)) };
            server.mails.push((uid, gives));
        }
        Ok(())
    }

    async fn afflict(&self, trouble: Trouble) -> Applies {
        if trouble == Trouble::Busy {
            return Err("IMAP has no way to say so: a server that is busy is a passing fault");
        }
        self.server.lock().unwrap().trouble = Some(trouble);
        Ok(())
    }

    async fn mend(&self) {
        self.server.lock().unwrap().trouble = None;
    }
}

#[tokio::test]
async fn mailbox_conforms() {
    pull_conforms::<Office>().await;
}
