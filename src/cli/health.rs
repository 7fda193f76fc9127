//! `jiesu health`: asks the running gateway whether it is well, for containers and cron.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use connectors::http::{Http, HttpLimits, Reach, Unpaced};
use serde_json::json;

use super::{
    Global,
    failure::{Code, Failure},
    open,
    report::Report,
};

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(global: &Global) -> anyhow::Result<Report> {
    let address = reachable(open::config(global)?.http.listen);
    let limits = HttpLimits { connect: PATIENCE, exchange: PATIENCE, redirects: 0, body: 64 * 1024 };
    let http = Http::reaching(limits, Arc::new(Unpaced), Reach::anywhere())?;
    let request = http.request(reqwest::Method::GET, format!("http://{address}/healthz").parse()?);
    let unwell = |message: String| Failure::new(Code::Failed, message).remedy("查看网关日志；未启动时运行 jiesu serve");
    let answered = http
        .send(request)
        .await
        .map_err(|fault| unwell(format!("网关未应答 / the gateway at {address} does not answer: {fault}")))?;
    let status = answered.status.as_u16();
    if !answered.status.is_success() {
        return Err(unwell(format!("网关状态异常 / the gateway at {address} answered {status}")).into());
    }
    Report::of(global.json, &json!({ "address": address, "status": status }), || {
        format!("网关正常 / the gateway at {address} is well")
    })
}

/// An address on which everything is listened to is reached on the machine itself.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
