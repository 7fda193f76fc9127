//! Asks the interface: fills a request in, signs it where that is set up, and goes out over the paced client. The reader and the
//! way back share it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use secrecy::SecretString;

use super::Ready;
use crate::{
    board::{
        Request,
        request::{self, Vars},
        sign,
    },
    contract::Toolbox,
    fault::Fault,
    http::Answered,
};

/// Asks one interface.
pub(super) struct Asker {
    pub(super) ready: Arc<Ready>,
    pub(super) tools: Toolbox,
    secrets: Vec<(String, SecretString)>,
    count: AtomicU64,
}

impl Asker {
    pub(super) fn new(ready: Arc<Ready>, tools: Toolbox, secrets: Vec<(String, SecretString)>) -> Self {
        Self { ready, tools, secrets, count: AtomicU64::default() }
    }

    /// What placeholders stand for in the next request.
    pub(super) fn vars(&self) -> Vars<'_> {
        let mut vars = Vars { plain: Vec::new(), secrets: &self.secrets };
        sign::stamp(&mut vars, self.tools.clock.now(), self.count.fetch_add(1, Ordering::Relaxed));
        vars
    }

    /// Sends a request.
    ///
    /// # Errors
    /// As [`crate::http::Http::send`]; a configuration fault where the request leads to another host or cannot be signed.
    pub(super) async fn ask(&self, asked: &Request, mut vars: Vars<'_>) -> Result<Answered, Fault> {
        let Ready { settings, base, .. } = self.ready.as_ref();
        if let Some(sign) = &settings.sign {
            sign.put(base, asked, settings.headers.values(), &mut vars)?;
        }
        let url = request::address(base, asked, &vars)
            .ok_or_else(|| Fault::configuration("the path leads to another host than the base address"))?;
        let builder = request::build(&self.tools.http, url, asked, &settings.headers, &vars)?;
        self.tools.http.send(builder).await
    }
}
