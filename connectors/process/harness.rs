//! The conformance suite's hand on a program: the shell example, which a file beside it makes tell faults or hang.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::Settings;
use crate::{
    conformance::{Applies, Given, Kind, NAME, PHONE, PullCase, PullHarness, Trouble, pull_conforms},
    contract::Adapter,
};

/// Answers as the example does, and with what stands in the file `trouble` as long as there is one.
const PROGRAM: &str = r#"
while IFS= read -r question; do
    case $question in
    *'"ask":"describe"'*) echo '{"protocol":1,"about":"a program in trouble"}' ;;
    *) if [ -e "$2" ]; then . "$2"; else printf '%s\n' "$question" | sh lines.sh "$1"; fi ;;
    esac
done
"#;

struct Lines(TempDir);

impl Lines {
    fn file(&self) -> PathBuf {
        self.0.path().join("records.jsonl")
    }

    fn trouble(&self) -> PathBuf {
        self.0.path().join("trouble")
    }
}

impl PullHarness for Lines {
    const ADAPTER: &'static str = "process";

    async fn start() -> Self {
        let lines = Self(TempDir::new().unwrap());
        std::fs::write(lines.file(), "").unwrap();
        lines
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/process");
        let command = json!(["sh", "-c", PROGRAM, "sh", self.file(), self.trouble()]);
        let settings = json!({
            "command": command, "folder": folder, "env": { "KEY": "canary-key" },
            "mapping": {
                "id": "/id", "name": "/name", "phone": "/phone", "subject": "/title", "body": "/content", "time": "/time",
            },
        });
        Box::new(serde_json::from_value::<Settings>(settings).unwrap())
    }

    async fn put(&self, items: &[Given]) -> Applies {
        let mut text = std::fs::read_to_string(self.file()).unwrap();
        for item in items {
            text += &match item.kind {
                Kind::Unreadable => json!([NAME]),
                _ => json!({
                    "id": item.number, "name": NAME, "phone": PHONE, "title": item.subject(),
                    "content": item.body(), "time": item.made_at(),
                }),
            }
            .to_string();
            text.push('\n');
        }
        std::fs::write(self.file(), text).unwrap();
        Ok(())
    }

    async fn afflict(&self, trouble: Trouble) -> Applies {
        let fault = |class: &str| {
            let remedy = "look at the exchange";
            let fault = json!({ "class": class, "message": "the exchange is not well", "remedy": remedy });
            format!("echo '{}'", json!({ "fault": fault }))
        };
        let script = match trouble {
            Trouble::Unreachable => "exit 1".to_owned(),
            Trouble::Refuses => fault("authentication"),
            Trouble::Busy => {
                let fault = json!({ "class": "rate_limited", "message": "asked too often", "retry_after_seconds": 7 });
                format!("echo '{}'", json!({ "fault": fault }))
            }
            Trouble::Gone => fault("permanent"),
            Trouble::Nonsense => "echo '<html>正在维护</html>'".to_owned(),
            Trouble::Hangs => "sleep 600".to_owned(),
        };
        std::fs::write(self.trouble(), script).unwrap();
        Ok(())
    }

    async fn mend(&self) {
        std::fs::remove_file(self.trouble()).unwrap();
    }

    fn exempt(case: PullCase) -> Option<&'static str> {
        match case {
            PullCase::ForeignCursor => Some("what a cursor means is the program's affair"),
            _ => None,
        }
    }

    fn secrets() -> &'static [&'static str] {
        &["canary-key"]
    }
}

#[tokio::test]
async fn process_conforms() {
    pull_conforms::<Lines>().await;
}
