//! `jiesu demo`: the whole gateway at work on this machine.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use jiesu::demo::{self, Options, Outside, Stay};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    failure::{Code, Failure},
    open,
    report::Report,
    serve::{Signals, random},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// 播放完毕即退出；结果与预期不符时退出码非零 / end when everything was played; fails where it did not end as expected
    #[arg(long, conflicts_with = "for_seconds")]
    once: bool,
    /// 运行这么多秒后退出 / end after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    for_seconds: Option<u64>,
    /// 数据保存在此文件夹，缺省为用完即删的临时文件夹 / keep the data in this folder
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// 同一来源两件之间的间隔 / milliseconds between two items of one source
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 400)]
    interval: u64,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let stay = match (arguments.once, arguments.for_seconds) {
        (true, _) => Stay::Once,
        (false, Some(seconds)) => Stay::For(Duration::from_secs(seconds)),
        (false, None) => Stay::UntilStopped,
    };
    let options = Options {
        folder: arguments.folder,
        interval: Duration::from_millis(arguments.interval),
        stay,
        ..Options::default()
    };
    let outside = Outside { clock: open::clock(), random: Arc::new(random), unique: Uuid::new_v4 };
    let cancel = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let mut out = io::stdout();
    let playing = demo::play(&options, &outside, &mut out, &cancel);
    let stopping = async {
        signals.next().await;
        cancel.cancel();
        std::future::pending::<std::convert::Infallible>().await
    };
    let outcome = tokio::select! {
        outcome = playing => outcome?,
        never = stopping => match never {},
    };
    // Whoever stops it before its end has not asked for a judgement.
    if outcome.met() || !outcome.whole && !arguments.once {
        return Ok(Report::silent(Code::Done));
    }
    Err(Failure::new(Code::Failed, "演示结果与预期不符 / the demonstration did not end as expected")
        .remedy(outcome.wrong.join("\n"))
        .into())
}
