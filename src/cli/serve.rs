//! `jiesu serve`: the gateway as a service, until it is told to stop.

use std::{io::Write as _, sync::Arc};

use super::{
    Global,
    failure::{Code, Failure},
    open,
    report::Report,
};
use jiesu::{
    config::{ConfigErrors, check_report},
    gateway::Gateway,
    telemetry::{self, Metrics},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 监视配置文件，接入点的改动随时生效 / apply changes of connectors in the file while running
    #[arg(
        long,
        value_name = "true|false",
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    watch: bool,
}

pub(crate) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Report> {
    let path = open::path(global)?;
    let report = check_report(&path);
    let config = match report.config {
        Some(config) if report.errors.is_empty() => config,
        _ => return Err(ConfigErrors(report.errors).into()),
    };
    telemetry::install_log(&config.log)?;
    Metrics::install()?;
    let mut signals = Signals::listen()?;
    let start = Gateway::start(config, arguments.watch.then_some(path), open::clock(), Arc::new(random));
    let gateway = tokio::select! {
        started = start => started?,
        () = signals.next() => return Ok(Report::silent(Code::Done)),
    };
    // For whoever started it with port 0; everything else it says goes to the log.
    let scheme = if gateway.parts.config.http.tls.is_some() { "https" } else { "http" };
    writeln!(std::io::stdout(), "{scheme}://{}", gateway.address)?;
    if let Some(link) = &gateway.first_admin {
        // Not by way of the log, which is kept and passed on: whoever has the link becomes the admin.
        let minutes = gateway.parts.config.console.link_minutes;
        writeln!(
            std::io::stderr(),
            "控制台尚无账户。首位管理员请打开（{minutes} 分钟内有效，只能用一次）/ the first admin of the console opens:\n  {link}"
        )?;
    }
    signals.next().await;
    tracing::info!("stopping; a second signal ends at once");
    tokio::select! {
        ended = gateway.stop() => if ended {
            tracing::info!("stopped");
            return Ok(Report::silent(Code::Done));
        },
        () = signals.next() => {}
    }
    Err(Failure::new(Code::Failed, "网关未能在期限内停妥 / not everything had ended when the gateway stopped")
        .remedy("未完成的将在下次启动时继续；若常见，调大 [shutdown] grace_seconds")
        .into())
}

/// A number from 0 to 1, which spreads retries.
pub(super) fn random() -> f64 {
    let (number, ..) = uuid::Uuid::new_v4().as_fields();
    f64::from(number) / f64::from(u32::MAX)
}

/// What tells a service to stop.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What tells a service to stop.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
