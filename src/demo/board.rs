//! A message board to read from: 人民网 in its older and its newer forms, 红网 and a city's HTML list, over one set of
//! messages. It misbehaves on demand in the ways in which boards do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows on one page, whatever the request asks for.
pub const PAGE_ROWS: usize = 10;

/// Characters of a body that a list shows while it cuts bodies off.
const CUT_AT: usize = 20;

/// A message on the board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Message {
    /// Number, growing with time.
    pub id: u64,
    /// The board that it stands on.
    pub board: String,
    /// Title.
    pub subject: String,
    /// Text.
    pub body: String,
    /// Who wrote it.
    pub name: String,
    /// Where it happened.
    pub area: String,
    /// The board's label.
    pub label: String,
    /// When it was written, in seconds since 1970.
    pub written: i64,
    /// How far it has come.
    pub state: String,
    /// Official answer.
    pub reply: Option<String>,
    /// Name of an attached file; shifts the rows of the HTML page.
    pub attachment: Option<String>,
}

/// How the board misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// 429, with `Retry-After` in seconds.
    TooManyRequests {
        /// Seconds.
        retry_after: u64,
    },
    /// 403, as a firewall answers.
    Forbidden,
    /// 200 with nothing in it.
    EmptyBody,
    /// 200 with an error in the envelope.
    ErrorEnvelope,
    /// 200 with a firewall's page.
    BlockPage,
    /// Bodies in lists are cut off.
    TruncatedBodies,
    /// 500.
    ServerError,
    /// 404.
    NotFound,
    /// The answer comes late.
    Slow(Duration),
    /// The body ends in the middle.
    BrokenOff,
    /// Fields and elements have other names.
    NewLayout,
    /// The list claims to be empty.
    Emptied,
}

/// Which requests misbehaviour is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// All of them.
    Any,
    /// Lists.
    List,
    /// Messages' own pages.
    Detail,
}

#[derive(Debug, Default)]
struct Inner {
    messages: Vec<Message>,
    planned: VecDeque<(On, Misbehaviour, u32)>,
    lists: u64,
    details: u64,
    old_encoding: bool,
}

/// The board's messages and its control.
#[derive(Debug, Clone, Default)]
pub struct BoardState(Arc<Mutex<Inner>>);

impl BoardState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the messages of a JSON array and says how many they are.
    ///
    /// # Errors
    /// Where the text is not an array of messages.
    pub fn load(&self, messages: &str) -> Result<usize, serde_json::Error> {
        let messages: Vec<Message> = serde_json::from_str(messages)?;
        let count = messages.len();
        for message in messages {
            self.publish(message);
        }
        Ok(count)
    }

    /// Adds a message, or replaces the one with its number.
    pub fn publish(&self, message: Message) {
        let messages = &mut self.inner().messages;
        messages.retain(|known| known.id != message.id);
        messages.push(message);
        messages.sort_by_key(|message| message.id);
    }

    /// Takes a message off the board.
    pub fn withdraw(&self, id: u64) {
        self.inner().messages.retain(|message| message.id != id);
    }

    /// Misbehaves at the next `times` requests, after what was planned before.
    pub fn misbehave(&self, misbehaviour: Misbehaviour, times: u32) {
        self.misbehave_on(On::Any, misbehaviour, times);
    }

    /// Misbehaves at the next `times` requests of one kind.
    pub fn misbehave_on(&self, on: On, misbehaviour: Misbehaviour, times: u32) {
        self.inner().planned.push_back((on, misbehaviour, times));
    }

    /// Ends all misbehaviour.
    pub fn behave(&self) {
        self.inner().planned.clear();
    }

    /// Sends HTML pages in the encoding that calls itself GB2312.
    pub fn speak_gb2312(&self) {
        self.inner().old_encoding = true;
    }

    /// How many lists and how many messages' own pages were asked for.
    pub fn asked(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.lists, inner.details)
    }

    /// The messages' numbers, ascending.
    pub fn ids(&self) -> Vec<u64> {
        self.inner().messages.iter().map(|message| message.id).collect()
    }

    fn next_misbehaviour(&self, detail: bool) -> Option<Misbehaviour> {
        let mut inner = self.inner();
        if detail {
            inner.details += 1;
        } else {
            inner.lists += 1;
        }
        let meant = |on: &On| matches!((on, detail), (On::Any, _) | (On::List, false) | (On::Detail, true));
        let at = inner.planned.iter().position(|(on, _, times)| meant(on) && *times > 0)?;
        let (_, misbehaviour, times) = inner.planned.get_mut(at)?;
        *times -= 1;
        Some(misbehaviour.clone())
    }

    fn board(&self, board: &str) -> Vec<Message> {
        let inner = self.inner();
        let newest_first = inner.messages.iter().rev();
        newest_first.filter(|message| board.is_empty() || message.board == board).cloned().collect()
    }

    fn message(&self, id: Option<u64>) -> Option<Message> {
        self.inner().messages.iter().find(|message| Some(message.id) == id).cloned()
    }
}

/// The board's pages; the caller serves them.
pub fn router(state: BoardState) -> Router {
    Router::new()
        .route("/threads/queryThreadsList", post(people_a_list))
        .route("/pro-dfbbs-front/threads/queryThreadsList", post(people_a_list))
        .route("/v1/threads/list/bw", post(people_b_list))
        .route("/{newest}", get(people_jsonp))
        .route("/v2/threads/search", post(people_c_list))
        .route("/v1/threads/content", post(people_detail))
        .route("/front/msg/list", post(rednet_list))
        .route("/front/msg/detail", get(rednet_detail))
        .route("/fzwp/webCallSearch/search", post(html_list))
        .route("/fzwp/webCallSearch/detail", get(html_detail))
        .layer(middleware::from_fn_with_state(state.clone(), misbehaving))
        .with_state(state)
}

/// How a handler must spoil its answer.
#[derive(Debug, Clone, Copy, Default)]
struct Spoilt {
    cut: bool,
    renamed: bool,
    emptied: bool,
}

async fn misbehaving(State(state): State<BoardState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == "/robots.txt" {
        return next.run(request).await;
    }
    let detail = path.ends_with("/content") || path.ends_with("/detail");
    let html = path.starts_with("/fzwp/");
    let mut spoilt = Spoilt::default();
    match state.next_misbehaviour(detail) {
        None => {}
        Some(Misbehaviour::TooManyRequests { retry_after }) => {
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after.to_string())]).into_response();
        }
        Some(Misbehaviour::Forbidden) => return StatusCode::FORBIDDEN.into_response(),
        Some(Misbehaviour::ServerError) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Misbehaviour::NotFound) => return StatusCode::NOT_FOUND.into_response(),
        Some(Misbehaviour::EmptyBody) => return StatusCode::OK.into_response(),
        Some(Misbehaviour::ErrorEnvelope) => {
            let envelope =
                json!({"code": "SN0006", "msg": "数据格式错误", "result": "fail", "resultDesc": "数据格式错误"});
            return axum::Json(envelope).into_response();
        }
        Some(Misbehaviour::BlockPage) => {
            return page(
                "<html><head><title>安全验证</title></head><body>您的访问过于频繁</body></html>".to_owned(),
                false,
            );
        }
        Some(Misbehaviour::BrokenOff) if html => return page("<html><body><div".to_owned(), false),
        Some(Misbehaviour::BrokenOff) => {
            return page(r#"{"result": "success", "responseData": [{"tid""#.to_owned(), false);
        }
        Some(Misbehaviour::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Misbehaviour::TruncatedBodies) => spoilt.cut = true,
        Some(Misbehaviour::NewLayout) => spoilt.renamed = true,
        Some(Misbehaviour::Emptied) => spoilt.emptied = true,
    }
    request.extensions_mut().insert(spoilt);
    next.run(request).await
}

/// What a request says, wherever it says it: query, form, JSON, or JSON inside a text called `param`.
struct Said(Vec<(String, String)>);

impl Said {
    fn new(query: Option<&str>, body: &[u8]) -> Self {
        let mut said = Vec::new();
        let text = String::from_utf8_lossy(body);
        let mut object = serde_json::from_str::<Value>(&text).ok();
        if let Some(param) = object.as_ref().and_then(|object| object.get("param")?.as_str()) {
            object = serde_json::from_str(param).ok();
        }
        if let Some(Value::Object(fields)) = object {
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            said.extend(fields.into_iter().map(|(name, value)| (name, text(value))));
        }
        for part in [query.unwrap_or_default(), &text] {
            if let Ok(url) = reqwest::Url::parse(&format!("http://localhost/?{part}")) {
                said.extend(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())));
            }
        }
        Self(said)
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name).trim_start_matches("FZ").parse().ok()
    }

    fn page(&self, name: &str) -> usize {
        self.number(name).and_then(|page| usize::try_from(page).ok()).unwrap_or(1).saturating_sub(1)
    }
}

async fn said(request: Request) -> (Said, Spoilt) {
    let spoilt = request.extensions().get::<Spoilt>().copied().unwrap_or_default();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_else(|_| Bytes::new());
    (Said::new(parts.uri.query(), &body), spoilt)
}

fn numbered(messages: Vec<Message>, page: usize, spoilt: Spoilt) -> Vec<Message> {
    if spoilt.emptied {
        return Vec::new();
    }
    messages.into_iter().skip(page * PAGE_ROWS).take(PAGE_ROWS).collect()
}

fn shown_body(message: &Message, spoilt: Spoilt) -> String {
    if spoilt.cut && message.body.chars().count() > CUT_AT {
        return message.body.chars().take(CUT_AT).chain("...".chars()).collect();
    }
    message.body.clone()
}

fn people_row(message: &Message, spoilt: Spoilt) -> Value {
    let id = if spoilt.renamed { "threadId" } else { "tid" };
    let subject = if message.subject.is_empty() { Value::Null } else { json!(message.subject) };
    json!({
        id: message.id, "fid": message.board, "forumName": message.area, "subject": subject,
        "content": shown_body(message, spoilt), "nickName": message.name, "userId": message.id * 7,
        "ip": "192.0.2.*", "dateline": message.written, "domainName": "城建", "typeName": message.label,
        "stateInfo": message.state, "favNum": 0, "answerContent": message.reply,
    })
}

async fn people_a_list(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let last = said.number("lastItem").filter(|last| *last > 0);
    let mut messages = state.board(said.text("fid"));
    messages.retain(|message| last.is_none_or(|last| message.id < last));
    let rows: Vec<Value> = numbered(messages, 0, spoilt).iter().map(|message| people_row(message, spoilt)).collect();
    axum::Json(json!({"result": "success", "resultDesc": "", "responseData": rows})).into_response()
}

async fn people_b_list(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let last = said.number("lastItem").filter(|last| *last > 0);
    let mut messages = state.board(said.text("fid"));
    messages.retain(|message| last.is_none_or(|last| message.id < last));
    let messages = numbered(messages, 0, spoilt);
    let rows: Vec<Value> = messages.iter().map(|message| people_row(message, spoilt)).collect();
    let lowest = messages.last().map_or(0, |message| message.id);
    let place = if spoilt.renamed { "records" } else { "list" };
    axum::Json(json!({"code": "0000", "msg": "成功", "resultData": {"lastItem": lowest, place: rows}})).into_response()
}

/// The newest few of a forum, wrapped in a call.
async fn people_jsonp(State(state): State<BoardState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let spoilt = request.extensions().get::<Spoilt>().copied().unwrap_or_default();
    let Some(forum) = path.strip_prefix("/new_threads_").and_then(|rest| rest.strip_suffix(".jsonp")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let messages = numbered(state.board(forum), 0, spoilt);
    let rows: Vec<Value> = messages.iter().map(|message| people_row(message, spoilt)).collect();
    let script = format!("IndexThreads({});", Value::Array(rows));
    ([(header::CONTENT_TYPE, "application/javascript; charset=utf-8")], script).into_response()
}

async fn people_c_list(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let messages = numbered(state.board(said.text("fid")), said.page("page"), spoilt);
    let rows: Vec<Value> = messages.iter().map(|message| people_row(message, spoilt)).collect();
    let list = if spoilt.renamed { "records" } else { "data" };
    axum::Json(json!({"code": "0000", "msg": "成功", "data": {list: rows}})).into_response()
}

async fn people_detail(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let Some(message) = state.message(said.number("tid")) else {
        return axum::Json(json!({"code": "SN0404", "msg": "该留言不存在"})).into_response();
    };
    let kind = if spoilt.renamed { "kind" } else { "dataType" };
    let mut contents = vec![json!({kind: 1, "content": message.body, "dateline": message.written})];
    contents.extend(message.reply.iter().map(|reply| json!({kind: 4, "content": reply, "organization": "市住建局"})));
    axum::Json(json!({"code": "0000", "msg": "成功", "resultData": {"tid": message.id, "contentList": contents}}))
        .into_response()
}

async fn rednet_list(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let messages = numbered(state.board(said.text("area_id")), said.page("page"), spoilt);
    let rows: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "id": message.id, "area_id": message.board, "title": message.subject, "created_at": moment(message, "%Y-%m-%d %H:%M:%S"),
                "type_name": message.label, "nickname": message.name, "is_reply": u8::from(message.reply.is_some()),
                "click_num": 3,
            })
        })
        .collect();
    axum::Json(json!({"code": 200, "message": "ok", "data": {"data": rows, "total": 1}})).into_response()
}

async fn rednet_detail(State(state): State<BoardState>, request: Request) -> Response {
    let (said, _) = said(request).await;
    let Some(message) = state.message(said.number("id")) else { return StatusCode::NOT_FOUND.into_response() };
    let content = format!("<p>{}</p><p><img src=\"http://localhost/track.gif\"></p>", escaped(&message.body));
    let replies: Vec<Value> = message.reply.iter().map(|reply| json!({"content": reply})).collect();
    axum::Json(json!({"code": 200, "data": {"id": message.id, "content": content, "reply": replies}})).into_response()
}

async fn html_list(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let messages = numbered(state.board(""), said.page("cp"), spoilt);
    let row = |message: &Message| {
        let (id, day) = (message.id, moment(message, "%Y-%m-%d"));
        let title = format!("[{}]{}", escaped(&message.label), escaped(&message.subject));
        let area = escaped(&message.area);
        format!(
            "<tr class=\"call\"><td><a href=\"detail?callId=FZ{id}\">{title}</a></td>\
             <td>{area}</td><td>网站</td><td>{day}</td></tr>\n"
        )
    };
    let mut rows = messages.iter().map(row).collect::<Vec<_>>().concat();
    if rows.is_empty() {
        rows.push_str("<tr><td class=\"none\" colspan=\"4\">暂无诉求</td></tr>");
    }
    let class = if spoilt.renamed { "grid" } else { "callList" };
    let table = format!(
        "<table class=\"{class}\"><tr><th>标题</th><th>区域</th><th>信息来源</th><th>时间</th></tr>\n{rows}</table>"
    );
    page(document(&state, &table), state.inner().old_encoding)
}

async fn html_detail(State(state): State<BoardState>, request: Request) -> Response {
    let (said, spoilt) = said(request).await;
    let Some(message) = state.message(said.number("callId")) else { return StatusCode::NOT_FOUND.into_response() };
    let row = |label: &str, value: &str| format!("<tr><td>{label}：</td><td>{value}</td></tr>\n");
    let mut rows = row("诉求编号", &format!("FZ{}", message.id)) + &row("诉求标题", &escaped(&message.subject));
    if let Some(name) = &message.attachment {
        rows += &row("诉求附件", &format!("<a href=\"file\">{}</a>", escaped(name)));
    }
    rows += &row("诉求内容", &escaped(&message.body));
    rows += &row("事件地点", &escaped(&message.area));
    rows += &row("诉求时间", &moment(&message, "%Y-%m-%d %H:%M"));
    let reply = message.reply.as_deref().unwrap_or_default();
    rows += &row("处理情况", &format!("<table><tr><td>{}</td></tr></table>", escaped(reply)));
    let class = if spoilt.renamed { "box" } else { "callDetail" };
    page(document(&state, &format!("<table class=\"{class}\">{rows}</table>")), state.inner().old_encoding)
}

fn document(state: &BoardState, body: &str) -> String {
    let charset = if state.inner().old_encoding { "gb2312" } else { "utf-8" };
    format!("<html><head><meta charset=\"{charset}\"><title>便民呼叫</title></head><body>{body}</body></html>")
}

fn page(html: String, old_encoding: bool) -> Response {
    let bytes = if old_encoding { encoding_rs::GBK.encode(&html).0.into_owned() } else { html.into_bytes() };
    ([(header::CONTENT_TYPE, "text/html")], bytes).into_response()
}

fn moment(message: &Message, pattern: &str) -> String {
    let at = Timestamp::from_second(message.written).unwrap_or(Timestamp::UNIX_EPOCH);
    let zone = TimeZone::get(connectors::clock::ZONE).unwrap_or(TimeZone::UTC);
    jiff::fmt::strtime::format(pattern, zone.to_datetime(at)).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
