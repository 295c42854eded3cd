//! Where mail is handed over: one relay, read from a URL such as `smtps://name:secret@mail.example.org`.
//!
//! `smtp://` upgrades with STARTTLS where the relay offers it (never on loopback, where a local postfix shows a
//! certificate nobody signed), `starttls://` demands it, `smtps://` speaks TLS from the first byte.

use std::fmt;
use std::net::IpAddr;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// STARTTLS when the relay offers it; plain otherwise, and always plain on loopback.
    Opportunistic,
    /// STARTTLS or no mail at all.
    StartTls,
    /// TLS before the first line (port 465).
    Implicit,
}

/// Name and password for AUTH. Has no readable `Debug`: a password must not reach a log.
#[derive(Clone, Eq, PartialEq)]
pub struct Login {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

/// The server that takes our mail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relay {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub protection: Protection,
    /// Credentials, if the relay wants them.
    pub login: Option<Login>,
}

/// Why a relay's URL cannot be used. The text never repeats the URL, which may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelayError {
    /// Neither `smtp://`, `starttls://` nor `smtps://`.
    Scheme,
    /// `mailbox://`, the built-in one, which exists for `demo` and tests only.
    Mailbox,
    /// No host.
    Host,
    /// A port that is not a number from 1 to 65535.
    Port,
    /// A name without a password, or percent signs that encode nothing.
    Login,
    /// Something after the host and port.
    Rest,
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RelayError::Scheme => {
                "the mail server's URL must begin with `smtp://`, `starttls://` or `smtps://`"
            }
            RelayError::Mailbox => {
                "the built-in mailbox is for `fahrplan demo` and tests; give the URL of a real mail server"
            }
            RelayError::Host => "the mail server's URL names no host",
            RelayError::Port => "the port in the mail server's URL must be a number from 1 to 65535",
            RelayError::Login => {
                "the mail server's URL needs both name and password, with special characters written as `%40`"
            }
            RelayError::Rest => "nothing may follow the host and port in the mail server's URL",
        })
    }
}

impl std::error::Error for RelayError {}

impl Relay {
    /// Reads `scheme://[name:password@]host[:port]`.
    pub fn parse(url: &str) -> Result<Relay, RelayError> {
        let (scheme, rest) = url.split_once("://").ok_or(RelayError::Scheme)?;
        let (protection, default_port) = match scheme {
            "smtp" => (Protection::Opportunistic, 25),
            "starttls" | "smtp+starttls" => (Protection::StartTls, 587),
            "smtps" => (Protection::Implicit, 465),
            "mailbox" => return Err(RelayError::Mailbox),
            _ => return Err(RelayError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(read_login(login)?), place),
            None => (None, rest),
        };
        if place.contains(['/', '?', '#']) {
            return Err(RelayError::Rest);
        }
        let (host, port) = read_place(place)?;
        Ok(Relay { host, port: port.unwrap_or(default_port), protection, login })
    }

    /// Whether the relay is this machine, so that nobody can listen on the way.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

fn read_place(place: &str) -> Result<(String, Option<u16>), RelayError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(RelayError::Host)?;
            (host, after.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(RelayError::Host);
    }
    let port = match port {
        Some(text) => Some(text.parse().ok().filter(|&n| n != 0).ok_or(RelayError::Port)?),
        None => None,
    };
    Ok((host.to_owned(), port))
}

fn read_login(text: &str) -> Result<Login, RelayError> {
    let (name, password) = text.split_once(':').ok_or(RelayError::Login)?;
    let (name, password) = (percent_decoded(name)?, percent_decoded(password)?);
    if name.is_empty() { Err(RelayError::Login) } else { Ok(Login { name, password }) }
}

fn percent_decoded(text: &str) -> Result<String, RelayError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok()).ok_or(RelayError::Login)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| RelayError::Login)?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| RelayError::Login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_brings_its_port_and_protection() {
        for (url, port, protection) in [
            ("smtp://mail.example.org", 25, Protection::Opportunistic),
            ("smtp://mail.example.org:2525/", 2525, Protection::Opportunistic),
            ("starttls://mail.example.org", 587, Protection::StartTls),
            ("smtps://mail.example.org", 465, Protection::Implicit),
        ] {
            let relay = Relay::parse(url).unwrap();
            assert_eq!((relay.port, relay.protection), (port, protection), "{url}");
            assert_eq!(relay.host, "mail.example.org");
            assert_eq!(relay.login, None);
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let relay = Relay::parse("smtps://news%40example.org:p%3Aw@[::1]:1465").unwrap();
        assert_eq!((relay.host.as_str(), relay.port), ("::1", 1465));
        assert!(relay.is_loopback());
        let login = relay.login.clone().unwrap();
        assert_eq!((login.name.as_str(), login.password.as_str()), ("news@example.org", "p:w"));
        assert!(!format!("{relay:?}").contains("p:w"));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (url, error) in [
            ("http://mail.example.org", RelayError::Scheme),
            ("mail.example.org", RelayError::Scheme),
            ("mailbox://", RelayError::Mailbox),
            ("smtp://", RelayError::Host),
            ("smtp://a b", RelayError::Host),
            ("smtp://host:0", RelayError::Port),
            ("smtp://host:many", RelayError::Port),
            ("smtp://name@host", RelayError::Login),
            ("smtp://name:%zz@host", RelayError::Login),
            ("smtp://host/path", RelayError::Rest),
        ] {
            assert_eq!(Relay::parse(url), Err(error), "{url}");
        }
    }
}
