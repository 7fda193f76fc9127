use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn judged(name: &str, text: &str) -> Result<Config, ConfigErrors> {
    validate(&parse(Path::new(name), text)?)
}

/// Set `UPDATE_FIXTURES=1` to write what is told now as what is expected; read the difference before it is kept.
#[test]
fn every_mistake_of_a_broken_file_is_told_with_its_place() {
    let fixtures = folder().join("fixtures/config");
    let mut seen = 0;
    for entry in fs::read_dir(&fixtures).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix(".toml") else {
            assert!(path.with_extension("toml").exists(), "{name} belongs to no fixture");
            continue;
        };
        seen += 1;
        let told = format!("{}\n", judged(&name, &fs::read_to_string(&path).unwrap()).expect_err(stem));
        assert!(!told.contains("4711") && !told.contains("geheim"), "{name} repeats a secret:\n{told}");
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&golden, &told).unwrap();
        }
        assert_eq!(told, fs::read_to_string(&golden).expect("expectation"), "{name}");
    }
    assert!(seen >= 7, "only {seen} fixtures found");
}

fn example() -> String {
    fs::read_to_string(folder().join("jiesu.example.toml")).unwrap()
}

#[test]
fn the_example_holds_the_defaults() {
    let draft = parse(Path::new("jiesu.toml"), &example()).expect("TOML");
    assert_eq!(validate(&draft).expect("sound"), Config::default().anchored(Path::new("")));
}

#[test]
fn what_the_example_leaves_commented_out_is_sound_as_well() {
    let mut settings = String::new();
    for line in example().lines() {
        // A comment is prose unless it starts like TOML.
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let names_value = bare
            .split_once(" = ")
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || "_.".contains(c)));
        settings.push_str(if names_value || bare.starts_with('[') { bare } else { "" });
        settings.push('\n');
    }
    let settings = settings.replace("sqlite:jiesu.db", "postgres://jiesu@localhost/jiesu");
    let config = judged("jiesu.toml", &settings).expect("sound");
    let shown: BTreeSet<&str> = config.connectors.iter().map(|connector| connector.adapter.as_str()).collect();
    assert_eq!((shown.len(), config.http.tokens.len()), (connectors::registry::AdapterKind::ALL.len(), 1));
    let spoken: ConnectorDefinition = serde_json::from_value(serde_json::json!({
        "name": "call-centre", "channel": "phone", "adapter": "inlet", "settings": config.connectors[0].settings,
    }))
    .unwrap();
    assert_eq!(config.connectors[0], spoken, "the example shows the connectors' defaults");
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(judged("jiesu.toml", "").unwrap(), Config::default());
}

/// Every field, as a dotted name.
fn fields(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    let Some(table) = value.as_object() else { return };
    for (name, value) in table {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if name == "connector.settings" || name.ends_with(".secret") || name == "seal.keys" || !value.is_object() {
            found.insert(name);
        } else {
            fields(value, &name, found);
        }
    }
}

#[test]
fn the_documentation_names_every_field_and_no_other() {
    let mut config = judged(
        "jiesu.toml",
        "store.url = 'postgres://u@h/d'\nstore.password.env = 'P'\nnotices.through = 'a'\ncalendar.extra = 'e'\nhttp.tls = { certificate = 'c', key = 'k' }\nscreening.rules = 'r'
screening.places = 'p'
screening.subjects = 's'
screening.units = 'u'
issue.words = 'w'
[[connector]]\nname = 'a'\nchannel = 'phone'\nadapter = 'inlet'\nallow_private = ['10.0.0.0/8']\nsilence_hours = 48\nquiet_before = '2026-01-01'\nreconcile = false\nsettings.secrets = [{ env = 'S' }]",
    )
    .expect("sound");
    let mut expected = BTreeSet::from(["http.token".to_owned(), "store.password".to_owned()]);
    for field in ["name", "scopes", "secret"] {
        expected.insert(format!("http.token.{field}"));
    }
    let definition = serde_json::to_value(config.connectors.remove(0)).unwrap();
    config.store.password = None;
    fields(&serde_json::to_value(&config).unwrap(), "", &mut expected);
    fields(&serde_json::json!({ "connector": definition }), "", &mut expected);
    expected.remove("http.token");
    let page = fs::read_to_string(folder().join("docs/configuration.md")).unwrap();
    let mut section = String::new();
    let mut named = BTreeSet::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## `[") {
            section = heading.trim_matches(['[', ']', '`']).split(']').next().unwrap_or_default().to_owned();
        }
        if let Some(field) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            named.insert(format!("{section}.{field}"));
        }
    }
    assert_eq!(named, expected);
}

#[test]
fn a_definition_survives_the_database() {
    let text = r#"{"name":"call-centre","channel":"phone","adapter":"inlet","enabled":false,"every_seconds":30,"timeout_seconds":20,
        "per_minute":10,"burst":2,"notify":false,"settings":{"secrets":[{"env":"S"}],"depth":{"list":[1,-2.5,null,true,"字"]}}}"#;
    let definition: ConnectorDefinition = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&definition).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    let again: ConnectorDefinition = serde_json::from_str(&serde_json::to_string(&definition).unwrap()).unwrap();
    assert_eq!(again, definition);
}

#[test]
fn a_definition_alone_tells_its_mistakes() {
    let definition: ConnectorDefinition = serde_json::from_value(serde_json::json!({
        "name": "a", "channel": "phone", "adapter": "inlet", "burst": 0, "settings": {"secret": []},
    }))
    .unwrap();
    let places: Vec<String> = definition.mistakes().into_iter().map(|mistake| mistake.pointer).collect();
    assert!(places.contains(&"/burst".to_owned()) && places.contains(&"/settings/secret".to_owned()), "{places:?}");
    assert!(matches!(definition.adapter().err(), Some(DefinitionError::Settings { .. })));
    let unknown = ConnectorDefinition { adapter: "telex".to_owned(), ..definition };
    let error = unknown.adapter().err().expect("there is none").to_string();
    assert!(error.starts_with("connector a: there is no adapter \"telex\"; expected one of `"), "{error}");
}

#[test]
fn relative_paths_start_from_the_folder_of_the_file() {
    let text = "calendar.extra = 'days.tsv'\nscreening.rules = '/etc/rules.toml'\n[[connector]]\nname = 'a'\nchannel = 'phone'\nadapter = 'inlet'\n[connector.settings]\nsecrets = [{ file = 'key' }, { env = 'KEY' }]
[[connector]]\nname = 'b'\nchannel = 'letter'\nadapter = 'files'\nsettings.folder = 'letters'";
    let config = validate(&parse(Path::new("/srv/jiesu/jiesu.toml"), text).unwrap()).unwrap();
    assert_eq!(config.store.url, "sqlite:/srv/jiesu/jiesu.db");
    assert_eq!(config.seal.keys.to_string(), "file /srv/jiesu/jiesu.keys");
    assert_eq!(config.calendar.extra, Some(PathBuf::from("/srv/jiesu/days.tsv")));
    assert_eq!(config.screening.rules, Some(PathBuf::from("/etc/rules.toml")));
    assert_eq!(
        config.connectors[0].settings["secrets"],
        serde_json::json!([{ "file": "/srv/jiesu/key" }, { "env": "KEY" }])
    );
    assert_eq!(config.connectors[1].settings["folder"], "/srv/jiesu/letters");
    for (url, expected) in [
        ("sqlite::memory:", "sqlite::memory:"),
        ("sqlite://a.db?mode=ro", "sqlite:/srv/a.db?mode=ro"),
        ("sqlite:///var/a.db", "sqlite:/var/a.db"),
        ("postgres://h/d", "postgres://h/d"),
    ] {
        assert_eq!(sections::anchored_url(url, Path::new("/srv")), expected);
    }
}

#[test]
fn what_a_sound_file_names_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let file = folder.path().join("jiesu.toml");
    write("jiesu.toml", "store.url = 'sqlite:none/jiesu.db'\ncalendar.extra = 'days.tsv'\n
[[http.token]]\nname = 'a'\nscopes = ['read']\nsecret.file = 'long'\n[[http.token]]\nname = 'b'\nscopes = ['read']\nsecret.file = 'again'
[[http.token]]\nname = 'c'\nscopes = ['read']\nsecret.file = 'short'
[[connector]]\nname = 'on'\nchannel = 'phone'\nadapter = 'inlet'\nsettings.secrets = [{ file = 'absent' }]
[[connector]]\nname = 'off'\nchannel = 'phone'\nadapter = 'inlet'\nenabled = false\nsettings.secrets = [{ file = 'absent' }]
[[connector]]\nname = 'bad'\nchannel = 'phone'\nadapter = 'inlet'\nsettings.secrets = [{ file = 'short' }]");
    write("long", "0123456789abcdef0123456789abcdef\n");
    write("again", "0123456789abcdef0123456789abcdef");
    write("short", "geheim");
    let report = check_report(&file);
    let told = report.to_string().replace(&format!("{}/", folder.path().display()), "");
    assert!(!report.passed() && report.config.is_some());
    let lines: Vec<&str> = told.lines().collect();
    let starts = [
        "jiesu.toml:1:1: seal.keys: the secret file jiesu.keys cannot be read",
        "jiesu.toml:1:7: store.url: there is no folder none",
        "jiesu.toml:2:10: calendar.extra: days.tsv cannot be read",
        "jiesu.toml:11:1: http.token #2.secret: another token has the same secret",
        "jiesu.toml:15:1: http.token #3.secret: the token is shorter than 16 characters",
        "jiesu.toml:20:21: connector on: settings.secrets #1: the secret file absent cannot be read",
        "jiesu.toml:27:1: connector bad: ",
        "jiesu.toml: 有误 / mistakes: 7",
    ];
    assert_eq!(lines.len(), starts.len(), "{told}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nshould start with\n{start}");
    }
    assert!(!told.contains("geheim"), "{told}");
}

#[test]
fn a_sound_file_passes_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jiesu.toml");
    fs::write(&file, "").unwrap();
    fs::write(folder.path().join("jiesu.keys"), "anything").unwrap();
    let report = check_report(&file);
    assert!(report.passed(), "{report}");
    assert_eq!(report.config, load(&file).ok());
    assert!(report.to_string().ends_with("sound: 0 connectors, 0 enabled\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jiesu.toml");
    let told = load(&file).unwrap_err().to_string();
    assert!(told.contains("jiesu.toml: cannot be read: ") && told.contains("jiesu.example.toml"), "{told}");
    fs::write(&file, b"[office]\nname = \"\xb1\xb1\"\n").unwrap();
    let told = load(&file).unwrap_err().to_string();
    assert!(told.ends_with("jiesu.toml: line 2 is not UTF-8 (save the file as UTF-8)"), "{told}");
}

#[test]
fn a_password_joins_the_address_only_on_its_way_out() {
    use secrecy::ExposeSecret as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "p@ss word/\n").unwrap();
    let password = connectors::secret::SecretRef::File(path);
    let store =
        Store { url: "postgres://jiesu@localhost/jiesu".to_owned(), password: Some(password), ..Store::default() };
    assert_eq!(store.address().unwrap().expose_secret(), "postgres://jiesu:p%40ss%20word%2F@localhost/jiesu");
    assert_eq!(Store::default().address().unwrap().expose_secret(), "sqlite:jiesu.db");
}
