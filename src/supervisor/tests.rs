//! Tasks that fail in a way that they should not.

use connectors::{clock::ManualClock, secret::SecretRef};

use super::*;
use crate::{
    config::{Config, ConnectorDefinition},
    gateway::Parts,
    seal::Keyring,
};

#[tokio::test]
async fn b08_a_task_that_panics_is_reported_waited_out_and_free_to_start_again() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("jiesu.keys");
    Keyring::create_file(&keys, "test").unwrap();
    let mut config = Config::default();
    config.store.url = format!("sqlite:{}", folder.path().join("jiesu.db").display());
    config.seal.keys = SecretRef::File(keys);
    let clock = Arc::new(ManualClock::new("2026-11-23T02:00:00Z".parse().unwrap()));
    let (parts, _deliveries) = Parts::open(config, clock.clone()).await.unwrap();
    let definition: ConnectorDefinition = serde_json::from_value(serde_json::json!({
        "name": "letters", "channel": "letter", "adapter": "files", "settings": { "folder": folder.path() },
    }))
    .unwrap();
    let name = definition.name.clone();
    parts.apply(&[definition]).await.unwrap();
    let supervisor = Supervisor {
        store: parts.store.clone(),
        intake: parts.intake.clone(),
        directory: parts.directory.clone(),
        clock,
        random: Arc::new(|| 0.0),
        options: SupervisorOptions::default(),
        holder: "test".to_owned(),
    };
    let tracker = TaskTracker::new();
    for failures in 1..=2 {
        let stop = CancellationToken::new();
        let done = supervisor.guard(&tracker, name.clone(), async { panic!("an adapter's own") }, stop.clone());
        let health = loop {
            match parts.store.health(&name).await.unwrap() {
                Some(health) if health.failures == failures => break health,
                _ => tokio::task::yield_now().await,
            }
        };
        assert_eq!(health.state, HealthState::Failing);
        assert!(health.last_error.as_deref().is_some_and(|error| !error.contains("an adapter's own")), "{health:?}");
        assert!(health.next_attempt_at.is_some_and(|next| next > supervisor.clock.now()));
        // It keeps its place while it is waited out, so that it is not started without pause; a stop ends the wait.
        assert!(!done.is_cancelled());
        stop.cancel();
        done.cancelled().await;
    }
    tracker.close();
    tracker.wait().await;
}
