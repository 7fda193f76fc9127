//! Telling: the log, and the duty desk over HTTP or by mail. Each target is told by itself, with bounded attempts.

use std::{sync::Arc, time::Duration};

use connectors::{
    contract::Reply,
    entry::{ConnectorName, ExternalId},
    fault::{Fault, FaultClass},
    http::{Http, HttpLimits, Reach, Unpaced},
    secret::SecretRef,
};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    config::{self, WebhookForm},
    directory::Directory,
    store::alarms::{Alarm, AlarmEvent, Untold},
};

/// How long telling one target of one alarm may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// One who is told.
pub(super) enum Target {
    /// The log, at the level of a warning.
    Log,
    /// The duty desk over HTTP.
    Webhook { http: Http, settings: config::Webhook, office: String },
    /// The duty desk by mail.
    Mail { directory: Arc<Directory>, through: ConnectorName, to: String, domain: String },
}

/// Those who are told, by the configuration.
///
/// # Errors
/// Where the HTTP client cannot be set up.
pub(super) fn targets(config: &config::Config, directory: &Arc<Directory>) -> Result<Vec<Target>, Fault> {
    let mut targets = vec![Target::Log];
    if let Some(settings) = config.alarms.webhook.clone() {
        let limits = HttpLimits { exchange: TIMEOUT, body: 64 * 1024, ..HttpLimits::default() };
        // The duty desk is in the city's own network, and its address is the operator's own.
        let http = Http::reaching(limits, Arc::new(Unpaced), Reach::anywhere())?;
        targets.push(Target::Webhook { http, settings, office: config.office.name.clone() });
    }
    if let Some(mail) = &config.alarms.mail {
        targets.push(Target::Mail {
            directory: directory.clone(),
            through: mail.through.clone(),
            to: mail.to.clone(),
            domain: config.notices.message_domain.clone(),
        });
    }
    Ok(targets)
}

impl Target {
    /// The name under which it is written down who was told.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook { .. } => "webhook",
            Self::Mail { .. } => "mail",
        }
    }

    /// Tells it.
    ///
    /// # Errors
    /// Whatever kept it from being told; a permanent fault is not tried again.
    pub(super) async fn tell(&self, untold: &Untold) -> Result<(), Fault> {
        let Untold { alarm, event, .. } = untold;
        match self {
            Self::Log => {
                log(alarm, *event);
                Ok(())
            }
            Self::Webhook { http, settings, office } => post(http, settings, office, alarm, *event).await,
            Self::Mail { directory, through, to, domain } => {
                let answerer = directory.get(through).and_then(|connector| connector.answerer.clone());
                let answerer = answerer.ok_or_else(|| {
                    Fault::configuration(format!("connector {through} has no outgoing server"))
                        .remedy("set up its smtp")
                })?;
                let reply = Reply {
                    message_id: format!("alarm-{}-{}@{domain}", alarm.id, event.as_str()),
                    to: Some(to.clone()),
                    about: ExternalId::new(&format!("alarm-{}", alarm.id)),
                    occasion: None,
                    answers: Vec::new(),
                    subject: subject(alarm, *event),
                    text: text(alarm, *event),
                };
                answerer.answer(&reply).await
            }
        }
    }
}

fn log(alarm: &Alarm, event: AlarmEvent) {
    let (id, kind, subject, message) = (alarm.id.0, alarm.kind.as_str(), alarm.subject.as_str(), &alarm.message);
    match event {
        AlarmEvent::Raised => {
            tracing::warn!(alarm.id = id, alarm.kind = kind, alarm.subject = subject, "alarm: {message}");
        }
        AlarmEvent::Cleared => {
            tracing::info!(alarm.id = id, alarm.kind = kind, alarm.subject = subject, "an alarm is over: {message}");
        }
    }
}

fn subject(alarm: &Alarm, event: AlarmEvent) -> String {
    let word = match event {
        AlarmEvent::Raised => "告警",
        AlarmEvent::Cleared => "告警解除",
    };
    format!("【接诉{word}】{}：{}", alarm.kind.chinese(), alarm.subject)
}

fn text(alarm: &Alarm, event: AlarmEvent) -> String {
    let zone = crate::issue::hotline_zone();
    let at = match event {
        AlarmEvent::Raised => alarm.since,
        AlarmEvent::Cleared => alarm.cleared_at.unwrap_or(alarm.last_seen_at),
    };
    let at = zone.to_datetime(at).strftime("%Y-%m-%d %H:%M");
    format!("{}\n{}\n{}\n{at}\n编号 {}", subject(alarm, event), alarm.message_zh, alarm.message, alarm.id)
}

fn body(form: WebhookForm, office: &str, alarm: &Alarm, event: AlarmEvent) -> Value {
    match form {
        WebhookForm::Json => json!({
            "event": event.as_str(), "office": office, "alarm": alarm, "kind_zh": alarm.kind.chinese(),
        }),
        WebhookForm::Robot => json!({ "msgtype": "text", "text": { "content": text(alarm, event) } }),
        WebhookForm::Feishu => json!({ "msg_type": "text", "content": { "text": text(alarm, event) } }),
    }
}

async fn post(
    http: &Http,
    settings: &config::Webhook,
    office: &str,
    alarm: &Alarm,
    event: AlarmEvent,
) -> Result<(), Fault> {
    let reveal = |secret: &SecretRef| secret.reveal();
    let address = reveal(&settings.address)?;
    let url = Url::parse(address.expose_secret())
        .map_err(|_| Fault::configuration(format!("what {} holds is no address", settings.address)))?;
    let mut request = http.request(Method::POST, url).json(&body(settings.form, office, alarm, event));
    if let Some(token) = &settings.token {
        request = request.bearer_auth(reveal(token)?.expose_secret());
    }
    let answered = http.send(request).await?.success()?;
    // Robots answer 200 whatever happens, and say in their body what did.
    let told: Option<Value> = serde_json::from_slice(&answered.body).ok();
    let field = match settings.form {
        WebhookForm::Feishu => "code",
        WebhookForm::Json | WebhookForm::Robot => "errcode",
    };
    match told.as_ref().and_then(|told| told.get(field)).and_then(Value::as_i64) {
        None | Some(0) => Ok(()),
        // 45009 (WeCom), 130101 (DingTalk) and 11232 (Feishu): asked too often.
        Some(code @ (45_009 | 130_101 | 11_232)) => {
            Err(Fault::new(FaultClass::RateLimited, format!("the robot answered with {field} {code}")))
        }
        Some(code) => Err(Fault::permanent(format!("the robot answered with {field} {code}"))
            .remedy("check the robot's key, its allow-list of addresses and its keyword; alarms hold the word 告警")),
    }
}
