//! Ready settings of boards that are in use. They are facts about pages that others own and change, so each may be set
//! otherwise, field by field, and none of them is code.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::PresetInfo;

/// A ready set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// 人民网领导留言板, the older form.
    PeopleA,
    /// 人民网领导留言板, the older form under its newer path.
    PeopleA2,
    /// 人民网领导留言板, JSON with parameters inside a text, by last id; signed.
    PeopleB,
    /// 人民网领导留言板, search and content, by page; signed.
    PeopleC,
    /// 人民网领导留言板, the newest few as JSONP.
    PeopleJsonp,
    /// 民心网 (辽宁).
    Minxin,
    /// 红网百姓呼声.
    Rednet,
    /// 胶东在线.
    Jiaodong,
    /// 福州, 南平 便民呼叫.
    Fuzhou,
    /// 珠海 12345 来信.
    Zhuhai,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 10] = [
        Self::PeopleA,
        Self::PeopleA2,
        Self::PeopleB,
        Self::PeopleC,
        Self::PeopleJsonp,
        Self::Minxin,
        Self::Rednet,
        Self::Jiaodong,
        Self::Fuzhou,
        Self::Zhuhai,
    ];

    /// Name, what it reads, and its settings as text.
    pub fn info(self) -> PresetInfo {
        let (name, about, text) = match self {
            Self::PeopleA => ("people-a", "人民网领导留言板，旧版接口", include_str!("presets/people-a.toml")),
            Self::PeopleA2 => {
                ("people-a2", "人民网领导留言板，旧版接口、新路径", include_str!("presets/people-a2.toml"))
            }
            Self::PeopleB => ("people-b", "人民网领导留言板，签名接口 v1", include_str!("presets/people-b.toml")),
            Self::PeopleC => ("people-c", "人民网领导留言板，签名接口 v2", include_str!("presets/people-c.toml")),
            Self::PeopleJsonp => {
                ("people-jsonp", "人民网领导留言板，最新几条（JSONP）", include_str!("presets/people-jsonp.toml"))
            }
            Self::Minxin => ("minxin", "民心网（辽宁）", include_str!("presets/minxin.toml")),
            Self::Rednet => ("rednet", "红网百姓呼声", include_str!("presets/rednet.toml")),
            Self::Jiaodong => ("jiaodong", "胶东在线", include_str!("presets/jiaodong.toml")),
            Self::Fuzhou => ("fuzhou", "福州、南平便民呼叫", include_str!("presets/fuzhou.toml")),
            Self::Zhuhai => ("zhuhai", "珠海 12345 来信", include_str!("presets/zhuhai.toml")),
        };
        PresetInfo { name, about, text: text.to_owned() }
    }

    fn settings(self) -> Option<Value> {
        toml::from_str(&self.info().text).ok()
    }
}

/// Settings with those of the preset that they name underneath. One that does not exist is left for the reader to tell.
pub(crate) fn expanded(value: &Value) -> Cow<'_, Value> {
    let named = value.get("preset").and_then(|name| Preset::deserialize(name).ok());
    let Some(mut whole) = named.and_then(Preset::settings) else { return Cow::Borrowed(value) };
    overlay(&mut whole, value, "");
    Cow::Owned(whole)
}

/// Lays one value over another: tables field by field, everything else whole.
fn overlay(under: &mut Value, over: &Value, place: &str) {
    let (Value::Object(fields), Value::Object(set)) = (&mut *under, over) else {
        under.clone_from(over);
        return;
    };
    // A choice and a place are one thing each; half of one and half of another are neither.
    let format = |fields: &serde_json::Map<String, Value>| fields.get("format").cloned();
    let other_format = set.contains_key("format") && format(fields) != format(set);
    if place == "/paging" || place.contains("/fields/") || other_format {
        under.clone_from(over);
        return;
    }
    for (name, value) in set {
        match fields.get_mut(name) {
            Some(field) => overlay(field, value, &format!("{place}/{name}")),
            None => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::AdapterKind;

    /// What each preset says is to be set.
    fn set(preset: Preset) -> Value {
        let mut value = json!({ "preset": preset.info().name });
        if matches!(preset, Preset::Minxin | Preset::Jiaodong | Preset::Fuzhou | Preset::Zhuhai) {
            value["base"] = json!("https://board.example.gov.cn/");
        } else {
            value["boards"] = json!(["1234"]);
        }
        if matches!(preset, Preset::PeopleB | Preset::PeopleC) {
            value["secrets"] = json!({ "app_code": { "env": "CODE" }, "token": { "env": "TOKEN" } });
            value["sign"] = json!({ "digest": "sha256", "text": "{path}{param.param}{secret.app_code}" });
        }
        value
    }

    #[test]
    fn every_preset_works_once_what_it_asks_for_is_set_and_says_so_before() {
        for preset in Preset::ALL {
            let name = preset.info().name;
            assert_eq!(serde_json::to_value(preset).unwrap(), name);
            assert_eq!(AdapterKind::Board.mistakes(&set(preset)), [], "{name}");
            assert!(AdapterKind::Board.settings(&set(preset)).is_ok(), "{name}");
            let bare = AdapterKind::Board.mistakes(&json!({ "preset": name }));
            assert!(!bare.is_empty(), "{name} needs something of the city's own");
            assert!(preset.info().text.contains("To be set"), "{name} says what");
        }
        let mistakes = AdapterKind::Board.mistakes(&json!({ "preset": "peeple-a", "base": "http://x/" }));
        assert!(mistakes.iter().any(|mistake| mistake.pointer == "/preset"), "{mistakes:?}");
    }

    #[test]
    fn each_field_of_a_preset_can_be_set_otherwise() {
        let mut value = set(Preset::PeopleA);
        value["page_size"] = json!(5);
        value["paging"] = json!({ "page": { "first": 0 } });
        value["list"] = json!({
            "request": { "form": { "state": "{page}" } },
            "fields": { "body": { "at": "/text", "markup": true } },
        });
        let whole = expanded(&value);
        assert_eq!(whole["page_size"], 5);
        assert_eq!(whole["paging"], json!({ "page": { "first": 0 } }), "a choice is replaced whole");
        assert_eq!(whole["list"]["request"]["form"]["state"], "{page}");
        assert_eq!(whole["list"]["request"]["form"]["fid"], "{board}", "what is not set stays");
        assert_eq!(whole["list"]["fields"]["body"], json!({ "at": "/text", "markup": true }));
        assert_eq!(whole["list"]["fields"]["id"], "/tid");
        assert_eq!(AdapterKind::Board.mistakes(&value), []);
    }
}
