//! The gateway as a whole: every part wired to every other, started and stopped in order. Each task has its owner here,
//! and ends on shutdown: first what lets work in, then what finishes it.

mod follow;
mod parts;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use connectors::clock::Clock;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::parts::{Parts, open_store, rules, words};
use self::{
    follow::{follow_rules, measure, watch},
    parts::{calendar, instance, texts},
};
use crate::{
    alarms::Watch,
    config::Config,
    console::{self, Console},
    gather::{GatherOptions, Gatherer},
    http::{
        self, Api,
        auth::Tokens,
        portal::{self, PortalParts},
        push::{self, Inlets, PushLimits},
        serve::{ConnectionLimits, serve},
        tls::{Tls, TlsError},
    },
    intake::Deliveries,
    issue::hotline_zone,
    notices::{Outbox, OutboxOptions},
    reconcile::Reconciler,
    rulebook::RulebookError,
    store::{StoreError, accounts::LinkFor},
    supervisor::{Random, Supervisor, SupervisorOptions},
    telemetry::Metrics,
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
