//! Requests to other programs, and the guard around them: what the schema or a secret names must not lead into our own network.
//!
//! ```text
//! URL -> http or https, with a host     -> a name is resolved once -> every address of it is judged -> one of those is connected to
//!        (1, 0x7f.1, 017700000001 and                                 one that is not public: none
//!         [::ffff:7f00:1] are addresses)
//! ```
//!
//! The resolver of the client is ours, so there is no second look-up that could say something else. Redirects are not followed and a proxy
//! in the environment is not used. What lies inside on purpose is allowed by name, address or network in `fahrplan.toml`.
//!
//! - here: the client; `address`: which addresses are public; `allow`: what is allowed all the same

mod address;
mod allow;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url, redirect};
use rustls::{ClientConfig, RootCertStore};

pub use self::address::forbidden;
pub use self::allow::{Allowed, NotAllowable};
use crate::clock::machine_now;

/// The header that makes a repeat harmless.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The most that is read of an answer.
const LARGEST: usize = 1 << 20;
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections without work are closed after that.
const IDLE: Duration = Duration::from_secs(30);
/// Hosts whose clients are kept.
const KEPT: usize = 256;

/// Who knows the addresses of a host.
pub trait Names: Send + Sync {
    /// All addresses of that host.
    fn look_up(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The names as this machine knows them.
pub struct OfTheMachine;

impl Names for OfTheMachine {
    fn look_up(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Asks other programs over HTTP, but none that the guard refuses.
pub struct Guard {
    rules: Arc<Rules>,
    tls: ClientConfig,
    /// By host and port, so that each resolver knows for whom it looks.
    clients: Mutex<HashMap<(String, u16), Client>>,
}

struct Rules {
    allow: Vec<Allowed>,
    names: Arc<dyn Names>,
}

/// A request.
pub struct Call {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    /// For all of it.
    pub timeout: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// How long the other side asks to wait.
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// What came back where the body says nothing that anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    /// How long the other side asks to wait.
    pub retry_after: Option<Duration>,
}

/// Why nothing came back. Texts say nothing of the URL, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The guard does not let it leave; it will not another time either.
    Refused(String),
    /// No connection came about: nothing has left.
    NotReached(String),
    /// It may have arrived.
    Lost(String),
    /// The answer is larger than anybody needs.
    TooLarge,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Refused(why) | Failed::NotReached(why) | Failed::Lost(why) => f.write_str(why),
            Failed::TooLarge => write!(f, "the answer is larger than {LARGEST} bytes"),
        }
    }
}

/// An address that is not to be connected to.
#[derive(Clone, Copy, Debug)]
struct Inside(&'static str);

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its address is not a public one ({}); `[requests] allow` names what may be asked all the same",
            self.0
        )
    }
}

impl std::error::Error for Inside {}

/// The host of that URL, with its port where one is written, if it is refused without asking for its address: one that is not
/// public, or a name that leads to such a one everywhere. Names that a network may be allowed for are left to their address.
pub fn inside(url: &str, allow: &[Allowed]) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let port = url.port_or_known_default()?;
    let refused = match host.parse::<IpAddr>() {
        Ok(ip) => forbidden(ip).is_some() && !allow.iter().any(|allowed| allowed.covers(&host, port, ip)),
        Err(_) => {
            let name = host.trim_end_matches('.');
            let is_ours = !name.contains('.') || OUR_NAMES.iter().any(|end| name.ends_with(end));
            is_ours && !allow.iter().any(|allowed| allowed.may_cover(name, port))
        }
    };
    refused.then(|| match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => host.clone(),
    })
}

/// How names end that no public one ends with.
const OUR_NAMES: [&str; 8] =
    [".internal", ".local", ".localhost", ".lan", ".intranet", ".corp", ".home", ".home.arpa"];

impl Default for Guard {
    fn default() -> Guard {
        Guard::new(Vec::new())
    }
}

impl Guard {
    /// A guard that lets through what is public, and these.
    pub fn new(allow: Vec<Allowed>) -> Guard {
        Guard::with_names(allow, Arc::new(OfTheMachine))
    }

    /// The same with names that somebody else knows.
    pub fn with_names(allow: Vec<Allowed>, names: Arc<dyn Names>) -> Guard {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Guard { rules: Arc::new(Rules { allow, names }), tls, clients: Mutex::default() }
    }

    /// Makes a request, once.
    pub async fn ask(&self, call: Call) -> Result<Answer, Failed> {
        let mut response = self.send(call).await?;
        let (status, retry_after) = (response.status().as_u16(), wait(&response));
        let body = body(&mut response).await?;
        Ok(Answer { status, retry_after, body })
    }

    /// The same where the status alone counts: it stands, whatever becomes of the body.
    pub async fn tell(&self, call: Call) -> Result<Told, Failed> {
        let mut response = self.send(call).await?;
        let told = Told { status: response.status().as_u16(), retry_after: wait(&response) };
        // It is read so that the connection can be used again; one whose body is too large is closed.
        _ = body(&mut response).await;
        Ok(told)
    }

    async fn send(&self, call: Call) -> Result<Response, Failed> {
        let client = self.client(&call.url)?;
        let mut request = client.request(call.method, call.url).headers(call.headers).timeout(call.timeout);
        if let Some(body) = call.body {
            request = request.body(body);
        }
        request.send().await.map_err(failed)
    }

    /// The client for the host of that URL, if it may be asked at all. A name is judged when it is resolved, at each new connection.
    fn client(&self, url: &Url) -> Result<Client, Failed> {
        let refused = |why: &str| Failed::Refused(why.to_owned());
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("its URL begins with neither http:// nor https://"));
        }
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("its URL names no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| refused("its URL names no port"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if let Ok(ip) = host.parse() {
            self.rules.judge(&host, port, ip).map_err(|inside| Failed::Refused(inside.to_string()))?;
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(host.clone(), port)) {
            return Ok(client.clone());
        }
        if clients.len() >= KEPT {
            clients.clear();
        }
        let gate = Gate { rules: self.rules.clone(), port };
        let client = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(gate)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("fahrplan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| refused("the client for it cannot be made"))?;
        clients.insert((host, port), client.clone());
        Ok(client)
    }
}

impl Rules {
    fn judge(&self, host: &str, port: u16, ip: IpAddr) -> Result<(), Inside> {
        if self.allow.iter().any(|allowed| allowed.covers(host, port, ip)) {
            return Ok(());
        }
        forbidden(ip).map_or(Ok(()), |why| Err(Inside(why)))
    }
}

/// Resolves names for connections to one port.
struct Gate {
    rules: Arc<Rules>,
    port: u16,
}

impl Resolve for Gate {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, port, host) = (self.rules.clone(), self.port, name.as_str().to_owned());
        Box::pin(async move {
            let found = rules.names.look_up(host.clone()).await?;
            for ip in &found {
                rules.judge(&host, port, *ip)?;
            }
            Ok(Box::new(found.into_iter().map(move |ip| SocketAddr::new(ip, port))) as Addrs)
        })
    }
}

/// The body of an answer, if it is no larger than anybody needs.
async fn body(response: &mut Response) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > LARGEST {
            return Err(Failed::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn failed(error: reqwest::Error) -> Failed {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(inside) = inner.downcast_ref::<Inside>() {
            return Failed::Refused(inside.to_string());
        }
        cause = inner.source();
    }
    match error {
        error if error.is_connect() && error.is_timeout() => {
            Failed::NotReached("no connection in time".to_owned())
        }
        error if error.is_connect() => Failed::NotReached("no connection could be made".to_owned()),
        error if error.is_timeout() => Failed::Lost("no answer in time".to_owned()),
        error if error.is_builder() => Failed::Refused("it cannot be written as a request".to_owned()),
        _ => Failed::Lost("the connection broke before the answer".to_owned()),
    }
}

/// `Retry-After`, in seconds or as a date.
fn wait(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_zoned(text).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(at - machine_now().0).unwrap_or(0)))
}
