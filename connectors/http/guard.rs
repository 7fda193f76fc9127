//! Which addresses a connector may reach. A link inside a page, a redirect, or a name whose owner points it elsewhere
//! after it was checked (DNS rebinding) must not lead to the inside of the network that the gateway stands in (SSRF).
//!
//! The rule, and why:
//!
//! - **A name must resolve to public addresses**, also the one that an admin wrote: whoever runs its zone can point it
//!   anywhere, at any time. Names are resolved here, what is not public is dropped, and the connection is made to what
//!   was checked, so that there is no second look-up to lie to.
//! - **An address written as a number in the settings is meant**, so `http://10.1.2.3/` works without more. Nobody can
//!   point it elsewhere. Addresses at which clouds hand out credentials are the exception.
//! - **What an item or an answer names is never meant**: [`super::Http::request_found`] takes public addresses only.
//! - **`allow_private`** of a connector opens networks and names for it, and for no other connector.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::fault::Fault;

/// Entries of one allow-list.
pub const MAX_ALLOWED: usize = 100;

/// What a connector may reach besides public addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    networks: Vec<Network>,
    names: Vec<String>,
}

/// An entry of an allow-list that is neither a network, an address nor a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a network (10.1.0.0/16), an address (10.1.2.3) nor a host name (board.city.lan)")]
pub struct BadReach(String);

impl Reach {
    /// The reach that an allow-list gives: networks, addresses, host names.
    ///
    /// # Errors
    /// The place and the mistake of the first entry that is none of them.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, (usize, BadReach)> {
        let mut reach = Self::default();
        for (index, entry) in entries.iter().map(AsRef::as_ref).enumerate() {
            if let Ok(network) = entry.parse() {
                reach.networks.push(network);
            } else if is_name(entry) {
                reach.names.push(canonical_name(entry));
            } else {
                return Err((index, BadReach(entry.chars().take(80).collect())));
            }
        }
        Ok(reach)
    }

    /// Everything, for the gateway's own doors: its health, the sources of the demonstration.
    pub fn anywhere() -> Self {
        let everything = [(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)];
        Self { networks: everything.map(|(base, bits)| Network { base, bits }).into(), names: Vec::new() }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.holds(address))
    }

    fn allows_name(&self, name: &str) -> bool {
        self.names.contains(&canonical_name(name))
    }

    /// Whether a connection to an address is permitted that a name resolved to.
    fn permits(&self, name: &str, address: IpAddr) -> bool {
        self.allows(address) || is_public(address) || (self.allows_name(name) && !hands_out_credentials(address))
    }

    /// Refuses an address that the settings write as a number and that nobody's source lives at.
    pub(super) fn check_written(&self, url: &Url) -> Result<(), Refused> {
        match literal(url) {
            Some(address) if hands_out_credentials(address) && !self.allows(address) => Err(Refused(address)),
            _ => Ok(()),
        }
    }

    /// Refuses an address that was found, in an item for instance, unless it is public or allowed. Names are looked at
    /// when they are resolved.
    pub(super) fn check_found(&self, url: &Url) -> Result<(), Refused> {
        match literal(url) {
            Some(address) if !self.allows(address) && !is_public(address) => Err(Refused(address)),
            _ => Ok(()),
        }
    }
}

/// The address of a URL that names none. Every form of one (`127.1`, `0x7f000001`) has become the usual one by now.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    (1..=253).contains(&text.len())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

fn canonical_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        match (self.base, unmapped(address)) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - self.bits.min(32);
                u32::from(base).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - self.bits.min(128);
                u128::from(base).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| ())?;
        let widest = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(widest), |bits| bits.parse().map_err(|_| ()))?;
        if bits > widest { Err(()) } else { Ok(Self { base, bits }) }
    }
}

/// An IPv4 address in IPv6 clothes as what it is.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Whether an address is one of the open internet's (IANA special-purpose registries, RFC 6890 and its updates).
fn is_public(address: IpAddr) -> bool {
    if hands_out_credentials(address) {
        return false;
    }
    match unmapped(address) {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !matches!(
        (first, second, third),
        // This network, private use, loopback, multicast and reserved; carriers' shared space; link-local.
        (0 | 10 | 127 | 224..=255, ..) | (100, 64..=127, _) | (169, 254, _)
        // Private use; protocol assignments and documentation; 6to4 relays; benchmarking; documentation.
        | (172, 16..=31, _) | (192, 168, _) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100)
        | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        // NAT64 and 6to4 lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo and other protocol assignments, documentation.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Only this is global unicast: loopback, unique local, link-local, multicast and the rest lie outside.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

/// Whether clouds hand out a machine's credentials at the address; no source of complaints lives there.
fn hands_out_credentials(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(four) => {
            four.is_link_local()
                || [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]].contains(&four.octets())
        }
        IpAddr::V6(six) => six.is_unicast_link_local() || six == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    }
}

/// An address inside, to which no connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address leads to {0}, which is not public")]
pub(super) struct Refused(pub(super) IpAddr);

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        Self::configuration(refused.to_string()).remedy(format!(
            "if the source stands inside your network, add its address or host to the connector's allow_private, such \
             as allow_private = [\"{}\"]; if not, somebody has pointed its name there",
            refused.0
        ))
    }
}

impl Refused {
    /// The refusal that lies at the bottom of an error of the client, where one does.
    pub(super) fn under(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<Self>() {
                return Some(*refused);
            }
            next = error.source();
        }
        None
    }
}

/// Looks names up.
#[async_trait]
pub(super) trait Lookup: Send + Sync + fmt::Debug {
    /// The addresses of a name.
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Debug)]
pub(super) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Resolves names for the client and hands it only what may be reached.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) reach: Arc<Reach>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.lookup.addresses(name.as_str()).await?;
            let first = found.first().copied();
            let permitted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| guard.reach.permits(name.as_str(), *address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            match first {
                Some(address) if permitted.is_empty() => Err(Refused(address).into()),
                _ => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn d03_every_form_of_an_inner_address_is_known() {
        let inner = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.7",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:c0a8:101::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in inner {
            assert!(!is_public(address(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.63.255.255",
            "172.32.0.1",
            "223.5.5.5",
            "::ffff:8.8.8.8",
            "2400:3200::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn d03_an_allow_list_opens_what_it_names_and_no_more() {
        let reach = Reach::parse(&["10.1.2.0/24", "fd12::/16", "192.168.7.9", "Board.City.LAN."]).unwrap();
        for (name, text, permitted) in [
            ("a.example", "10.1.2.3", true),
            ("a.example", "::ffff:10.1.2.3", true),
            ("a.example", "10.1.3.3", false),
            ("a.example", "fd12::7", true),
            ("a.example", "fd13::7", false),
            ("a.example", "192.168.7.9", true),
            ("a.example", "192.168.7.8", false),
            ("board.city.lan", "10.9.9.9", true),
            ("board.city.lan", "169.254.169.254", false),
            ("other.city.lan", "10.9.9.9", false),
            ("a.example", "223.5.5.5", true),
        ] {
            assert_eq!(reach.permits(name, address(text)), permitted, "{name} at {text}");
        }
        for bad in ["10.0.0.0/33", "10.0.0", "http://x/", "", "a b", "::/129", "*.lan"] {
            assert!(Reach::parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn d03_a_number_in_the_settings_is_meant_and_one_in_an_item_is_not() {
        let reach = Reach::default();
        let url = |text: &str| Url::parse(text).unwrap();
        for (text, written, found) in [
            ("http://10.1.2.3/", true, false),
            ("http://127.1/", true, false),
            ("http://0x7f000001/", true, false),
            ("http://2130706433:80/", true, false),
            ("http://[::ffff:127.0.0.1]/", true, false),
            ("http://169.254.169.254/latest/", false, false),
            ("http://[fd00:ec2::254]/", false, false),
            ("http://223.5.5.5/", true, true),
            ("http://board.example/", true, true),
        ] {
            assert_eq!(reach.check_written(&url(text)).is_ok(), written, "{text} in the settings");
            assert_eq!(reach.check_found(&url(text)).is_ok(), found, "{text} in an item");
        }
        assert!(Reach::anywhere().check_found(&url("http://127.0.0.1/")).is_ok());
    }
}
