//! `jiesu account`: accounts of the console from the server, where nobody can log in any more. Passwords never stand on a
//! command line: a one-time link sets them.

use jiesu::{
    console::one_time_path,
    issue::hotline_zone,
    store::{
        accounts::{LinkFor, Role},
        journal::Act,
    },
};
use serde_json::json;

use super::{Global, failure::Failure, open, report::Report, table::Table};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// 全部账户 / every account
    List,
    /// 首位管理员的一次性链接，尚无账户时可用 / a one-time link for the first admin, while there is no account
    First,
    /// 新建账户，并给出设置口令的一次性链接 / make an account, with a one-time link that sets its password
    Add {
        /// 账户名 / name
        name: String,
        /// 角色：viewer、clerk、admin、auditor / role
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// 设置新口令的一次性链接 / a one-time link that sets a new password
    Link {
        /// 账户名 / name
        name: String,
    },
    /// 改变角色，或允许、禁止登录；其会话随即结束 / change role and switch; its sessions end
    Change {
        /// 账户名 / name
        name: String,
        /// 新角色 / new role
        #[arg(long, value_parser = role)]
        role: Option<Role>,
        /// 可否登录 / whether it may log in
        #[arg(long, action = clap::ArgAction::Set, value_name = "true|false")]
        enabled: Option<bool>,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "viewer, clerk, admin, auditor".to_owned())
}

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<Report> {
    let (config, store) = open::store(global).await?;
    let now = open::clock().now();
    let actor = open::actor();
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    let address = super::health::reachable(config.http.listen);
    let link = async |purpose: LinkFor| -> anyhow::Result<Report> {
        let path = one_time_path(&store, &config.console, &purpose, &actor, now).await?;
        let link = format!("{scheme}://{address}{path}");
        let minutes = config.console.link_minutes;
        Report::of(global.json, &json!({ "link": link, "minutes": minutes }), || {
            format!("{link}\n{minutes} 分钟内有效，只能用一次 / works once, within {minutes} minutes")
        })
    };
    match command {
        Command::List => {
            let accounts = store.accounts().await?;
            let mut table = Table::new(&[("账户", 40), ("角色", 8), ("可登录", 8), ("最近登录", 20)]);
            let mut values = Vec::new();
            for account in &accounts {
                let seen =
                    account.seen_at.map(|at| hotline_zone().to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string());
                let may = if account.enabled && account.ready { "是" } else { "否" };
                let role = account.role.as_str();
                table.row([
                    account.name.clone(),
                    role.to_owned(),
                    may.to_owned(),
                    seen.clone().unwrap_or_else(|| "—".to_owned()),
                ]);
                values.push(json!({ "name": account.name, "role": role, "enabled": account.enabled,
                    "password_set": account.ready, "last_login": account.seen_at }));
            }
            Report::of(global.json, &values, || {
                if table.is_empty() { "尚无账户：jiesu account first".to_owned() } else { table.text() }
            })
        }
        Command::First => {
            if store.any_account().await? {
                return Err(Failure::conflict("已有账户 / there is an account already")
                    .remedy("jiesu account link 账户名，或 jiesu account add 账户名 --role admin")
                    .into());
            }
            link(LinkFor::FirstAdmin).await
        }
        Command::Add { name, role } => {
            let plain = |character: char| character.is_alphanumeric() || matches!(character, '.' | '-' | '_');
            if name.is_empty() || name.chars().count() > 40 || !name.chars().all(plain) {
                return Err(Failure::usage("账户名只能用文字、数字、点、横线和下划线，至多 40 个字符").into());
            }
            let act = Act { actor: &actor, action: "account.add", subject: &name, reason: Some(role.as_str()) };
            store.add_account(&name, role, act, now).await?;
            link(LinkFor::Account(name)).await
        }
        Command::Link { name } => link(LinkFor::Account(name)).await,
        Command::Change { name, role, enabled } => {
            let known = store.accounts().await?.into_iter().find(|account| account.name == name);
            let Some(known) = known else {
                return Err(Failure::missing(format!("没有账户 {name} / there is no account {name}"))
                    .remedy("jiesu account list 列出全部")
                    .into());
            };
            let (role, enabled) = (role.unwrap_or(known.role), enabled.unwrap_or(known.enabled));
            let told = format!("{}, {}", role.as_str(), if enabled { "enabled" } else { "disabled" });
            let act = Act { actor: &actor, action: "account.change", subject: &name, reason: Some(&told) };
            store.change_account(&name, role, enabled, act, now).await?;
            Report::of(global.json, &json!({ "name": name, "role": role.as_str(), "enabled": enabled }), || {
                format!("{name}：{told}；其会话已结束 / its sessions ended")
            })
        }
    }
}
