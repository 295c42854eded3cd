//! The built-in mailbox: an SMTP server on loopback that keeps what it is sent, for `fahrplan demo` and for tests.
//!
//! **Never for `serve`.** It delivers to nobody; the URL scheme `mailbox://` is therefore refused where a relay is
//! read (`smtp::RelayError::Mailbox`), and it can be reached only by code that has started one and asks for its `url`.
//!
//! It speaks real SMTP, strictly: CRLF ends a line and nothing else does. A `Script` makes it refuse, stall or hang up
//! at a chosen moment, as real relays do at the wrong one.

mod letter;
mod serve;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use letter::{Letter, decoded_words};

/// A place in the conversation at which a script may step in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Moment<'a> {
    /// A connection has been opened; the banner is due.
    Connect,
    /// `MAIL FROM`, with the address.
    Mail(&'a str),
    /// `RCPT TO`, with the address.
    Rcpt(&'a str),
    /// `DATA`; 354 is due.
    Data,
    /// 354 is said; the body comes in.
    Body,
    /// The final dot has come for this recipient; the answer is due.
    Dot(&'a str),
}

/// What a script makes of a moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reaction {
    /// Go on as usual.
    Go,
    /// Say this line instead of the usual answer. With 4xx or 5xx nothing is kept.
    Say(String),
    /// Go on as usual, later.
    Wait(Duration),
    /// Close the connection without a word; nothing is kept.
    HangUp,
    /// At `Dot`: keep the message and close the connection without a word. The sender cannot know.
    KeepAndHangUp,
}

/// Decides at each moment. Runs on the connection's task: it must not block.
pub type Script = Arc<dyn Fn(&Moment<'_>) -> Reaction + Send + Sync>;

/// Which extensions EHLO offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// PIPELINING.
    pub pipelining: bool,
    /// 8BITMIME.
    pub eight_bit: bool,
    /// SMTPUTF8.
    pub utf8_addresses: bool,
    /// SIZE; larger messages are refused.
    pub size: usize,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer { pipelining: true, eight_bit: true, utf8_addresses: true, size: 10 * 1024 * 1024 }
    }
}

/// How a mailbox shall be.
#[derive(Clone)]
pub struct MailboxConfig {
    /// Messages kept; older ones make room.
    pub capacity: usize,
    /// Extensions offered.
    pub offer: Offer,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

impl Default for MailboxConfig {
    fn default() -> MailboxConfig {
        MailboxConfig { capacity: 10_000, offer: Offer::default(), port: 0 }
    }
}

/// A message as it came in.
#[derive(Clone, Debug)]
pub struct Stored {
    /// 1 for the first message, then up.
    pub number: u64,
    /// The envelope's sender, empty for `<>`.
    pub from: String,
    /// The envelope's recipient; one message each, as one sends them.
    pub to: String,
    /// The bytes between DATA and the dot, dots no longer doubled.
    pub raw: Bytes,
    /// The same, read.
    pub letter: Letter,
}

/// What has happened so far, for tests and the summary of `demo`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Connections ever opened.
    pub connections: u64,
    /// Connections open at the same time, at most.
    pub most_open: usize,
    /// Commands read, whatever they were.
    pub commands: u64,
    /// Lines that were no command of SMTP: the mark of a body that broke out.
    pub unknown_commands: u64,
}

/// A running mailbox. Dropping it stops it.
pub struct Mailbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shared {
    config: MailboxConfig,
    script: RwLock<Option<Script>>,
    kept: Mutex<VecDeque<Arc<Stored>>>,
    /// How many messages have ever come in: what a page or a test waits for.
    arrivals: watch::Sender<u64>,
    connections: AtomicU64,
    open: AtomicUsize,
    most_open: AtomicUsize,
    commands: AtomicU64,
    unknown_commands: AtomicU64,
}

impl Mailbox {
    /// Opens a mailbox on 127.0.0.1.
    pub async fn start(config: MailboxConfig) -> io::Result<Mailbox> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            config,
            script: RwLock::new(None),
            kept: Mutex::default(),
            arrivals: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            commands: AtomicU64::new(0),
            unknown_commands: AtomicU64::new(0),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve::listen(listener, Arc::clone(&shared), stop.clone(), tasks.clone()));
        Ok(Mailbox { shared, address, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The relay URL that leads here.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Lets a script decide from now on.
    pub fn follow(&self, script: impl Fn(&Moment<'_>) -> Reaction + Send + Sync + 'static) {
        *self.shared.script.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(script));
    }

    /// All messages kept, oldest first.
    pub fn messages(&self) -> Vec<Arc<Stored>> {
        self.shared.kept().iter().cloned().collect()
    }

    /// One message by its number, if it is still kept.
    pub fn message(&self, number: u64) -> Option<Arc<Stored>> {
        self.shared.kept().iter().find(|stored| stored.number == number).cloned()
    }

    /// How many messages have ever come in; changes with each.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.arrivals.subscribe()
    }

    /// What has happened so far.
    pub fn traffic(&self) -> Traffic {
        let Shared { connections, most_open, commands, unknown_commands, .. } = &*self.shared;
        Traffic {
            connections: connections.load(Ordering::Relaxed),
            most_open: most_open.load(Ordering::Relaxed),
            commands: commands.load(Ordering::Relaxed),
            unknown_commands: unknown_commands.load(Ordering::Relaxed),
        }
    }

    /// Stops listening, closes what is open, and returns when the last connection has ended.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Stored>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reaction(&self, moment: &Moment<'_>) -> Reaction {
        let script = self.script.read().unwrap_or_else(PoisonError::into_inner).clone();
        script.map_or(Reaction::Go, |script| script(moment))
    }

    fn keep(&self, from: &str, to: &str, raw: Bytes) -> u64 {
        let letter = Letter::read(&raw);
        let mut kept = self.kept();
        let number = *self.arrivals.borrow() + 1;
        if kept.len() >= self.config.capacity {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Stored { number, from: from.to_owned(), to: to.to_owned(), raw, letter }));
        // Under the lock, so that numbers and arrivals rise together.
        self.arrivals.send_replace(number);
        number
    }
}
