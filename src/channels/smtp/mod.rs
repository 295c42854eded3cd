//! Sending mail: a pool of connections to one relay, over lettre's connection type.
//!
//! The pool is ours because lettre's limits the connections it parks and not those it opens; the transaction is ours
//! (`session`) because lettre's neither pipelines nor keeps a connection whose recipient was refused, and because it
//! cannot tell "not sent" from "nobody knows". What is said on the wire, how answers are read and how one logs in is
//! lettre's.
//!
//! A `send` under way is to be awaited, at shutdown too: dropping it closes the socket, and if the final dot was
//! written the message may have been delivered without anybody having recorded it.

mod body;
mod relay;
mod reply;
mod session;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub use relay::{Login, Protection, Relay, RelayError};
pub use reply::{Enhanced, Phase, Reply, SendResult};

use body::{Body, BodyError};
use session::{Outcome, Session};

/// How long to wait for what. The defaults are those of RFC 5321, section 4.5.3.2, where it gives one.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the connection, and once more for a TLS handshake.
    pub connect: Duration,
    /// For banner and EHLO.
    pub greeting: Duration,
    /// For the answer to a login, MAIL, RCPT or RSET.
    pub command: Duration,
    /// For the answer to DATA.
    pub data: Duration,
    /// For writing the body.
    pub body: Duration,
    /// For the answer to the final dot, beyond `body`. Short waits make duplicates: the relay may be at work.
    pub dot: Duration,
    /// For the answer to QUIT, which does not matter.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(300),
            command: Duration::from_secs(300),
            data: Duration::from_secs(120),
            body: Duration::from_secs(180),
            dot: Duration::from_secs(600),
            quit: Duration::from_secs(2),
        }
    }
}

/// The timeouts of one attempt, which as a whole may not outlive the lease of its delivery.
#[derive(Clone, Copy)]
struct Limits<'a> {
    times: &'a Timeouts,
    until: Instant,
}

impl Limits<'_> {
    /// When to give up on something that may take so long.
    fn at(&self, time: Duration) -> Instant {
        (Instant::now() + time).min(self.until)
    }

    /// Whether it is too late for anything, even for what would be done at once.
    fn are_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// Everything a sender must be told.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Where mail is handed over.
    pub relay: Relay,
    /// Connections open at once, at most.
    pub connections: usize,
    /// Messages after which a connection is closed; relays have limits of their own, usually 100 and more.
    pub messages_per_connection: u32,
    /// How long an unused connection is kept; relays usually close theirs after 300 s.
    pub idle: Duration,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// The name given in EHLO; the machine's by default.
    pub hello: Option<String>,
    /// Certificates (PEM) of a private authority to trust besides the public ones.
    pub authorities: Option<Vec<u8>>,
}

impl SmtpConfig {
    /// The defaults for a relay: four connections, 200 messages each.
    pub fn new(relay: Relay) -> SmtpConfig {
        SmtpConfig {
            relay,
            connections: 4,
            messages_per_connection: 200,
            idle: Duration::from_secs(60),
            timeouts: Timeouts::default(),
            hello: None,
            authorities: None,
        }
    }
}

/// Why a sender cannot be made from its settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SmtpError {
    /// The private authority's file holds no readable certificate.
    Authorities,
    /// The name for EHLO is no host name.
    Hello,
    /// No connection at all is allowed.
    Connections,
}

impl fmt::Display for SmtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SmtpError::Authorities => {
                "the authority file for the mail server holds no readable certificate (PEM)"
            }
            SmtpError::Hello => {
                "the name for the mail server's greeting must be a host name, such as `news.example.org`"
            }
            SmtpError::Connections => "`connections` for the mail server must be at least 1",
        })
    }
}

impl std::error::Error for SmtpError {}

/// Who a message is from and to, as the relay is told. Exactly one recipient: nobody sees another's address.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The return path for bounces; `None` for the null sender `<>`.
    pub from: Option<Address>,
    /// The recipient.
    pub to: Address,
}

impl Envelope {
    /// Whether either address can be named only with SMTPUTF8 (RFC 6531).
    pub fn needs_utf8(&self) -> bool {
        let ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        !(ascii(&self.to) && self.from.as_ref().is_none_or(ascii))
    }
}

/// Sends messages through one relay. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct SmtpSender {
    shared: Arc<Shared>,
}

struct Shared {
    config: SmtpConfig,
    hello: ClientId,
    tls: Arc<ClientConfig>,
    /// One permit for each connection in use. INVARIANT: connections in use and parked together never exceed
    /// `connections`: a sender takes a parked one before it opens another, and parks before it gives its permit back.
    slots: Semaphore,
    /// Parked connections, the last used on top. The lock is held for a push or a pop only.
    parked: Mutex<Vec<Session>>,
    /// Whether the last attempt to open a connection failed: told when it changes, not at each of a thousand messages.
    away: AtomicBool,
}

impl SmtpSender {
    /// Prepares a sender. Connects only when there is something to send.
    pub fn new(config: SmtpConfig) -> Result<SmtpSender, SmtpError> {
        if config.connections == 0 {
            return Err(SmtpError::Connections);
        }
        let hello = hello_name(config.hello.as_deref())?;
        let tls = wire::tls_config(config.authorities.as_deref())?;
        let slots = Semaphore::new(config.connections);
        let parked = Mutex::new(Vec::with_capacity(config.connections));
        Ok(SmtpSender {
            shared: Arc::new(Shared { config, hello, tls, slots, parked, away: AtomicBool::new(false) }),
        })
    }

    /// Sends one message, in any case ending at `until`. Waits for a free connection; is to be awaited to its end, see
    /// the head of this file.
    pub async fn send(&self, envelope: &Envelope, message: &[u8], until: Instant) -> SendResult {
        let sent = self.send_if(envelope, message, until, std::future::ready(true)).await;
        sent.expect("nothing holds it back")
    }

    /// Sends one message if `still` says yes, which is asked when everything is ready to begin, however long that took. `None`:
    /// it said no, and the relay was told nothing.
    pub async fn send_if(
        &self,
        envelope: &Envelope,
        message: &[u8],
        until: Instant,
        still: impl Future<Output = bool>,
    ) -> Option<SendResult> {
        let body = match Body::new(message) {
            Ok(body) => body,
            Err(BodyError::Encoding) => {
                return Some(SendResult::unsendable(554, "5.6.0 the message is no UTF-8", false));
            }
            Err(BodyError::Nul) => {
                return Some(SendResult::unsendable(554, "5.6.0 the message holds a NUL", false));
            }
        };
        let limits = Limits { times: &self.shared.config.timeouts, until };
        let shut_down = || SendResult::deferred(Phase::Connect, "the sender is shutting down");
        let too_late = || SendResult::deferred(Phase::Connect, "no connection became free in time");
        let _slot = match timeout_at(until, self.shared.slots.acquire()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Some(shut_down()),
            Err(_) => return Some(too_late()),
        };
        let mut session = match self.session(limits).await {
            Ok(session) => session,
            Err(result) => return Some(result),
        };
        if !still.await {
            self.give_back(session).await;
            return None;
        }
        // A process that was stopped for a while goes on here as if nothing had been.
        if limits.are_over() {
            self.give_back(session).await;
            return Some(too_late());
        }
        loop {
            match session.transact(envelope, &body, limits).await {
                Outcome::Result(result) => {
                    self.give_back(session).await;
                    return Some(result);
                }
                // Only a reused connection can be stale, so this ends when the parked ones are used up.
                Outcome::Stale => match self.session(limits).await {
                    Ok(next) => session = next,
                    Err(result) => return Some(result),
                },
            }
        }
    }

    /// Connects, greets and logs in, and leaves again: whether the connection was encrypted, or why it cannot be used.
    pub async fn probe(&self, within: Duration) -> Result<bool, String> {
        let Shared { config, hello, tls, .. } = &*self.shared;
        let limits = Limits { times: &config.timeouts, until: Instant::now() + within };
        match Session::open(&config.relay, tls, hello, limits).await {
            Ok(session) => {
                let encrypted = session.is_encrypted();
                session.quit(&config.timeouts).await;
                Ok(encrypted)
            }
            Err(SendResult::Deferred { reason: why, .. } | SendResult::Refused { text: why, .. }) => Err(why),
            Err(_) => Err("the mail server hung up".to_owned()),
        }
    }

    /// Closes connections that have not been used for `idle`; for the daemon's upkeep.
    pub async fn close_idle(&self) {
        let now = Instant::now();
        let expired: Vec<Session> = {
            let mut parked = self.parked();
            parked.extract_if(.., |session| self.is_expired(session, now)).collect()
        };
        for session in expired {
            session.quit(&self.shared.config.timeouts).await;
        }
    }

    /// Awaits the messages under way, takes no more, and says goodbye on every connection.
    pub async fn close(&self) {
        let all = u32::try_from(self.shared.config.connections).unwrap_or(u32::MAX);
        // Already closed is fine: then somebody else is saying goodbye.
        let all_slots = self.shared.slots.acquire_many(all).await;
        self.shared.slots.close();
        drop(all_slots);
        let parked = std::mem::take(&mut *self.parked());
        for session in parked {
            session.quit(&self.shared.config.timeouts).await;
        }
    }

    async fn session(&self, limits: Limits<'_>) -> Result<Session, SendResult> {
        let Shared { config, hello, tls, .. } = &*self.shared;
        loop {
            let Some(session) = self.parked().pop() else {
                let opened = Session::open(&config.relay, tls, hello, limits).await;
                self.tell(opened.as_ref().err());
                return opened;
            };
            if !self.is_expired(&session, Instant::now()) {
                return Ok(session);
            }
            session.quit(&config.timeouts).await;
        }
    }

    /// Tells that the relay went away, or came back.
    fn tell(&self, failed: Option<&SendResult>) {
        let Relay { host, port, .. } = &self.shared.config.relay;
        metrics::gauge!("fahrplan_relay_up").set(if failed.is_none() { 1.0 } else { 0.0 });
        let was_away = self.shared.away.swap(failed.is_some(), Ordering::Relaxed);
        match failed {
            // Nobody has been named on the connection yet, so its words name nobody.
            Some(SendResult::Deferred { reason: why, .. } | SendResult::Refused { text: why, .. })
                if !was_away =>
            {
                tracing::warn!(host, port, why, "the mail server takes nothing: messages wait");
            }
            None if was_away => tracing::info!(host, port, "the mail server is back"),
            _ => {}
        }
    }

    async fn give_back(&self, session: Session) {
        if !session.is_usable() {
            return;
        }
        if session.messages() >= self.shared.config.messages_per_connection {
            session.quit(&self.shared.config.timeouts).await;
        } else {
            self.parked().push(session);
        }
    }

    fn is_expired(&self, session: &Session, now: Instant) -> bool {
        now.duration_since(session.idle_since()) >= self.shared.config.idle
    }

    fn parked(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.shared.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name for EHLO. A machine's name that is no host name (a container's, say) gives way to the address literal.
fn hello_name(configured: Option<&str>) -> Result<ClientId, SmtpError> {
    let is_host_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
    };
    match (configured, ClientId::default()) {
        (Some(name), _) if is_host_name(name) => Ok(ClientId::Domain(name.to_owned())),
        (Some(_), _) => Err(SmtpError::Hello),
        (None, ClientId::Domain(name)) if !is_host_name(&name) => {
            Ok(ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST))
        }
        (None, name) => Ok(name),
    }
}
