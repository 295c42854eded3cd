//! What may be asked though it is not public: `crm.internal`, `crm.internal:8443`, `10.1.2.3:80`, `10.1.0.0/16`, `[fd00::1]:80`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::address::{same_v4, same_v6};

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    what: What,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A host by its name, wherever that leads.
    Host(String),
    /// A network, or one address, by whatever name.
    Net(IpAddr, u32),
}

/// A text that says nothing that could be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAllowable(pub String);

impl fmt::Display for NotAllowable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no host, address or network, such as `crm.internal:8443` or `10.1.0.0/16`", self.0)
    }
}

impl std::error::Error for NotAllowable {}

impl Allowed {
    /// Whether it is about that connection.
    pub(super) fn covers(&self, host: &str, port: u16, ip: IpAddr) -> bool {
        let there = match (&self.what, ip) {
            (What::Host(name), _) => name.eq_ignore_ascii_case(host),
            (What::Net(IpAddr::V4(net), bits), IpAddr::V4(ip)) => same_v4(ip, *net, *bits),
            (What::Net(IpAddr::V6(net), bits), IpAddr::V6(ip)) => same_v6(ip, *net, *bits),
            _ => false,
        };
        there && self.port.is_none_or(|own| own == port)
    }

    /// Whether it may be about that host, whose address is not known.
    pub(super) fn may_cover(&self, host: &str, port: u16) -> bool {
        let there = match &self.what {
            What::Host(name) => name.eq_ignore_ascii_case(host),
            What::Net(..) => true,
        };
        there && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for Allowed {
    type Err = NotAllowable;

    fn from_str(text: &str) -> Result<Allowed, NotAllowable> {
        let wrong = || NotAllowable(text.to_owned());
        if let Some((ip, bits)) = text.split_once('/') {
            let (ip, bits): (IpAddr, u32) =
                (ip.parse().map_err(|_| wrong())?, bits.parse().map_err(|_| wrong())?);
            let most = if ip.is_ipv4() { 32 } else { 128 };
            return match bits <= most {
                true => Ok(Allowed { what: What::Net(ip, bits), port: None }),
                false => Err(wrong()),
            };
        }
        let whole = |ip: IpAddr| What::Net(ip, if ip.is_ipv4() { 32 } else { 128 });
        if let Ok(ip) = text.parse() {
            return Ok(Allowed { what: whole(ip), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(host).parse() {
            return Ok(Allowed { what: whole(ip), port });
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match !host.is_empty() && host.chars().all(is_name) && host.chars().any(|c| c.is_ascii_alphabetic()) {
            true => Ok(Allowed { what: What::Host(host.to_owned()), port }),
            false => Err(wrong()),
        }
    }
}
