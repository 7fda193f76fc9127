//! The rules in force, which may change while the gateway runs: an admin publishes a version or puts an older one back, or
//! the file that the configuration names is edited. Every gateway on the database notices within seconds. What cannot be
//! read changes nothing: the rules before it stay, and it is said why.
//!
//! The text of every version is kept in the database under the version that dispositions name. A changed file is
//! published and put in force like any other version; an admin who puts another one in force then is not overruled until
//! the file changes again.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::Timestamp;

use crate::{
    assess::{Assessor, FILE_LIMIT, MODEL_LIMIT, RuleSet, RulesError, Sources},
    config::Screening,
    store::{
        Store, StoreError,
        journal::Act,
        rules::{Activation, RuleOrigin},
    },
};

/// Who puts the configuration's file in force.
const CONFIGURATION: &str = "configuration";

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulebookError {
    /// A file that the configuration names cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file has a mistake.
    #[error("{}{error}", path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default())]
    Rules {
        /// Which file; none for what was published or shipped.
        path: Option<PathBuf>,
        /// The mistake.
        error: RulesError,
    },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The texts beside the rules that the configuration names.
#[derive(Debug, Clone, Default)]
struct Beside {
    places: Option<String>,
    subjects: Option<String>,
    units: Option<String>,
    model: Option<String>,
}

impl Beside {
    fn read(settings: &Screening) -> Result<Self, RulebookError> {
        let text = |path: &Option<PathBuf>| path.as_deref().map(|path| read(path, FILE_LIMIT)).transpose();
        Ok(Self {
            places: text(&settings.places)?,
            subjects: text(&settings.subjects)?,
            units: text(&settings.units)?,
            model: settings.model.as_deref().map(|path| read(path, MODEL_LIMIT)).transpose()?,
        })
    }

    fn build(&self, rules: Option<&str>) -> Result<RuleSet, RulesError> {
        RuleSet::build(self.with(rules))
    }

    fn with<'t>(&'t self, rules: Option<&'t str>) -> Sources<'t> {
        Sources {
            rules,
            places: self.places.as_deref(),
            subjects: self.subjects.as_deref(),
            units: self.units.as_deref(),
            model: self.model.as_deref(),
        }
    }
}

/// The rules in force, shared by whoever assesses.
#[derive(Debug)]
pub struct Rulebook {
    settings: Screening,
    beside: Beside,
    current: RwLock<Assessor>,
    seen: Mutex<Seen>,
}

/// What was noticed last.
#[derive(Debug, Default)]
struct Seen {
    /// The text of the file, so that only a change of it is acted on.
    file: Option<String>,
    /// The version in force as the database has it.
    active: Option<String>,
    /// What is wrong with the newest rules, which are therefore not in force.
    trouble: Option<String>,
}

impl Rulebook {
    /// The rules that the configuration names, or the shipped ones; what is in force by the database comes with the first
    /// [`Rulebook::refresh`].
    ///
    /// # Errors
    /// Where a file cannot be read or has a mistake: at start, unlike later, there are no rules before it.
    pub fn open(settings: &Screening) -> Result<Self, RulebookError> {
        let beside = Beside::read(settings)?;
        let file = settings.rules.as_deref().map(|path| read(path, FILE_LIMIT)).transpose()?;
        let rules = beside
            .build(file.as_deref())
            .map_err(|error| RulebookError::Rules { path: settings.rules.clone(), error })?;
        let seen = Mutex::new(Seen::default());
        let current = RwLock::new(Assessor::new(Arc::new(rules)));
        Ok(Self { settings: settings.clone(), beside, current, seen })
    }

    /// Assesses by the rules in force now; cheap.
    pub fn assessor(&self) -> Assessor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file that the configuration names, whose changes are put in force by themselves.
    pub fn file(&self) -> Option<&Path> {
        self.settings.rules.as_deref()
    }

    /// What is wrong with the newest rules, where they are not in force because of it.
    pub fn trouble(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Makes rules of a text, with the gazetteer, subjects and units in use here; changes nothing.
    ///
    /// # Errors
    /// [`RulesError`] with the line of the mistake.
    pub fn build(&self, text: &str) -> Result<RuleSet, RulesError> {
        self.beside.build(Some(text))
    }

    /// Makes rules of a text as [`Rulebook::build`] does, or tells every mistake in it.
    ///
    /// # Errors
    /// The mistakes, in the order of the file.
    pub fn check(&self, text: &str) -> Result<RuleSet, Vec<RulesError>> {
        RuleSet::check(self.beside.with(Some(text)))
    }

    /// The rules of a published version.
    ///
    /// # Errors
    /// Where there is none, or this program cannot read it.
    pub async fn version(&self, store: &Store, version: &str) -> Result<RuleSet, RulebookError> {
        let (_, text) = store.rule_text(version).await?;
        self.build(&text).map_err(|error| RulebookError::Rules { path: None, error })
    }

    /// Looks whether the file or the version in force has changed, and takes over what has. Returns the version now used
    /// where it changed.
    ///
    /// # Errors
    /// Where the database fails. A mistake in the rules is no error here: it is told by [`Rulebook::trouble`] and logged
    /// once, and the rules before stay.
    pub async fn refresh(&self, store: &Store, now: Timestamp) -> Result<Option<String>, StoreError> {
        let fresh = self.take_file(store, now).await;
        let trouble = match fresh {
            Ok(()) => None,
            Err(RulebookError::Store(error)) => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        let (changed, trouble) = match store.active_rules().await? {
            Some(active) => match self.take_active(store, &active).await {
                Ok(changed) => (changed, trouble),
                Err(RulebookError::Store(error)) => return Err(error),
                Err(error) => (None, Some(format!("version {}: {error}", active.version))),
            },
            None => (None, trouble),
        };
        self.note(trouble);
        Ok(changed)
    }

    /// Publishes the file and puts it in force, if its text is another than the one it put in force last.
    async fn take_file(&self, store: &Store, now: Timestamp) -> Result<(), RulebookError> {
        let Some(path) = &self.settings.rules else { return Ok(()) };
        let text = read(path, FILE_LIMIT)?;
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).file.as_ref() == Some(&text) {
            return Ok(());
        }
        let rules = self.build(&text).map_err(|error| RulebookError::Rules { path: Some(path.clone()), error })?;
        let last = store.rules_of_file().await?;
        if last.is_none_or(|last| last.version != rules.version()) {
            let act = |action| Act { actor: CONFIGURATION, action, subject: rules.version(), reason: None };
            store.publish_rules(rules.version(), &text, RuleOrigin::File, act("rules.publish"), now).await?;
            store.activate_rules(rules.version(), act("rules.activate"), now).await?;
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).file = Some(text);
        Ok(())
    }

    async fn take_active(&self, store: &Store, active: &Activation) -> Result<Option<String>, RulebookError> {
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).active.as_ref() == Some(&active.version) {
            return Ok(None);
        }
        let rules = self.version(store, &active.version).await?;
        let version = rules.version().to_owned();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Assessor::new(Arc::new(rules));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).active = Some(active.version.clone());
        Ok(Some(version))
    }

    /// Logs what is wrong when it is noticed first.
    fn note(&self, trouble: Option<String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.trouble != trouble {
            if let Some(trouble) = &trouble {
                tracing::error!(%trouble, "the newest rules cannot be used; the rules before them stay in force");
            }
            seen.trouble = trouble;
        }
    }

    /// Keeps the shipped rules among the versions, so that they can be put back once others are published.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_shipped(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let Ok(shipped) = self.beside.build(None) else { return Ok(()) };
        let act = Act { actor: CONFIGURATION, action: "rules.publish", subject: shipped.version(), reason: None };
        store.publish_rules(shipped.version(), RuleSet::shipped_text(), RuleOrigin::Shipped, act, now).await?;
        Ok(())
    }
}

fn read(path: &Path, limit: usize) -> Result<String, RulebookError> {
    let failed = |source| RulebookError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    // One byte more than is allowed, so that what is too long is told as such.
    file.take(limit as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
