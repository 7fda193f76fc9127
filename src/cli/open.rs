//! What commands start from: the configuration, the database, and who is asking.

use std::{path::PathBuf, sync::Arc};

use connectors::{
    clock::{Clock, SystemClock},
    entry::ConnectorName,
};
use jiesu::{
    config::{self, Config, ConnectorDefinition},
    gateway::{self, GatewayError, Parts},
    store::{Store, StoreError, connectors::StoredConnector},
};

use super::{
    Global,
    failure::{Code, Failure},
};

/// Where the configuration is looked for where nobody says.
const PLACES: [&str; 2] = ["jiesu.toml", "/etc/jiesu/jiesu.toml"];

/// The configuration file that is meant.
pub(crate) fn path(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(path) = &global.config {
        return Ok(path.clone());
    }
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| {
        let message = format!("没有配置文件 / there is no configuration file at {}", PLACES.join(" or "));
        Failure::new(Code::Configuration, message)
            .remedy("用 --config FILE 或环境变量 JIESU_CONFIG 指明；样例见 jiesu.example.toml")
    })
}

/// The configuration, judged in itself.
pub(crate) fn config(global: &Global) -> anyhow::Result<Config> {
    Ok(config::load(&path(global)?)?)
}

/// The database alone, for what needs no keys.
pub(crate) async fn store(global: &Global) -> anyhow::Result<(Config, Store)> {
    let config = config(global)?;
    let store = gateway::open_store(&config).await?;
    Ok((config, store))
}

/// Every part of the gateway, none of them running.
pub(crate) async fn parts(config: Config) -> Result<Parts, GatewayError> {
    // Nothing is pushed to a command: deliveries have nobody to take them.
    let (parts, _) = Parts::open(config, clock()).await?;
    Ok(parts)
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Who is asking, as the audit trail names them.
pub(crate) fn actor() -> String {
    match whoami::account() {
        Ok(name) if !name.is_empty() => format!("cli:{}", name.chars().take(64).collect::<String>()),
        _ => "cli:unknown".to_owned(),
    }
}

/// A connector as it is stored; where only the file knows it yet, that is said.
pub(crate) async fn connector(config: &Config, store: &Store, name: &ConnectorName) -> anyhow::Result<StoredConnector> {
    match store.connector(name).await {
        Err(StoreError::Missing { .. }) => Err(unknown(config, store, name).await?.into()),
        known => Ok(known?),
    }
}

async fn unknown(config: &Config, store: &Store, name: &ConnectorName) -> Result<Failure, StoreError> {
    if defined(config, name).is_some() {
        let message = format!("接入点 {name} 已写入配置，但网关尚未载入 / connector {name} is not in the database yet");
        return Ok(Failure::missing(message).remedy("启动网关（jiesu serve）后再试"));
    }
    let known: Vec<String> = store.connectors().await?.into_iter().map(|known| known.name.to_string()).collect();
    let failure = Failure::missing(format!("没有接入点 {name} / there is no connector {name}"));
    Ok(if known.is_empty() {
        failure.remedy("在配置文件中添加 [[connector]]")
    } else {
        failure.remedy(format!("现有：{}", known.join("、")))
    })
}

/// A connector's definition in the file.
pub(crate) fn defined<'a>(config: &'a Config, name: &ConnectorName) -> Option<&'a ConnectorDefinition> {
    config.connectors.iter().find(|definition| definition.name == *name)
}

/// A connector's definition: as the file has it, else as the database has it.
pub(crate) async fn definition(
    config: &Config,
    store: &Store,
    name: &ConnectorName,
) -> anyhow::Result<ConnectorDefinition> {
    if let Some(definition) = defined(config, name) {
        return Ok(definition.clone());
    }
    let stored = connector(config, store, name).await?;
    serde_json::from_str(&stored.definition).map_err(|error| {
        let message = format!("接入点 {name} 的定义无法读取 / the stored definition cannot be read: {error}");
        Failure::new(Code::Configuration, message).into()
    })
}

/// A reason that is worth writing down.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("请写明原因 / a reason is needed".to_owned()),
        1..=500 if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err("原因为一行文字，至多 500 字 / a reason is one line of at most 500 characters".to_owned()),
    }
}
