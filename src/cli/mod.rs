//! The commands of the program. Each answers with a [`Report`] or fails with an error that tells its exit code; nothing
//! else prints. Commands work through the database, so that they work beside a running gateway, which notices.
//!
//! | module | holds |
//! |---|---|
//! | `serve`, `check`, `key`, `health` | running the gateway |
//! | `demo` | the whole gateway at work, with nothing outside |
//! | `connector` | looking at connectors, trying them, switching them |
//! | `account` | who may use the console |
//! | `entry`, `ticket`, `queue`, `trail` | what came in, what became of it, who did what |
//! | `alarm` | what is wrong |
//! | `rules` | what screens and classifies, and putting it in force |
//! | `import`, `assess`, `eval`, `backtest` | files by hand, a verdict without storing anything, and how good verdicts are |
//! | `open`, `failure`, `report`, `table`, `words` | what commands have in common: where they start, how they end, how they speak |

mod account;
mod alarm;
mod assess;
mod backtest;
mod check;
mod connector;
mod demo;
mod entry;
mod eval;
mod eval_daily;
mod eval_matching;
mod failure;
mod health;
mod import;
mod key;
mod notice;
mod open;
mod queue;
mod report;
mod rules;
mod serve;
mod table;
mod ticket;
mod ticket_merge;
mod trail;
mod train;
mod words;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use jiesu::{
    config::{Log, LogFormat},
    telemetry,
};

use self::report::Report;

/// 接诉：12345 热线多渠道接入网关 / the multi-channel ingestion gateway of a city's 12345 hotline
#[derive(Debug, Parser)]
#[command(name = "jiesu", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// 配置文件；缺省依次为 ./jiesu.toml、/etc/jiesu/jiesu.toml / configuration file
    #[arg(long, global = true, env = "JIESU_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// 输出 JSON / answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 运行网关 / run the gateway
    Serve(serve::Arguments),
    /// 检查配置文件 / judge the configuration file
    Check,
    /// 密钥文件 / the key file
    #[command(subcommand)]
    Key(key::Command),
    /// 接入点 / connectors
    #[command(subcommand)]
    Connector(connector::Command),
    /// 来件 / entries
    #[command(subcommand)]
    Entry(entry::Command),
    /// 工单 / tickets
    #[command(subcommand)]
    Ticket(ticket::Command),
    /// 告知 / notices
    #[command(subcommand)]
    Notice(notice::Command),
    /// 中央队列 / the central queue
    #[command(subcommand)]
    Queue(queue::Command),
    /// 告警 / alarms
    #[command(subcommand)]
    Alarm(alarm::Command),
    /// 总账：来件与去向是否相符 / whether every entry ended in exactly one place
    Accounting,
    /// 控制台账户 / accounts of the console
    #[command(subcommand)]
    Account(account::Command),
    /// 审计记录 / the audit trail
    #[command(subcommand)]
    Audit(trail::Command),
    /// 导入文件（eml、mbox、csv、tsv） / take files in by hand
    Import(import::Arguments),
    /// 试判一件，不入库 / the verdict on a text, without storing it
    Assess(assess::Arguments),
    /// 规则：核验、发布、启用、回退 / rules: checking, publishing, putting in force
    #[command(subcommand)]
    Rules(rules::Command),
    /// 用已存来件试规则，看会有什么不同 / what other rules would make of stored entries
    Backtest(backtest::Arguments),
    /// 用标注数据衡量判断 / figures of judgement on labelled data
    #[command(subcommand)]
    Eval(eval::Command),
    /// 用标注数据训练模型 / make a model of labelled texts
    Train(train::Arguments),
    /// 演示：在本机上播放全部渠道，不需要任何外部服务 / play every channel on this machine, with nothing outside
    Demo(demo::Arguments),
    /// 查询运行中的网关是否正常 / ask the running gateway whether it is well
    Health,
}

/// Runs the command that was given.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let as_json = cli.global.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return end(Err(anyhow::Error::new(error).context("the program cannot start its threads")), as_json);
        }
    };
    let ended = runtime.block_on(run(cli));
    // Whatever still runs was told to end; the process does not wait for it.
    runtime.shutdown_background();
    end(ended, as_json)
}

async fn run(cli: Cli) -> anyhow::Result<Report> {
    let Cli { global, command } = cli;
    if !matches!(command, Command::Serve(_)) {
        // What a command has to say it answers; its log only tells what went wrong behind it.
        telemetry::install_log(&Log { format: LogFormat::Text, level: "error".to_owned() })?;
    }
    match command {
        Command::Serve(arguments) => serve::run(&global, &arguments).await,
        Command::Check => check::run(&global),
        Command::Key(command) => key::run(&global, &command),
        Command::Connector(command) => connector::run(&global, command).await,
        Command::Entry(command) => entry::run(&global, command).await,
        Command::Ticket(command) => ticket::run(&global, command).await,
        Command::Notice(command) => notice::run(&global, command).await,
        Command::Queue(command) => queue::run(&global, command).await,
        Command::Alarm(command) => alarm::run(&global, command).await,
        Command::Accounting => trail::accounting(&global).await,
        Command::Account(command) => account::run(&global, command).await,
        Command::Audit(command) => trail::run(&global, command).await,
        Command::Import(arguments) => import::run(&global, arguments).await,
        Command::Assess(arguments) => assess::run(&global, arguments).await,
        Command::Rules(command) => rules::run(&global, command).await,
        Command::Backtest(arguments) => backtest::run(&global, arguments).await,
        Command::Eval(command) => eval::run(&global, command).await,
        Command::Train(arguments) => train::run(&global, &arguments),
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Health => health::run(&global).await,
    }
}

fn end(ended: anyhow::Result<Report>, as_json: bool) -> ExitCode {
    let code = match ended.and_then(|report| Ok(report.write()?)) {
        Ok(code) => code,
        Err(error) => {
            // Where even this cannot be written, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "{}", failure::told(&error, as_json));
            failure::code_of(&error)
        }
    };
    ExitCode::from(code as u8)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{failure::Code, *};

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exit_codes_are_as_documented() {
        let documented = [
            (Code::Done, 0),
            (Code::Failed, 1),
            (Code::Usage, 2),
            (Code::Configuration, 3),
            (Code::Missing, 4),
            (Code::Conflict, 5),
        ];
        for (code, number) in documented {
            assert_eq!(code as u8, number);
        }
    }
}
