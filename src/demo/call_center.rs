//! A partner that pushes: the call centre after each call, the business-environment platform, the portal. It signs as
//! Standard Webhooks say, sends again what was not answered, and makes the mistakes that partners make.

use std::time::Duration;

use bytes::Bytes;
use connectors::{
    clock::Clock,
    http::{Answered, Http},
    inlet::{self, signature},
};
use reqwest::{Method, StatusCode, Url, header::CONTENT_TYPE};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{corpus::OVERSIZE_DELIVERY, pause};

/// Attempts at one delivery before a partner gives up.
const ATTEMPTS: u32 = 6;

/// Before the second attempt; doubled at each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// How a partner goes wrong with one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// It does not.
    None,
    /// It sends the same delivery again, as if the answer had been lost.
    Twice,
    /// It signs with a key that is not ours.
    BadSignature,
    /// Its body is larger than any form.
    Oversize,
    /// Its body breaks off in the middle.
    Malformed,
}

/// One delivery.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id, the same at every attempt.
    pub id: String,
    /// What is sent.
    pub body: Bytes,
    /// How it goes wrong.
    pub twist: Twist,
}

impl Delivery {
    /// A form as it should be sent.
    pub fn form(connector: &str, form: &Value) -> Self {
        let id = ["/call_id", "/id"].into_iter().find_map(|at| form.pointer(at)?.as_str()).unwrap_or("form");
        Self { id: format!("{connector}-{id}"), body: Bytes::from(form.to_string()), twist: Twist::None }
    }

    /// What the partner has to expect.
    pub fn due(&self) -> StatusCode {
        match self.twist {
            Twist::None | Twist::Twice => StatusCode::OK,
            Twist::BadSignature => StatusCode::UNAUTHORIZED,
            Twist::Oversize => StatusCode::PAYLOAD_TOO_LARGE,
            Twist::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// Makes a sequence of forms a call centre's day: one delivery comes twice, one is badly signed, one is too large, one is
/// malformed; every form is still delivered once as it should be. `over` is the limit that the large body goes over.
pub fn with_mishaps(connector: &str, forms: &[Value], over: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(forms.len() + 3);
    for (index, form) in forms.iter().enumerate() {
        let mut delivery = Delivery::form(connector, form);
        match index {
            2 => delivery.twist = Twist::Twice,
            4 => deliveries.push(Delivery {
                id: format!("{connector}-forged"),
                twist: Twist::BadSignature,
                ..delivery.clone()
            }),
            7 => deliveries.push(Delivery {
                id: format!("{connector}-broken"),
                body: delivery.body.slice(..delivery.body.len() / 2),
                twist: Twist::Malformed,
            }),
            10 => {
                let form = json!({"call_id": "LY-OVERSIZE", "form": {"course": "录".repeat(over)}});
                let body = Bytes::from(form.to_string());
                deliveries.push(Delivery { id: OVERSIZE_DELIVERY.to_owned(), body, twist: Twist::Oversize });
            }
            _ => {}
        }
        deliveries.push(delivery);
    }
    deliveries
}

/// What a partner saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The delivery's id.
    pub id: String,
    /// How it went wrong.
    pub twist: Twist,
    /// Which attempt this was: 2 for the same delivery sent again.
    pub time: u32,
    /// The answer's status; `None` where none came.
    pub status: Option<StatusCode>,
}

impl Answer {
    /// Whether the gateway answered as it should.
    pub fn right(&self, due: StatusCode) -> bool {
        self.status.is_some_and(|status| status == due || (due == StatusCode::OK && status.is_success()))
    }
}

/// One partner.
#[derive(Debug)]
pub struct Partner<'a> {
    /// The way out.
    pub http: &'a Http,
    /// Where deliveries go.
    pub inlet: Url,
    /// The secret shared with the gateway.
    pub secret: &'a SecretString,
    /// Some other secret, for the badly signed delivery.
    pub other_secret: &'a SecretString,
    /// Tells the time of each attempt.
    pub clock: &'a dyn Clock,
    /// Between two deliveries.
    pub interval: Duration,
}

impl Partner<'_> {
    /// Sends the deliveries one after the other, and tells each answer. Ends early when cancelled.
    pub async fn play(
        &self,
        deliveries: &[Delivery],
        cancel: &CancellationToken,
        mut tell: impl FnMut(&Delivery, Answer),
    ) {
        for delivery in deliveries {
            let times = if delivery.twist == Twist::Twice { 2 } else { 1 };
            for time in 1..=times {
                let Some(status) = cancel.run_until_cancelled(self.deliver(delivery, cancel)).await else { return };
                tell(delivery, Answer { id: delivery.id.clone(), twist: delivery.twist, time, status });
            }
            if !pause(self.interval, cancel).await {
                return;
            }
        }
    }

    /// Sends one delivery until it is answered for good; `None` where it never was.
    async fn deliver(&self, delivery: &Delivery, cancel: &CancellationToken) -> Option<StatusCode> {
        let mut wait = FIRST_WAIT;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            last = self.attempt(delivery).await.map(|answered| answered.status);
            let busy = last.is_none_or(|status| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS);
            if !busy || !pause(wait, cancel).await {
                break;
            }
            wait *= 2;
        }
        last
    }

    async fn attempt(&self, delivery: &Delivery) -> Option<Answered> {
        let secret = if delivery.twist == Twist::BadSignature { self.other_secret } else { self.secret };
        let now = self.clock.now();
        let signed = inlet::sign(secret, &delivery.id, now, &delivery.body).ok()?;
        let request = self
            .http
            .request(Method::POST, self.inlet.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(signature::ID, &delivery.id)
            .header(signature::TIMESTAMP, now.as_second().to_string())
            .header(signature::SIGNATURE, signed)
            .body(delivery.body.clone());
        self.http.send(request).await.ok()
    }
}
