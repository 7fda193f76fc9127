//! The parts, made from the configuration and started by nobody yet.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use connectors::{
    clock::{Clock, ZONE},
    entry::ConnectorName,
};
use tokio::sync::Notify;

use super::GatewayError;
use crate::{
    calendar::{Calendar, HoursSettings, Period, WorkingHours},
    config::{Config, ConnectorDefinition},
    directory::Directory,
    ids::EntryId,
    intake::{Deliveries, Intake},
    issue::{IssueOptions, Issuer, PETITIONER, Tools, hotline_zone},
    matching::Vocabulary,
    notices::Texts,
    rulebook::Rulebook,
    seal::{Keyring, SealContext, Sealed},
    store::{
        Store, StoreError, StoreOptions,
        connectors::{Origin, StoredConnector},
        journal::Act,
    },
};

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
            matching: config.issue.matching,
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
pub(super) fn texts(config: &Config) -> Texts {
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
    let failed = |path: Option<&PathBuf>, message: String| GatewayError::Words { path: path.cloned(), message };
    let read = |path: &Option<PathBuf>| {
        let text = path.as_ref().map(std::fs::read_to_string).transpose();
        text.map_err(|error| failed(path.as_ref(), error.to_string()))
    };
    let (words, places) = (read(&config.issue.words)?, read(&config.screening.places)?);
    Vocabulary::read_with_places(words.as_deref().unwrap_or(Vocabulary::shipped_text()), places.as_deref())
        .map_err(|error| failed(config.issue.words.as_ref(), error.to_string()))
}

/// What a gateway and whoever is started in its place have in common: machine and address. None where the machine has no
/// name or the address is any that is free; leases are then waited out.
pub(super) fn instance(listen: SocketAddr) -> Option<String> {
    if listen.port() == 0 {
        return None;
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(format!("{}/{listen}/", machine.trim()))
}

/// The working days and hours of the configuration.
pub(super) fn calendar(config: &Config) -> Result<Calendar, GatewayError> {
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
