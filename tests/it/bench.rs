//! A bench to test on: a database, the API on a port of its own, a clock that is moved by hand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use connectors::{
    clock::{Clock as _, ManualClock},
    complaint::{Channel, Complaint, Petitioner},
    entry::{ConnectorName, ExternalId, Form, Revision},
    http::{Http, HttpLimits, Unpaced},
};
use jiesu::{
    assess::{Article, Disposition, Grounds, Kind, MatchKeys, ShownComplaint, Urgency, Verdict},
    calendar::Calendar,
    config::{Scope, Screening},
    console::{self, Console},
    directory::Directory,
    http::{Api, Limits, auth::Tokens, router, upload_slots},
    ids::EntryId,
    intake::{Intake, RAW, raw_identity},
    issue::{Assessed, Candidate, Outcome, PETITIONER, Route, Tools, hotline_zone, plan},
    matching::{Frequencies, Vocabulary},
    notices::Texts,
    rulebook::Rulebook,
    seal::{IndexKind, Keyring, SealContext},
    store::{
        Store, StoreError, StoreOptions,
        connectors::{Origin, StoredConnector},
        intake::{NewEntry, NewItem},
        queue::DeliveryPolicy,
    },
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Tokens of the bench, by scope.
pub(crate) const QUEUE: &str = "a-token-of-a-handling-system";
pub(crate) const READ: &str = "a-token-of-one-who-reads";
pub(crate) const ADMIN: &str = "a-token-of-the-hotline-office";

/// Leases before a delivery goes to the dead letters.
pub(crate) const MAX_ATTEMPTS: i64 = 3;
/// Seconds that a failed delivery waits first.
pub(crate) const RETRY_DELAY: i64 = 30;

/// The connector that brings the entries.
pub(crate) const CONNECTOR: &str = "portal";

pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    pub(crate) api: Arc<Api>,
    url: String,
    http: Http,
    address: SocketAddr,
    tracker: TaskTracker,
    _folder: TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// The code of the error.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// Its words.
    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// One thing that a citizen says.
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) phone: String,
    pub(crate) disposition: Disposition,
}

impl Said {
    pub(crate) fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        let (id, text) = (id.into(), text.into());
        Self { id, text, phone: "13900001234".to_owned(), disposition: Disposition::Accept }
    }
}

/// What petitioners are told.
fn texts() -> Texts {
    Texts {
        office: "辽阳市市长热线办公室".to_owned(),
        phone: "12345".to_owned(),
        message_domain: "jiesu.invalid".to_owned(),
        zone: hotline_zone(),
    }
}

/// A database that nobody else uses, and the folder it lives in.
async fn database() -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let Ok(server) = std::env::var("JIESU_TEST_POSTGRES_URL") else {
        return (format!("sqlite:{}", folder.path().join("jiesu.db").display()), folder);
    };
    sqlx::any::install_default_drivers();
    let name = format!("jiesu_test_{}", Uuid::new_v4().simple());
    let mut connection = sqlx::AnyConnection::connect(&server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    (url.to_string(), folder)
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(tokens(), limits()).await
    }

    pub(crate) async fn with(tokens: Tokens, limits: Limits) -> Self {
        let (url, folder) = database().await;
        let store = Store::open(&StoreOptions::new(url.clone())).await.unwrap();
        let clock = ManualClock::new("2026-11-23T01:00:00Z".parse().unwrap());
        let keyring = Arc::new(Keyring::parse(Keyring::generate("2026a").unwrap().expose_secret()).unwrap());
        let steady = Arc::new(clock.clone());
        let (intake, _) = Intake::new(store.clone(), keyring.clone(), steady.clone(), Arc::new(Notify::new()), 16);
        let tools = Tools {
            keyring: keyring.clone(),
            rulebook: Arc::new(Rulebook::open(&Screening::default()).unwrap()),
            vocabulary: Arc::new(Vocabulary::shipped().unwrap()),
            matching: true,
            calendar: Calendar::shipped(),
            texts: texts(),
            directory: Arc::new(Directory::new(Arc::new(clock.clone()), connectors::contract::Limits::default())),
            notify: true,
            through: None,
        };
        let api = Arc::new(Api {
            store: store.clone(),
            intake: Arc::new(intake),
            items: connectors::contract::Limits::default(),
            uploads: upload_slots(),
            tools: Arc::new(tools),
            keyring,
            clock: steady,
            policy: DeliveryPolicy {
                max_attempts: MAX_ATTEMPTS,
                retry_delay: Duration::from_secs(RETRY_DELAY.unsigned_abs()),
            },
            tokens,
            limits,
            changed: Arc::new(Notify::new()),
            pending: Arc::new(Notify::new()),
            queued: Arc::new(Notify::new()),
            stop: CancellationToken::new(),
            metrics: Box::new(|| "jiesu_up 1\n".to_owned()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tracker = TaskTracker::new();
        let app = router(api.clone(), console::router(Arc::new(desk(&api, folder.path().join("secrets")))));
        tracker.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let http = Http::new(HttpLimits::default(), Arc::new(Unpaced)).unwrap();
        let bench = Self { store, clock, api, url, http, address, tracker, _folder: folder };
        bench.connector().await;
        bench
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn connector(&self) {
        let connector = StoredConnector {
            name: name(),
            channel: Channel::Portal,
            adapter: "inlet".to_owned(),
            definition: r#"{"name":"portal","settings":{"secret":{"env":"PORTAL_SECRET"}}}"#.to_owned(),
            origin: Origin::File,
            enabled: true,
            generation: 1,
            cursor: None,
            run_requested: false,
        };
        self.store.put_connector(&connector, true, self.clock.now()).await.unwrap();
    }

    /// Brings in a connector, as a start with it in the configuration would.
    pub(crate) async fn define(&self, name: &str, channel: &str, adapter: &str, settings: &Value) {
        let definition =
            serde_json::json!({ "name": name, "channel": channel, "adapter": adapter, "settings": settings });
        let connector = StoredConnector {
            name: name.parse().unwrap(),
            channel: Channel::parse(channel).unwrap(),
            adapter: adapter.to_owned(),
            definition: definition.to_string(),
            origin: Origin::File,
            enabled: true,
            generation: 1,
            cursor: None,
            run_requested: false,
        };
        self.store.put_connector(&connector, true, self.clock.now()).await.unwrap();
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub(crate) async fn call(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| ("application/json", body.to_string()));
        self.send((!token.is_empty()).then(|| format!("Bearer {token}")), method, path, body).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(token, Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(token, Method::POST, path, Some(body)).await
    }

    pub(crate) async fn send(
        &self,
        authorization: Option<String>,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address).parse().unwrap());
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if let Some((media, body)) = body {
            request = request.header("content-type", media).body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// Leases as a consumer; what was handed out.
    pub(crate) async fn lease(&self, consumer: &str, max: u32, seconds: u64) -> Vec<Value> {
        let asked = serde_json::json!({ "consumer": consumer, "max": max, "seconds": seconds });
        let answer = self.post(QUEUE, "/v1/queue/lease", asked).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["deliveries"].as_array().unwrap().clone()
    }

    /// Says something of a delivery.
    pub(crate) async fn settle(&self, delivery: &Value, what: &str, reason: Option<&str>) -> Answer {
        let mut body = serde_json::json!({ "lease": delivery["lease"] });
        if let Some(reason) = reason {
            body["reason"] = reason.into();
        }
        self.post(QUEUE, &format!("/v1/queue/{}/{what}", delivery["id"]), body).await
    }

    /// Changes the database behind the gateway's back.
    pub(crate) async fn corrupt(&self, sql: &'static str) {
        let url = match self.url.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite://{path}"),
            None => self.url.clone(),
        };
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        let changed = sqlx::query(sql).execute(&mut connection).await.unwrap();
        assert!(changed.rows_affected() > 0, "nothing was corrupted");
        connection.close().await.unwrap();
    }

    /// Stores what citizens say.
    pub(crate) async fn take(&self, said: &[Said]) {
        let now = self.clock.now();
        let entries: Vec<NewItem> = said.iter().map(|said| self.entry(said, now).into()).collect();
        self.store.take_deliveries(&entries).await.unwrap();
    }

    pub(crate) fn entry(&self, said: &Said, now: Timestamp) -> NewEntry {
        let identity = raw_identity(CONNECTOR, &said.id, Revision::only().as_str());
        let raw = said.text.as_bytes();
        NewEntry {
            connector: name(),
            external_id: ExternalId::new(&said.id),
            revision: Revision::only(),
            delivery_id: None,
            form: Form::Json,
            received_at: now,
            source_time: None,
            remarks: Vec::new(),
            size: raw.len(),
            sealed_raw: self.api.keyring.seal(SealContext::new(RAW, &identity), raw).unwrap(),
            unread: None,
        }
    }

    /// Stores and issues what citizens say, as the gateway does.
    pub(crate) async fn issue(&self, said: &[Said]) {
        self.take(said).await;
        let candidates = self.candidates(said).await;
        self.commit(&candidates).await.unwrap();
    }

    /// What waits, assessed: it is what citizens said, in this order.
    pub(crate) async fn candidates(&self, said: &[Said]) -> Vec<Candidate> {
        let now = self.clock.now();
        let waiting = self.store.pending(EntryId(0), 1000, usize::MAX).await.unwrap();
        assert_eq!(waiting.len(), said.len());
        waiting
            .iter()
            .zip(said)
            .map(|(pending, said)| Candidate {
                entry: pending.id,
                connector: pending.connector.clone(),
                external_id: pending.external_id.clone(),
                revised: false,
                channel: Channel::Portal,
                received_at: now,
                outcome: Outcome::Assessed(Box::new(self.assessed(pending.id, said))),
                ruling: pending.ruling.clone(),
                again: pending.again,
                route: Route::None,
            })
            .collect()
    }

    /// Issues what was assessed.
    pub(crate) async fn commit(&self, candidates: &[Candidate]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let lease = self.store.take_lease("issue", "bench", now, Duration::from_mins(1)).await.unwrap().unwrap();
        let mut issuing = self.store.begin_issuing(&lease).await.unwrap();
        let known = issuing.known(&plan::questions(candidates), jiff::Timestamp::MIN).await.unwrap();
        let day = hotline_zone().to_datetime(now).date();
        let counter = format!("ticket:{day}");
        let serials = issuing.serials(&counter).await.unwrap();
        let texts = texts();
        let calendar = Calendar::shipped();
        let mut random = Uuid::new_v4;
        let mut context = plan::Context {
            now,
            day,
            calendar: &calendar,
            texts: &texts,
            frequencies: &Frequencies::new(1000),
            vocabulary: &Vocabulary::shipped().unwrap(),
            join_other_words: false,
            same_message: jiesu::issue::SameMessage::Merge,
            random: &mut random,
        };
        let plan = plan::plan(candidates, known, serials, &mut context).unwrap();
        issuing.write(&plan, &counter).await
    }

    fn assessed(&self, entry: EntryId, said: &Said) -> Assessed {
        let keyring = &self.api.keyring;
        let petitioner =
            Petitioner {
                name: Some("王小明".to_owned()), phones: vec![said.phone.clone()], ..Petitioner::default()
            };
        let id = entry.to_string();
        let mut content = [0; 32];
        for (place, byte) in said.text.bytes().enumerate() {
            content[place % 32] ^= byte.rotate_left(u32::try_from(place / 32 % 8).unwrap());
        }
        Assessed {
            verdict: Verdict {
                complaint: Complaint::default(),
                shown: ShownComplaint { body: said.text.clone(), ..ShownComplaint::default() },
                disposition: said.disposition,
                grounds: Grounds {
                    rule: "bench".to_owned(),
                    rules_version: "1".to_owned(),
                    article: Article::new(6),
                    evidence: Vec::new(),
                    against: Vec::new(),
                    advice: None,
                    score: 100,
                },
                kind: Kind::Complain,
                kind_certain: true,
                due_kind: Kind::Complain,
                urgency: Urgency::Normal,
                keys: MatchKeys { content: Some(content), phones: vec![said.phone.clone()], ..MatchKeys::default() },
                silent: true,
            },
            sealed_petitioner: keyring.seal_json(SealContext::new(PETITIONER, &id), &petitioner).unwrap(),
            petitioner_keys: vec![keyring.index(IndexKind::Phone, &said.phone).0.to_vec()],
            recipient: None,
            signature: Arc::default(),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.api.stop.cancel();
        self.tracker.close();
    }
}

/// The console beside the API.
fn desk(api: &Api, secrets: std::path::PathBuf) -> Console {
    Console {
        store: api.store.clone(),
        keyring: api.keyring.clone(),
        clock: api.clock.clone(),
        directory: Arc::new(Directory::new(api.clock.clone(), connectors::contract::Limits::default())),
        tools: api.tools.clone(),
        changed: api.changed.clone(),
        pending: api.pending.clone(),
        queued: api.queued.clone(),
        policy: api.policy,
        texts: Texts {
            office: "辽阳市市长热线办公室".to_owned(),
            phone: "12345".to_owned(),
            message_domain: "jiesu.invalid".to_owned(),
            zone: hotline_zone(),
        },
        settings: jiesu::config::Console { secrets, ..jiesu::config::Console::default() },
        limits: api.limits.clone(),
        door: console::Door::default(),
    }
}

/// One token for each scope.
pub(crate) fn tokens() -> Tokens {
    Tokens::default()
        .with("handling", vec![Scope::Queue], &SecretString::from(QUEUE))
        .with("reader", vec![Scope::Read], &SecretString::from(READ))
        .with("office", vec![Scope::Admin], &SecretString::from(ADMIN))
}

/// Bounds that no test meets by accident.
pub(crate) fn limits() -> Limits {
    Limits {
        request_timeout: Duration::from_secs(30),
        max_requests: 64,
        lease: Duration::from_mins(5),
        max_lease: Duration::from_hours(1),
        metrics_open: false,
        trusted_proxies: [].into(),
    }
}

/// So many matters of different petitioners.
pub(crate) fn matters(count: usize) -> Vec<Said> {
    (0..count)
        .map(|number| {
            let mut said = Said::new(format!("item-{number}"), format!("白塔区第{number}小区自来水停了两天"));
            said.phone = format!("1390000{number:04}");
            said
        })
        .collect()
}

fn name() -> ConnectorName {
    CONNECTOR.parse().unwrap()
}
