//! The duty desk: told by the robots of `WeCom`, `DingTalk` and Feishu in their own forms, and by mail.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum::{Json, Router, http::StatusCode, routing::post};
use connectors::complaint::Machine;
use jiesu::store::Dialect;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    harness::{Gateway, Holdings as _, Site, board, eventually},
    services::Mailbox,
    spine::{Office, read_mail},
};

/// A board that refuses logins until it is told otherwise, and a robot that keeps what it is sent.
struct City {
    base: String,
    refuses: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Value>>>,
    _server: JoinSet<()>,
}

impl City {
    /// The robot answers everything with `answer`, and with 200, as robots do.
    async fn new(answer: Value) -> Self {
        let (refuses, sent) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<Value>>>::default());
        let (refusing, sending) = (refuses.clone(), sent.clone());
        let board = move || {
            let refuses = refusing.load(Ordering::Relaxed);
            let list = Json(json!({ "result": "success", "responseData": [] }));
            async move { if refuses { Err(StatusCode::UNAUTHORIZED) } else { Ok(list) } }
        };
        let robot = move |Json(message): Json<Value>| {
            sending.lock().unwrap().push(message);
            let answer = answer.clone();
            async { Json(answer) }
        };
        let router = Router::new().route("/threads/queryThreadsList", post(board)).route("/robot", post(robot));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, refuses, sent, _server: server }
    }

    fn sent(&self) -> Vec<Value> {
        self.sent.lock().unwrap().clone()
    }

    async fn gateway(&self, form: &str) -> (Site, Gateway) {
        let site = Site::new(Dialect::Sqlite).await;
        std::fs::write(site.file().with_file_name("robot"), format!("{}robot?key=GEHEIM", self.base)).unwrap();
        let desk = format!(
            "[alarms]\nlook_seconds = 1\nwebhook = {{ address = {{ file = \"robot\" }}, form = \"{form}\" }}\n"
        );
        site.configure(&format!("{desk}{}", board("people-net", &self.base)));
        let gateway = site.start().await;
        (site, gateway)
    }
}

/// What a robot shows: its text stands elsewhere in each form.
fn shown<'a>(message: &'a Value, form: &str) -> &'a str {
    let (kind, text) = match form {
        "feishu" => (&message["msg_type"], &message["content"]["text"]),
        _ => (&message["msgtype"], &message["text"]["content"]),
    };
    assert_eq!(kind, "text", "{message}");
    text.as_str().unwrap_or_else(|| panic!("{message}"))
}

async fn a_robot_tells(form: &str, answer: Value) {
    let city = City::new(answer).await;
    let (site, gateway) = city.gateway(form).await;
    let message = async |number: usize| eventually(form, async || city.sent().get(number).cloned()).await;
    let raised = message(0).await;
    let text = shown(&raised, form);
    for part in ["【接诉告警】", "people-net", "401", "jiesu connector test people-net", "编号 "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    city.refuses.store(false, Ordering::Relaxed);
    site.store().await.run_now("people-net").await;
    let cleared = message(1).await;
    assert!(shown(&cleared, form).contains("【接诉告警解除】"), "{cleared}");
    gateway.stop().await;
    assert_eq!(city.sent().len(), 2, "each is told once: {:?}", city.sent());
}

#[tokio::test]
async fn the_robots_of_wecom_and_dingtalk_tell_an_alarm_and_its_end() {
    a_robot_tells("robot", json!({ "errcode": 0, "errmsg": "ok" })).await;
}

#[tokio::test]
async fn the_robot_of_feishu_tells_an_alarm_and_its_end() {
    a_robot_tells("feishu", json!({ "code": 0, "msg": "success", "data": {} })).await;
}

#[tokio::test]
async fn a_robot_that_refuses_with_200_is_not_taken_to_have_told_anybody() {
    // DingTalk: the keyword is missing; Feishu: the same.
    for (form, answer, code) in [
        ("robot", json!({ "errcode": 310_000, "errmsg": "keywords not in content" }), "310000"),
        ("feishu", json!({ "code": 19_024, "msg": "Key Words Not Found" }), "19024"),
    ] {
        let city = City::new(answer).await;
        let (_site, gateway) = city.gateway(form).await;
        let told = async || {
            let log = gateway.log();
            let line = log.lines().find(|line| line.contains("an alarm was not told"))?.to_owned();
            Some(line)
        };
        let line = eventually("the refusal is told", told).await;
        assert!(line.contains(code), "{line}");
        assert!(!gateway.log().contains("GEHEIM"), "the robot's key is a secret");
        gateway.stop().await;
        assert_eq!(city.sent().len(), 1, "what will not be taken is not sent again");
    }
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn the_duty_desk_is_told_by_mail() {
    let city = City::new(Value::Null).await;
    let desk = Mailbox::new("duty-desk");
    let tell = format!(
        "[alarms]\nlook_seconds = 1\nmail = {{ through = \"mail\", to = \"{}@liaoyang.example\" }}\n{}",
        desk.user,
        board("people-net", &city.base)
    );
    let office = Office::new(Dialect::Sqlite, "desk-office", &tell).await;
    let gateway = office.site.start().await;
    let mail = async |number: usize| {
        let raw = eventually("the desk is told", async || desk.delivered_in_order().get(number).cloned()).await;
        read_mail(&raw)
    };
    let raised = mail(0).await;
    let subject = raised.subject.unwrap();
    assert!(subject.contains("【接诉告警】") && subject.contains("people-net"), "{subject}");
    assert!(raised.body.contains("401") && raised.body.contains("jiesu connector test people-net"), "{}", raised.body);
    assert_eq!(raised.thread.machine.unwrap().0, Machine::AutoReply, "a machine wrote it, and says so");
    city.refuses.store(false, Ordering::Relaxed);
    office.site.store().await.run_now("people-net").await;
    let cleared = mail(1).await;
    assert!(cleared.subject.unwrap().contains("【接诉告警解除】"));
    gateway.stop().await;
    assert_eq!(desk.delivered_in_order().len(), 2);
}
