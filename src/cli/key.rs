//! `jiesu key`: makes the key file, without which nothing sealed can ever be read again.

use std::path::PathBuf;

use jiesu::{issue::hotline_zone, seal::Keyring};
use serde_json::json;

use super::{Global, open, report::Report};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 新建密钥文件，不覆盖已有的 / make a key file; an existing one is never overwritten
    New {
        /// 文件 / file
        file: PathBuf,
        /// 密钥编号，缺省为年份加 a / id of the key, as 2026a
        #[arg(long)]
        id: Option<String>,
    },
    /// 换用新密钥封存，旧密钥保留以便读取 / add a key that seals from now on; the old ones still open
    Rotate {
        /// 文件 / file
        file: PathBuf,
        /// 新密钥的编号 / id of the new key, as 2027a
        #[arg(long)]
        id: String,
    },
}

pub(crate) fn run(global: &Global, command: &Command) -> anyhow::Result<Report> {
    let (file, id) = match command {
        Command::New { file, id } => (file, id),
        Command::Rotate { file, id } => {
            Keyring::rotate_file(file, id)?;
            return Report::of(global.json, &json!({ "file": file, "id": id }), || {
                format!(
                    "此后以 {id} 封存；重启网关后生效，并请重新备份 / sealing with {id} after a restart: {}",
                    file.display()
                )
            });
        }
    };
    let id = id.clone().unwrap_or_else(|| format!("{}a", hotline_zone().to_datetime(open::clock().now()).year()));
    Keyring::create_file(file, &id)?;
    Report::of(global.json, &json!({ "file": file, "id": id }), || {
        format!(
            "密钥文件已建立 / key file made: {}（{id}）\n请另存一份备份：丢失它，已封存的内容将永远无法读取。\n\
             Keep a copy apart: without it nothing sealed can ever be read again.",
            file.display()
        )
    })
}
