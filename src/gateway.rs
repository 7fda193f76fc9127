//! The gateway as a whole: every part wired to every other, started and stopped in order. Each task has its owner here,
//! and ends on shutdown: first what lets work in, then what finishes it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use connectors::{
    clock::{Clock, ZONE},
    entry::ConnectorName,
};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    alarms::Watch,
    calendar::{Calendar, HoursSettings, Period, WorkingHours},
    config::{self, Config, ConnectorDefinition},
    console::{self, Console},
    directory::Directory,
    gather::{GatherOptions, Gatherer},
    http::{
        self, Api,
        auth::Tokens,
        portal::{self, PortalParts},
        push::{self, Inlets, PushLimits},
        serve::{ConnectionLimits, serve},
        tls::{Tls, TlsError},
    },
    ids::EntryId,
    intake::{Deliveries, Intake},
    issue::{IssueOptions, Issuer, PETITIONER, Tools, hotline_zone},
    matching::Vocabulary,
    notices::{Outbox, OutboxOptions, Texts},
    reconcile::Reconciler,
    rulebook::{Rulebook, RulebookError},
    seal::{Keyring, SealContext, Sealed},
    store::{
        Store, StoreError, StoreOptions,
        accounts::LinkFor,
        connectors::{Origin, StoredConnector},
        journal::Act,
    },
    supervisor::{Random, Supervisor, SupervisorOptions},
    telemetry::{Metrics, names},
};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The database cannot be used.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// A secret cannot be read.
    #[error("{0}")]
    Secret(#[from] connectors::fault::Fault),
    /// The key file cannot be used.
    #[error("the key file: {0}")]
    Keys(#[from] crate::seal::KeyError),
    /// The keys are not those of the database.
    #[error(
        "the key file opens nothing that was sealed lately in this database: put back the key file that belongs to it, \
         from its backup"
    )]
    ForeignKeys,
    /// The rules cannot be used.
    #[error("the rules: {0}")]
    Rules(#[from] RulebookError),
    /// The words for matching cannot be used.
    #[error("the words for matching{}: {message}", path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
    Words {
        /// Which file; none for the shipped words.
        path: Option<PathBuf>,
        /// What is wrong with it.
        message: String,
    },
    /// The calendar cannot be used.
    #[error("the calendar: {0}")]
    Calendar(String),
    /// Connections cannot be protected.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// The parts that the command line uses as well as the running gateway.
#[derive(Clone)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The database.
    pub store: Store,
    /// Seals and unseals.
    pub keyring: Arc<Keyring>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The connectors.
    pub directory: Arc<Directory>,
    /// Assesses and issues.
    pub issuer: Issuer,
    /// Told when something new is pending.
    pub pending: Arc<Notify>,
    /// Told when a connector was changed in this process.
    pub changed: Arc<Notify>,
    /// Told when something new can be leased from the queue.
    pub queued: Arc<Notify>,
    /// Takes in what adapters bring.
    pub intake: Arc<Intake>,
    /// This process, as it holds leases.
    pub holder: String,
}

impl Parts {
    /// Opens the database and makes every part from the configuration; starts nothing.
    ///
    /// # Errors
    /// Where something named in the configuration cannot be used.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<(Self, Deliveries), GatewayError> {
        let keyring = Arc::new(Keyring::load(&config.seal.keys)?);
        let store = open_store(&config).await?;
        fit(&keyring, &store).await?;
        let directory = Arc::new(Directory::new(clock.clone(), config.intake.limits));
        directory.refresh(&store).await?;
        let tools = Arc::new(Tools {
            keyring: keyring.clone(),
            rulebook: Arc::new(rules(&config)?),
            calendar: calendar(&config)?,
            texts: texts(&config),
            directory: directory.clone(),
            vocabulary: Arc::new(words(&config)?),
            notify: config.notices.enabled,
            through: config.notices.through.clone(),
        });
        let rulebook = &tools.rulebook;
        rulebook.refresh(&store, clock.now()).await?;
        let holder = format!("{}{}", instance(config.http.listen).unwrap_or_default(), uuid::Uuid::new_v4());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = IssueOptions {
            items: config.issue.batch_items,
            bytes: usize::try_from(config.issue.batch_bytes).unwrap_or(usize::MAX),
            threads: if config.issue.assess_threads == 0 { cores } else { config.issue.assess_threads },
            lease: Duration::from_secs(config.issue.lease_seconds),
            poll: Duration::from_millis(500),
            remembered: config.issue.remembered,
            join_other_words: config.issue.join_other_words,
            same_message: config.issue.same_message,
            repeat_window: Duration::from_hours(24 * u64::from(config.issue.repeat_days)),
        };
        let queued = Arc::new(Notify::new());
        let issuer = Issuer::new(store.clone(), clock.clone(), tools, options, holder.clone(), queued.clone());
        let pending = Arc::new(Notify::new());
        let (intake, deliveries) = Intake::new(
            store.clone(),
            keyring.clone(),
            clock.clone(),
            pending.clone(),
            config.intake.waiting_deliveries,
        );
        let parts = Self {
            config: Arc::new(config),
            store,
            keyring,
            clock,
            directory,
            issuer,
            pending,
            changed: Arc::new(Notify::new()),
            queued,
            intake: Arc::new(intake),
            holder,
        };
        Ok((parts, deliveries))
    }

    /// Writes the connectors of the configuration into the store, and switches off those that the file named before and
    /// names no more. The switch of a connector stays where an admin put it, unless the file's own changed.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn apply(&self, definitions: &[ConnectorDefinition]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let before = self.store.connectors().await?;
        for definition in definitions {
            let known = before.iter().find(|known| known.name == definition.name && known.origin == Origin::File);
            let known_switch = known
                .and_then(|known| serde_json::from_str::<ConnectorDefinition>(&known.definition).ok())
                .map(|known| known.enabled);
            let text = serde_json::to_string(definition)
                .map_err(|error| StoreError::Conflict(format!("connector {}: {error}", definition.name)))?;
            if known.is_some_and(|known| known.definition == text) {
                continue;
            }
            let stored = StoredConnector {
                name: definition.name.clone(),
                channel: definition.channel,
                adapter: definition.adapter.clone(),
                definition: text,
                origin: Origin::File,
                enabled: definition.enabled,
                generation: 1,
                cursor: None,
                run_requested: false,
            };
            self.store.put_connector(&stored, known_switch != Some(definition.enabled), now).await?;
            self.store.audit(by_configuration("connector.define", &definition.name), now).await?;
        }
        for known in before.iter().filter(|known| known.origin == Origin::File) {
            if !definitions.iter().any(|definition| definition.name == known.name) {
                let act = by_configuration("connector.remove", &known.name);
                self.store.retire_connector(&known.name, act, now).await?;
            }
        }
        self.directory.refresh(&self.store).await?;
        Ok(())
    }
}

/// What notices say of the office.
fn texts(config: &Config) -> Texts {
    Texts {
        office: config.office.name.clone(),
        phone: config.office.phone.clone(),
        message_domain: config.notices.message_domain.clone(),
        zone: hotline_zone(),
    }
}

fn by_configuration<'a>(action: &'a str, name: &'a ConnectorName) -> Act<'a> {
    Act { actor: "configuration", action, subject: name.as_str(), reason: None }
}

/// Opens the database that the configuration names.
///
/// # Errors
/// Where its password cannot be read, or it cannot be used.
pub async fn open_store(config: &Config) -> Result<Store, GatewayError> {
    let address = config.store.address()?;
    let options = StoreOptions {
        connections: config.store.connections,
        patience: Duration::from_secs(config.store.patience_seconds),
        url: secrecy::ExposeSecret::expose_secret(&address).to_owned(),
    };
    Ok(Store::open(&options).await?)
}

/// Sealed petitioners that the keys are tried on: one may be damaged, hardly all.
const TRIED: i64 = 8;

/// Judges whether the keys belong to the database. With others, everything that waits would go to quarantine, and what
/// comes in would be sealed so that neither key file opens the whole.
async fn fit(keyring: &Keyring, store: &Store) -> Result<(), GatewayError> {
    let sealed = store.sealed_lately(TRIED).await?;
    let opens = |(entry, sealed): &(EntryId, Sealed)| {
        keyring.open(SealContext::new(PETITIONER, &entry.to_string()), sealed).is_ok()
    };
    if sealed.is_empty() || sealed.iter().any(opens) { Ok(()) } else { Err(GatewayError::ForeignKeys) }
}

/// The rules that the configuration names, or the shipped ones.
///
/// # Errors
/// Where a file cannot be read or is no rule file.
pub fn rules(config: &Config) -> Result<Rulebook, GatewayError> {
    Ok(Rulebook::open(&config.screening)?)
}

/// The words for matching that the configuration names, or the shipped ones.
///
/// # Errors
/// Where the file cannot be read or has another form.
pub fn words(config: &Config) -> Result<Vocabulary, GatewayError> {
    let failed = |message: String| GatewayError::Words { path: config.issue.words.clone(), message };
    match &config.issue.words {
        None => Vocabulary::shipped().map_err(|error| failed(error.to_string())),
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
            Vocabulary::read(&text).map_err(|error| failed(error.to_string()))
        }
    }
}

/// What a gateway and whoever is started in its place have in common: machine and address. None where the machine has no
/// name or the address is any that is free; leases are then waited out.
fn instance(listen: SocketAddr) -> Option<String> {
    if listen.port() == 0 {
        return None;
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(format!("{}/{listen}/", machine.trim()))
}

fn calendar(config: &Config) -> Result<Calendar, GatewayError> {
    let failed = |error: &dyn std::fmt::Display| GatewayError::Calendar(error.to_string());
    let calendar = match &config.calendar.extra {
        Some(path) => Calendar::open(path).map_err(|error| failed(&error))?,
        None => Calendar::shipped(),
    };
    let periods = [config.calendar.morning, config.calendar.afternoon]
        .map(|hours| Period { from: hours.from, to: hours.to })
        .to_vec();
    let settings = HoursSettings { zone: ZONE.to_owned(), periods };
    let hours = WorkingHours::try_from(&settings).map_err(|error| failed(&error))?;
    Ok(calendar.with_hours(hours))
}

/// A gateway that runs.
pub struct Gateway {
    /// Its parts.
    pub parts: Parts,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the first admin of the console makes an account, while there is none; works once. A secret: it is for the one
    /// who started the gateway, and not for the log.
    pub first_admin: Option<String>,
    tracker: TaskTracker,
    stop: CancellationToken,
    listening: CancellationToken,
}

impl Gateway {
    /// Starts the gateway. `file` is watched: connectors that change in it change here.
    ///
    /// # Errors
    /// Where something named in the configuration cannot be used.
    pub async fn start(
        config: Config,
        file: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> Result<Self, GatewayError> {
        let address = config.http.listen;
        let (parts, deliveries) = Parts::open(config, clock).await?;
        parts.apply(&parts.config.connectors).await?;
        let stop = CancellationToken::new();
        let api = api(&parts, &stop)?;
        let tls = tls(&parts.config)?.map(Arc::new);
        let watching = Watch::new(
            parts.store.clone(),
            parts.clock.clone(),
            parts.directory.clone(),
            calendar(&parts.config)?,
            parts.config.clone(),
            random.clone(),
            parts.holder.clone(),
        )?;
        let listener = TcpListener::bind(address).await.map_err(|source| GatewayError::Listen { address, source })?;
        // Only one process listens there: whoever held leases under this address before was killed.
        if let Some(instance) = instance(address) {
            let ended = parts.store.end_leases(&instance).await?;
            if ended > 0 {
                tracing::info!(leases = ended, "the leases of this gateway's predecessor were taken over");
            }
        }
        let address = listener.local_addr().map_err(|source| GatewayError::Listen { address, source })?;
        let first_admin = first_admin(&parts, address, tls.is_some()).await?;
        let gateway = Self {
            parts,
            address,
            first_admin,
            tracker: TaskTracker::new(),
            stop: stop.clone(),
            listening: CancellationToken::new(),
        };
        gateway.spawn_stages(deliveries, &random, watching);
        gateway.spawn_server(listener, api, tls);
        if let Some(file) = file {
            let parts = gateway.parts.clone();
            gateway.tracker.spawn(async move { watch(&parts, &file, &stop).await });
        }
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the gateway runs");
        Ok(gateway)
    }

    fn spawn_stages(&self, deliveries: Deliveries, random: &Random, watching: Watch) {
        let parts = &self.parts;
        let config = &parts.config;
        let (intake, listening, group) = (parts.intake.clone(), self.listening.clone(), config.intake.group_items);
        // Commits until the server has answered its last request.
        self.tracker.spawn(async move { intake.commit_deliveries(deliveries, group, listening).await });

        let (rules, stop) = (parts.clone(), self.stop.clone());
        self.tracker.spawn(async move { follow_rules(&rules, &stop).await });

        let (issuer, pending, stop) = (parts.issuer.clone(), parts.pending.clone(), self.stop.clone());
        self.tracker.spawn(async move { issuer.run(&pending, &stop).await });

        let gatherer = Gatherer {
            store: parts.store.clone(),
            keyring: parts.keyring.clone(),
            clock: parts.clock.clone(),
            directory: parts.directory.clone(),
            intake: parts.intake.clone(),
            holder: parts.holder.clone(),
            options: GatherOptions {
                lease: Duration::from_secs(config.issue.lease_seconds),
                ..GatherOptions::default()
            },
        };
        let stop = self.stop.clone();
        self.tracker.spawn(async move { gatherer.run(&stop).await });

        let supervisor = Supervisor {
            store: parts.store.clone(),
            intake: parts.intake.clone(),
            directory: parts.directory.clone(),
            clock: parts.clock.clone(),
            random: random.clone(),
            options: SupervisorOptions::default(),
            holder: parts.holder.clone(),
        };
        let (changed, stop) = (parts.changed.clone(), self.stop.clone());
        self.tracker.spawn(async move { supervisor.run(&changed, &stop).await });

        let (store, stop) = (parts.store.clone(), self.stop.clone());
        self.tracker.spawn(async move { measure(&store, &stop).await });

        let stop = self.stop.clone();
        self.tracker.spawn(async move { watching.run(&stop).await });

        let reconciler = Reconciler {
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            directory: parts.directory.clone(),
            settings: config.reconcile.clone(),
            holder: parts.holder.clone(),
        };
        let stop = self.stop.clone();
        self.tracker.spawn(async move { reconciler.run(&stop).await });

        if config.notices.enabled {
            let options = OutboxOptions {
                daily_cap: i64::from(config.notices.daily_cap),
                max_attempts: i64::from(config.notices.max_attempts),
                timeout: Duration::from_mins(1),
                abreast: 4,
                poll: Duration::from_millis(500),
                lease: Duration::from_secs(config.issue.lease_seconds),
            };
            let outbox = Outbox::new(
                parts.store.clone(),
                parts.clock.clone(),
                parts.keyring.clone(),
                parts.directory.clone(),
                random.clone(),
                options,
                parts.holder.clone(),
            );
            let stop = self.stop.clone();
            self.tracker.spawn(async move { outbox.run(&stop).await });
        }
    }

    fn spawn_server(&self, listener: TcpListener, api: Arc<Api>, tls: Option<Arc<Tls>>) {
        let parts = &self.parts;
        let inlets = Arc::new(Inlets {
            directory: parts.directory.clone(),
            intake: parts.intake.clone(),
            clock: parts.clock.clone(),
            limits: PushLimits {
                body: usize::try_from(parts.config.http.body_limit_bytes).unwrap_or(usize::MAX),
                drain: parts.config.http.drain_limit_bytes,
                patience: Duration::from_secs(parts.config.http.request_timeout_seconds),
                abreast: usize::try_from(parts.config.http.max_connections).unwrap_or(usize::MAX),
            },
        });
        let citizens = portal::router(PortalParts {
            inlets: inlets.clone(),
            store: parts.store.clone(),
            keyring: parts.keyring.clone(),
            office: parts.config.office.clone(),
            zone: hotline_zone(),
            issued: parts.queued.clone(),
            stop: self.stop.clone(),
        });
        let mut others = push::router(inlets).merge(citizens);
        if parts.config.console.enabled {
            others = others.merge(console::router(Arc::new(console(parts))));
            let (store, clock, settings) = (parts.store.clone(), parts.clock.clone(), parts.config.console.clone());
            let (changed, stop) = (parts.changed.clone(), self.stop.clone());
            self.tracker.spawn(async move { console::tidy(&store, clock.as_ref(), &settings, &changed, &stop).await });
        }
        let router = http::router(api, others);
        let limits = ConnectionLimits {
            connections: usize::try_from(parts.config.http.max_connections).unwrap_or(usize::MAX),
            head: HEAD,
            // Half of the grace, so that what the last requests brought is still committed within it.
            drain: Duration::from_secs(parts.config.shutdown.grace_seconds) / 2,
        };
        let (stop, listening) = (self.stop.clone(), self.listening.clone());
        self.tracker.spawn(async move {
            let _listening = listening.drop_guard();
            serve(listener, router, tls, limits, &stop).await;
        });
    }

    /// Stops: lets nothing in any more, finishes what has begun, closes the database. Returns whether everything ended
    /// within the grace that the configuration gives.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let grace = Duration::from_secs(self.parts.config.shutdown.grace_seconds);
        let ended = tokio::time::timeout(grace, self.tracker.wait()).await.is_ok();
        if !ended {
            tracing::warn!(
                grace.seconds = grace.as_secs(),
                "some tasks did not end in time; what they had begun is taken up at the next start"
            );
        }
        self.parts.store.close().await;
        ended
    }
}

/// What the API works with.
fn api(parts: &Parts, stop: &CancellationToken) -> Result<Arc<Api>, GatewayError> {
    let config = &parts.config;
    Ok(Arc::new(Api {
        store: parts.store.clone(),
        intake: parts.intake.clone(),
        items: config.intake.limits,
        uploads: http::upload_slots(),
        tools: parts.issuer.tools().clone(),
        keyring: parts.keyring.clone(),
        clock: parts.clock.clone(),
        policy: http::delivery_policy(&config.queue),
        tokens: Tokens::load(&config.http)?,
        limits: http::Limits::of(&config.http, &config.queue),
        changed: parts.changed.clone(),
        pending: parts.pending.clone(),
        queued: parts.queued.clone(),
        stop: stop.clone(),
        metrics: Box::new(|| Metrics::install().map(|metrics| metrics.render()).unwrap_or_default()),
    }))
}

/// What the console works with.
fn console(parts: &Parts) -> Console {
    let config = &parts.config;
    Console {
        store: parts.store.clone(),
        keyring: parts.keyring.clone(),
        clock: parts.clock.clone(),
        directory: parts.directory.clone(),
        tools: parts.issuer.tools().clone(),
        changed: parts.changed.clone(),
        pending: parts.pending.clone(),
        queued: parts.queued.clone(),
        policy: http::delivery_policy(&config.queue),
        texts: texts(config),
        settings: config.console.clone(),
        limits: http::Limits::of(&config.http, &config.queue),
        door: console::Door::default(),
    }
}

fn tls(config: &Config) -> Result<Option<Tls>, TlsError> {
    let files = config.http.tls.as_ref();
    files.map(|files| Tls::load(files.certificate.clone(), files.key.clone())).transpose()
}

/// Where the first admin makes an account, while there is none.
async fn first_admin(parts: &Parts, address: SocketAddr, tls: bool) -> Result<Option<String>, StoreError> {
    let settings = &parts.config.console;
    if !settings.enabled || parts.store.any_account().await? {
        return Ok(None);
    }
    let now = parts.clock.now();
    let path = console::one_time_path(&parts.store, settings, &LinkFor::FirstAdmin, "gateway", now).await?;
    let scheme = if tls { "https" } else { "http" };
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(Some(format!("{scheme}://{address}{path}")))
}

/// How long the head of a request may take; longer than clients keep a connection that rests.
const HEAD: Duration = Duration::from_mins(2);

/// How often it is looked whether other rules are in force.
const RULES: Duration = Duration::from_secs(2);

/// Takes over rules that were published, put back or edited, while everything goes on.
async fn follow_rules(parts: &Parts, stop: &CancellationToken) {
    let rulebook = &parts.issuer.tools().rulebook;
    loop {
        tokio::select! {
            () = tokio::time::sleep(RULES) => {}
            () = stop.cancelled() => return,
        }
        match rulebook.refresh(&parts.store, parts.clock.now()).await {
            Ok(Some(version)) => tracing::info!(rules.version = %version, "other rules are in force"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "it could not be seen whether other rules are in force"),
        }
    }
}

/// How often what waits is counted.
const MEASURE: Duration = Duration::from_secs(5);

/// Counts what waits, for the metrics, and keeps what was measured from piling up.
async fn measure(store: &Store, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(MEASURE) => {}
            () = stop.cancelled() => return,
        }
        match (store.queue_depth().await, store.pending_count().await) {
            (Ok(depth), Ok(pending)) => {
                for (state, count) in [("ready", depth.ready), ("leased", depth.leased), ("dead", depth.dead)] {
                    metrics::gauge!(names::QUEUE_DEPTH, "state" => state).set(approximately(count));
                }
                metrics::gauge!(names::ISSUE_WAITING).set(approximately(pending));
            }
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "what waits could not be counted"),
        }
        if let Ok(metrics) = Metrics::install() {
            metrics.upkeep();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts stay far below what it holds exactly")]
fn approximately(count: i64) -> f64 {
    count as f64
}

/// How often the configuration file is looked at.
const WATCH: Duration = Duration::from_secs(2);

/// Applies the connectors of the configuration file whenever it changes. A file with mistakes changes nothing.
async fn watch(parts: &Parts, file: &Path, stop: &CancellationToken) {
    let mut seen = modified(file);
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = stop.cancelled() => return,
        }
        let now = modified(file);
        if now == seen {
            continue;
        }
        seen = now;
        match config::load(file) {
            Ok(config) => match parts.apply(&config.connectors).await {
                Ok(()) => {
                    tracing::info!(
                        "the connectors of the configuration file were applied; other sections need a restart"
                    );
                    parts.changed.notify_one();
                }
                Err(error) => tracing::error!(%error, "the configuration file was not applied"),
            },
            Err(errors) => tracing::error!(%errors, "the configuration file has mistakes; everything stays as it was"),
        }
    }
}

fn modified(file: &Path) -> Option<(std::time::SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
