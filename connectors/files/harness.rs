//! The conformance suite's hand on a watched folder.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use super::Settings;
use crate::{
    conformance::{Applies, Given, Kind, NAME, PHONE, PullHarness, Trouble, pull_conforms},
    contract::Adapter,
};

struct Table {
    home: TempDir,
    files: AtomicU32,
}

impl Table {
    fn folder(&self) -> PathBuf {
        self.home.path().join("in")
    }

    fn away(&self) -> PathBuf {
        self.home.path().join("away")
    }
}

impl PullHarness for Table {
    const ADAPTER: &'static str = "files";

    async fn start() -> Self {
        let table = Self { home: TempDir::new().unwrap(), files: AtomicU32::new(0) };
        std::fs::create_dir(table.folder()).unwrap();
        table
    }

    fn adapter(&self) -> Box<dyn Adapter> {
        Box::new(Settings { settle_seconds: 0, ..Settings::new(self.folder()) })
    }

    async fn put(&self, items: &[Given]) -> Applies {
        let mut text = "编号,姓名,电话,标题,内容,时间\n".to_owned();
        for item in items {
            let more = if item.kind == Kind::Unreadable { ",一格太多" } else { "" };
            let (number, made_at) = (item.number, item.made_at());
            let row = [NAME, PHONE, &item.subject(), &item.body()].join(",");
            writeln!(text, "L-{number},{row},{made_at}{more}").unwrap();
        }
        let file = format!("letters-{:03}.csv", self.files.fetch_add(1, Ordering::Relaxed));
        std::fs::write(self.folder().join(file), text).unwrap();
        Ok(())
    }

    async fn afflict(&self, trouble: Trouble) -> Applies {
        match trouble {
            Trouble::Gone => {
                std::fs::rename(self.folder(), self.away()).unwrap();
                Ok(())
            }
            Trouble::Unreachable => Err("a folder stands on this machine; one that is away is gone"),
            Trouble::Refuses => Err("a folder asks for no login"),
            Trouble::Busy => Err("a folder does not count who looks into it"),
            Trouble::Nonsense => Err("a file in a form that is not read is one item, and goes to quarantine"),
            Trouble::Hangs => Err("only regular files are opened, and they do not keep anybody waiting"),
        }
    }

    async fn mend(&self) {
        std::fs::rename(self.away(), self.folder()).unwrap();
    }
}

#[tokio::test]
async fn files_conform() {
    pull_conforms::<Table>().await;
}
