//! A form made of an adapter's settings schema (JSON Schema): a field for each setting, and back again. What has no form of its
//! own (a mapping, a request) is edited as JSON. A secret goes in and never comes out.

use connectors::{contract::Mistake, registry::AdapterKind};
use serde_json::{Map, Value};

use super::settings::setting;
use crate::console::{access::Form, words::Lang};

/// Tables in tables that are taken apart; what lies deeper is JSON.
const DEPTH: usize = 2;
/// Fields of a form.
const MAX_FIELDS: usize = 200;

/// What is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line of text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// One of several words.
    Choice,
    /// A list of texts, one a line.
    Lines,
    /// A secret.
    Secret,
    /// A list of secrets.
    Secrets,
    /// Anything else.
    Json,
}

/// A field of the form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// JSON pointer below the settings; the field's name.
    pub(super) pointer: String,
    pub(super) kind: Kind,
    /// What it is called.
    pub(super) label: String,
    /// What it means.
    pub(super) hint: String,
    /// What stands in it; never a secret.
    pub(super) value: String,
    /// Words to choose from, each with its meaning.
    pub(super) choices: Vec<(String, String)>,
    /// Whether it must be filled in.
    pub(super) required: bool,
    /// Whether the table that it stands in cannot do without it.
    pub(super) owed: bool,
    /// Of a secret: whether one is set.
    pub(super) set: bool,
    /// What is wrong with it.
    pub(super) wrong: Vec<String>,
}

impl Field {
    /// An id for the page.
    pub(super) fn id(&self) -> String {
        format!("f{}", self.pointer.replace('/', "-"))
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        matches!(
            (self.kind, kind),
            (Kind::Text, "text")
                | (Kind::Number, "number")
                | (Kind::Flag, "flag")
                | (Kind::Choice, "choice")
                | (Kind::Lines, "lines")
                | (Kind::Secret | Kind::Secrets, "secret")
                | (Kind::Json, "json")
        )
    }
}

/// The fields of an adapter's schema, filled with settings.
pub(super) fn fields(adapter: AdapterKind, settings: &Value, lang: Lang) -> Vec<Field> {
    let schema = adapter.info().schema.to_value();
    let mut fields = Vec::new();
    collect(&schema, &schema, settings, "", true, 0, lang, &mut fields);
    fields.truncate(MAX_FIELDS);
    if lang == Lang::Zh {
        for field in &mut fields {
            say_in_chinese(adapter, field);
        }
    }
    fields
}

/// The schema is in English.
fn say_in_chinese(adapter: AdapterKind, field: &mut Field) {
    let Some(setting) = setting(adapter, &field.pointer) else { return };
    field.label.clone_from(&setting.title);
    field.hint.clone_from(&setting.hint);
    for (word, about) in &mut field.choices {
        if let Some(chinese) = setting.choice(word) {
            chinese.clone_into(about);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of a walk over two trees")]
fn collect(
    root: &Value,
    table: &Value,
    settings: &Value,
    prefix: &str,
    needed: bool,
    depth: usize,
    lang: Lang,
    fields: &mut Vec<Field>,
) {
    let Some(properties) = table.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> =
        table.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_by_key(|name| !required.contains(&name.as_str()));
    for name in names {
        let property = &properties[name];
        let pointer = format!("{prefix}/{name}");
        let (plain, optional) = resolved(root, property);
        let kind = kind(root, plain);
        if kind == Kind::Json && plain.get("properties").is_some() && depth < DEPTH && is_simple(root, plain) {
            let inner = needed && !optional && required.contains(&name.as_str());
            collect(root, plain, settings, &pointer, inner, depth + 1, lang, fields);
            continue;
        }
        let at = settings.pointer(&pointer).or_else(|| property.get("default")).unwrap_or(&Value::Null);
        let described = property.get("description").or_else(|| plain.get("description")).and_then(Value::as_str);
        let group = prefix.rsplit('/').next().filter(|group| !group.is_empty());
        let called = lang.within("field", name).unwrap_or(name).to_owned();
        fields.push(Field {
            kind,
            label: match group {
                Some(group) => format!("{} · {called}", lang.within("field", group).unwrap_or(group)),
                None => called,
            },
            hint: lang
                .within("field_about", name)
                .map_or_else(|| described.unwrap_or_default().to_owned(), str::to_owned),
            value: shown(kind, at),
            choices: choices(plain),
            required: needed && required.contains(&name.as_str()),
            owed: required.contains(&name.as_str()),
            set: matches!(kind, Kind::Secret | Kind::Secrets)
                && !at.is_null()
                && at.as_array().is_none_or(|all| !all.is_empty()),
            wrong: Vec::new(),
            pointer,
        });
    }
}

/// What a property refers to, and whether it may be missing.
fn resolved<'v>(root: &'v Value, property: &'v Value) -> (&'v Value, bool) {
    let mut optional = false;
    let mut plain = property;
    if let Some(any) = property.get("anyOf").and_then(Value::as_array) {
        optional = any.iter().any(|one| one["type"] == "null");
        if let Some(one) = any.iter().find(|one| one["type"] != "null") {
            plain = one;
        }
    }
    (referred(root, plain), optional)
}

fn referred<'v>(root: &'v Value, value: &'v Value) -> &'v Value {
    let reference = value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(value)
}

fn is_secret(root: &Value, value: &Value) -> bool {
    let plain = referred(root, value);
    let forms = plain.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let has = |name: &str| forms.iter().any(|form| form["properties"].get(name).is_some());
    has("env") && has("file")
}

/// Whether a table is made of fields that have forms of their own, for the most part.
fn is_simple(root: &Value, table: &Value) -> bool {
    let Some(properties) = table.get("properties").and_then(Value::as_object) else { return false };
    let complex = properties.values().filter(|property| kind(root, resolved(root, property).0) == Kind::Json).count();
    complex * 3 <= properties.len()
}

fn kind(root: &Value, plain: &Value) -> Kind {
    let types: Vec<&str> = match &plain["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    };
    if is_secret(root, plain) {
        return Kind::Secret;
    }
    if !choices(plain).is_empty() {
        return Kind::Choice;
    }
    match types.as_slice() {
        ["string"] => Kind::Text,
        ["integer"] => Kind::Number,
        ["boolean"] => Kind::Flag,
        ["array"] if is_secret(root, &plain["items"]) => Kind::Secrets,
        ["array"] if plain["items"]["type"] == "string" => Kind::Lines,
        _ => Kind::Json,
    }
}

fn choices(plain: &Value) -> Vec<(String, String)> {
    if let Some(words) = plain.get("enum").and_then(Value::as_array) {
        return words.iter().filter_map(Value::as_str).map(|word| (word.to_owned(), String::new())).collect();
    }
    let forms = plain.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let word = |form: &Value| {
        let about = form.get("description").and_then(Value::as_str).unwrap_or_default();
        Some((form.get("const")?.as_str()?.to_owned(), about.to_owned()))
    };
    let words: Vec<_> = forms.iter().filter_map(word).collect();
    if words.len() == forms.len() { words } else { Vec::new() }
}

fn shown(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Secret | Kind::Secrets, _) | (_, Value::Null) => String::new(),
        (Kind::Lines, Value::Array(lines)) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        (Kind::Json, _) => serde_json::to_string_pretty(&bare(value)).unwrap_or_default(),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

/// A value without members that say nothing, as a person would write it.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let nothing = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let told = table.iter().filter(|(_, value)| !nothing(value));
            Value::Object(told.map(|(name, value)| (name.clone(), bare(value))).collect())
        }
        other => other.clone(),
    }
}

/// What was filled in.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// The settings; where a new secret was given, a reference by `plan` stands.
    pub(super) settings: Value,
    /// New secrets, by the pointer of the reference that stands for them.
    pub(super) secrets: Vec<(String, String)>,
    /// What could not be read.
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads a form of these fields over the settings that were there; `plan` makes the reference to a new secret.
pub(super) fn read(fields: &[Field], before: &Value, form: &Form, plan: impl Fn(&str) -> Value) -> Filled {
    let mut filled = Filled { settings: before.clone(), ..Filled::default() };
    if !filled.settings.is_object() {
        filled.settings = Value::Object(Map::new());
    }
    for field in fields {
        let (given, pointer) = (form.raw(&field.pointer), field.pointer.as_str());
        let text = given.trim();
        let value = match field.kind {
            Kind::Secret if given.is_empty() => before.pointer(pointer).filter(|value| !value.is_null()).cloned(),
            Kind::Secret => {
                filled.secrets.push((pointer.to_owned(), given.to_owned()));
                Some(plan(pointer))
            }
            Kind::Secrets => {
                let keep = !form.has(&format!("{pointer}.only"));
                let mut all =
                    before.pointer(pointer).and_then(Value::as_array).filter(|_| keep).cloned().unwrap_or_default();
                if !given.is_empty() {
                    filled.secrets.push((pointer.to_owned(), given.to_owned()));
                    all.push(plan(pointer));
                }
                Some(Value::Array(all))
            }
            Kind::Flag => Some(Value::Bool(!given.is_empty())),
            Kind::Lines => {
                let lines: Vec<Value> =
                    given.lines().map(str::trim).filter(|line| !line.is_empty()).map(Value::from).collect();
                (!lines.is_empty() || before.pointer(pointer).is_some()).then_some(Value::Array(lines))
            }
            _ if text.is_empty() => None,
            Kind::Number => {
                let number = text.parse::<i64>().ok();
                if number.is_none() {
                    let mistake = Mistake::new(format!("/settings{pointer}"), "expected a whole number / 应为整数");
                    filled.mistakes.push(mistake);
                }
                number.map(Value::from)
            }
            Kind::Json => match serde_json::from_str(text) {
                Ok(value) => Some(value),
                Err(error) => {
                    let message = format!("JSON: line {}, column {}", error.line(), error.column());
                    filled.mistakes.push(Mistake::new(format!("/settings{pointer}"), message));
                    None
                }
            },
            Kind::Text | Kind::Choice => Some(text.into()),
        };
        put(&mut filled.settings, pointer, value);
    }
    prune(&mut filled.settings, fields);
    filled
}

/// Puts a value at a pointer, making the tables on the way; takes away what stands there where there is none.
pub(super) fn put(settings: &mut Value, pointer: &str, value: Option<Value>) {
    let mut parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let Some(last) = parts.pop() else { return };
    let mut at = settings;
    for part in parts {
        if !at.get(part).is_some_and(Value::is_object) {
            if value.is_none() {
                return;
            }
            at[part] = Value::Object(Map::new());
        }
        at = &mut at[part];
    }
    let Some(table) = at.as_object_mut() else { return };
    match value {
        Some(value) => {
            table.insert(last.to_owned(), value);
        }
        None => {
            table.remove(last);
        }
    }
}

/// Takes away tables within the settings of which nothing was filled in that they cannot do without.
fn prune(settings: &mut Value, fields: &[Field]) {
    let Some(table) = settings.as_object_mut() else { return };
    table.retain(|name, value| {
        let prefix = format!("/{name}/");
        let mut owed = fields.iter().filter(|field| field.owed && field.pointer.starts_with(&prefix)).peekable();
        let filled =
            |field: &Field| value.pointer(&field.pointer[prefix.len() - 1..]).is_some_and(|value| !value.is_null());
        owed.peek().is_none() || owed.any(filled)
    });
}

/// Writes what is wrong beside the fields that it concerns, and returns what concerns none.
pub(super) fn told(fields: &mut [Field], form: Option<&Form>, mistakes: &[Mistake]) -> Vec<String> {
    if let Some(form) = form {
        for field in fields.iter_mut().filter(|field| !matches!(field.kind, Kind::Secret | Kind::Secrets)) {
            field.value = form.raw(&field.pointer).to_owned();
        }
    }
    let mut others = Vec::new();
    for mistake in mistakes {
        let words = match &mistake.suggestion {
            Some(suggestion) => format!("{} ({suggestion})", mistake.message),
            None => mistake.message.clone(),
        };
        let pointer = mistake.pointer.strip_prefix("/settings").unwrap_or(&mistake.pointer);
        let missing = |field: &Field| {
            let (table, name) = field.pointer.rsplit_once('/').unwrap_or_default();
            table == pointer && mistake.message.starts_with(&format!("`{name}` "))
        };
        let at = fields.iter().position(|field| field.pointer == pointer || missing(field));
        let at = at.or_else(|| {
            let within = |field: &Field| pointer.starts_with(&format!("{}/", field.pointer));
            fields.iter().position(within)
        });
        match at {
            Some(index) => fields[index].wrong.push(words),
            None => others.push(format!("{pointer} {words}")),
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_adapter_has_a_form() {
        for adapter in AdapterKind::ALL {
            let fields = fields(adapter, &json!({}), Lang::Zh);
            assert!(!fields.is_empty(), "{adapter:?}");
            // A portal works as it comes: everything it has may be left as it is.
            assert!(adapter == AdapterKind::Portal || fields.iter().any(|field| field.required), "{adapter:?}");
        }
    }

    #[test]
    fn a_mailbox_is_filled_in_and_its_secret_does_not_come_back() {
        let empty = fields(AdapterKind::Mailbox, &json!({}), Lang::En);
        let kind = |pointer: &str| empty.iter().find(|field| field.pointer == pointer).unwrap().kind;
        assert_eq!(
            ["/host", "/port", "/password", "/idle", "/tls", "/own_addresses", "/smtp/host"].map(kind),
            [Kind::Text, Kind::Number, Kind::Secret, Kind::Flag, Kind::Choice, Kind::Lines, Kind::Text]
        );
        let form = Form(
            [
                ("/host", "imap.example.cn"),
                ("/port", "1993"),
                ("/user", "a@example.cn"),
                ("/password", "geheim"),
                ("/tls", "implicit"),
                ("/own_addresses", "b@example.cn\r\nc@example.cn"),
                ("/smtp/tls", "implicit"),
                ("/smtp/from_name", "12345政务服务便民热线"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        );
        let filled = read(&empty, &json!({}), &form, |pointer| json!({ "file": format!("/secrets{pointer}") }));
        assert_eq!(filled.secrets, [("/password".to_owned(), "geheim".to_owned())]);
        assert!(filled.settings.get("smtp").is_none(), "nothing was filled in there: {}", filled.settings);
        assert_eq!(filled.settings["own_addresses"], json!(["b@example.cn", "c@example.cn"]));
        assert_eq!(filled.settings["port"], 1993);
        assert!(AdapterKind::Mailbox.mistakes(&filled.settings).is_empty(), "{:?}", filled.settings);

        let again = fields(AdapterKind::Mailbox, &filled.settings, Lang::En);
        let secret = again.iter().find(|field| field.pointer == "/password").unwrap();
        assert!(secret.set && secret.value.is_empty());
        let kept =
            read(&again, &filled.settings, &Form(vec![("/host".to_owned(), "other.cn".to_owned())]), |_| json!(1));
        assert_eq!(
            kept.settings["password"],
            json!({ "file": "/secrets/password" }),
            "an empty secret keeps the old one"
        );
    }

    #[test]
    fn mistakes_stand_beside_their_fields() {
        let mut empty = fields(AdapterKind::Mailbox, &json!({}), Lang::En);
        let mistakes: Vec<Mistake> = AdapterKind::Mailbox
            .mistakes(&json!({ "host": "a", "port": 0, "smtp": { "host": "b" } }))
            .into_iter()
            .map(|mistake| Mistake { pointer: format!("/settings{}", mistake.pointer), ..mistake })
            .collect();
        let others = told(&mut empty, None, &mistakes);
        let wrong: Vec<&str> =
            empty.iter().filter(|field| !field.wrong.is_empty()).map(|field| field.pointer.as_str()).collect();
        assert!(
            wrong.contains(&"/user") && wrong.contains(&"/password") && wrong.contains(&"/smtp/from"),
            "{wrong:?} {others:?}"
        );
    }
}
