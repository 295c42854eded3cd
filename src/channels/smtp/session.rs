//! One connection to the relay and what is said on it: log in once, then message after message.
//!
//! ```text
//!           open                       MAIL RCPT DATA          body and final dot
//! (nothing) ────► ready ─────────────► asked ────────────────► answered ──► ready
//!                   ▲                    │ refused: RSET goes ahead of the next MAIL
//!                   └────────────────────┘
//! ```
//! A refused recipient costs a RSET, not the connection. Whoever drops a session mid-way closes its socket: a session
//! returns to the pool only by `transact` coming to its end and finding it `is_usable`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::Body;
use super::reply::{Phase, Reply, SendResult};
use super::wire::{Progress, Wire};
use super::{Envelope, Limits, Relay, Timeouts};

/// How long a relay that has broken off a body may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the relay can do, read from its answer to EHLO. lettre's `ServerInfo` knows neither PIPELINING nor SIZE.
#[derive(Clone, Copy, Debug, Default)]
struct Offers {
    pipelining: bool,
    /// The largest message taken; 0 is "no limit known".
    size: Option<usize>,
    eight_bit: bool,
    utf8_addresses: bool,
}

impl Offers {
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Offers {
        let mut offers = Offers::default();
        for line in lines {
            let mut words = line.split_whitespace();
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => offers.pipelining = true,
                "SIZE" => offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "8BITMIME" => offers.eight_bit = true,
                "SMTPUTF8" => offers.utf8_addresses = true,
                _ => {}
            }
        }
        offers
    }
}

/// What one transaction came to.
pub(super) enum Outcome {
    /// The result for the message.
    Result(SendResult),
    /// The relay had closed the idle connection before anything of this message was said: take a new one.
    Stale,
}

/// One connection, greeted and logged in.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    progress: Arc<Progress>,
    offers: Offers,
    encrypted: bool,
    messages: u32,
    needs_reset: bool,
    usable: bool,
    idle_since: Instant,
}

impl Session {
    /// Connects, greets, and logs in.
    pub(super) async fn open(
        relay: &Relay,
        tls: &Arc<ClientConfig>,
        hello: &ClientId,
        limits: Limits<'_>,
    ) -> Result<Session, SendResult> {
        let (wire, progress) = Wire::open(relay, tls, hello, limits).await?;
        let encrypted = wire.is_encrypted();
        let private = encrypted || relay.is_loopback();
        let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(wire), hello);
        let mut connection = match timeout_at(limits.at(limits.times.greeting), greeting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                return Err(match Reply::from_lettre(Err(error)) {
                    Ok(reply) => SendResult::from_reply(Phase::Greeting, reply),
                    Err(reason) => SendResult::deferred(Phase::Greeting, reason),
                });
            }
            Err(_) => return Err(SendResult::deferred(Phase::Greeting, "the mail server greets too slowly")),
        };
        if let Some(login) = &relay.login {
            if !private {
                let reason =
                    "the mail server offers no encryption, and the password is not sent in clear text";
                return Err(SendResult::deferred(Phase::Auth, reason));
            }
            let credentials = Credentials::new(login.name.clone(), login.password.clone());
            let auth = timeout_at(
                limits.at(limits.times.command),
                connection.auth(DEFAULT_MECHANISMS, &credentials),
            );
            let late = |_| SendResult::deferred(Phase::Auth, "the mail server does not answer the login");
            match Reply::from_lettre(auth.await.map_err(late)?) {
                Ok(reply) if reply.is_done() => {}
                Ok(reply) => return Err(SendResult::from_reply(Phase::Auth, reply)),
                Err(reason) => return Err(SendResult::deferred(Phase::Auth, reason)),
            }
        }
        let offers =
            match timeout_at(limits.at(limits.times.command), connection.command(Ehlo::new(hello.clone())))
                .await
            {
                Ok(Ok(answer)) => Offers::read(answer.message()),
                Ok(Err(error)) => return Err(SendResult::deferred(Phase::Greeting, error.to_string())),
                Err(_) => {
                    return Err(SendResult::deferred(
                        Phase::Greeting,
                        "the mail server does not answer EHLO",
                    ));
                }
            };
        let idle_since = Instant::now();
        Ok(Session {
            connection,
            progress,
            offers,
            encrypted,
            messages: 0,
            needs_reset: false,
            usable: true,
            idle_since,
        })
    }

    /// Whether nobody on the way can read along.
    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether another message may go over this connection.
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    /// How many messages have been tried on it.
    pub(super) fn messages(&self) -> u32 {
        self.messages
    }

    /// Since when nothing has been said on it.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Says goodbye, without waiting long for an answer.
    pub(super) async fn quit(mut self, limits: &Timeouts) {
        if self.usable {
            // The connection ends here whatever the relay says to it.
            let _ = timeout(limits.quit, self.connection.command(Quit)).await;
        }
    }

    /// Sends one message to one recipient.
    pub(super) async fn transact(&mut self, envelope: &Envelope, body: &Body, limits: Limits<'_>) -> Outcome {
        let mail = match self.mail_command(envelope, body) {
            Ok(mail) => mail,
            Err(refusal) => return Outcome::Result(refusal),
        };
        let reused = self.messages > 0;
        self.messages += 1;
        let steps = self.steps(mail, envelope);
        // Until the end is reached, a session given up half-way must not be used again.
        self.usable = false;
        let answers = self.ask(&steps, limits).await;
        if reused && answers.first().is_some_and(is_gone) {
            return Outcome::Stale;
        }
        let intact = matches!(answers.last(), Some((_, Ok(reply))) if !reply.is_closing());
        let data_open = matches!(answers.last(), Some((Phase::Data, Ok(reply))) if reply.code == 354);
        let result = match answers.into_iter().find(is_failure) {
            // Somebody else may be sending it by now.
            None if limits.are_over() => {
                SendResult::deferred(Phase::Data, "its time was over before its text was sent")
            }
            None => self.write_body(body, limits).await,
            Some((phase, answer)) => {
                self.usable = intact;
                self.needs_reset = true;
                if data_open {
                    self.end_empty(limits).await;
                }
                match answer {
                    Ok(reply) => SendResult::from_reply(phase, reply),
                    Err(lost) => SendResult::deferred(phase, lost.to_string()),
                }
            }
        };
        self.idle_since = Instant::now();
        Outcome::Result(result)
    }

    /// MAIL with the parameters this message needs, or why this relay can never take it.
    fn mail_command(&self, envelope: &Envelope, body: &Body) -> Result<Mail, SendResult> {
        let mut parameters = Vec::new();
        if let Some(limit) = self.offers.size {
            if limit > 0 && body.size > limit {
                let text =
                    format!("5.3.4 the message has {} bytes, the mail server takes {limit}", body.size);
                return Err(SendResult::unsendable(552, text, false));
            }
            parameters.push(MailParameter::Size(body.size));
        }
        if body.eight_bit {
            if !self.offers.eight_bit {
                let text = "5.6.3 the message has 8-bit lines and the mail server takes none";
                return Err(SendResult::unsendable(554, text, false));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if envelope.needs_utf8() {
            if !self.offers.utf8_addresses {
                let text =
                    "5.6.7 the address has letters beyond ASCII and the mail server offers no SMTPUTF8";
                return Err(SendResult::unsendable(553, text, false));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        Ok(Mail::new(envelope.from.clone(), parameters))
    }

    fn steps(&self, mail: Mail, envelope: &Envelope) -> Vec<(Phase, String)> {
        let mut steps = Vec::with_capacity(4);
        if self.needs_reset {
            steps.push((Phase::Mail, Rset.to_string()));
        }
        steps.push((Phase::Mail, mail.to_string()));
        steps.push((Phase::Rcpt, Rcpt::new(envelope.to.clone(), Vec::new()).to_string()));
        steps.push((Phase::Data, Data.to_string()));
        steps
    }

    /// Says the commands, all in one write where the relay offers PIPELINING (RFC 2920), and collects the answers.
    /// The last one may be a connection lost.
    async fn ask(&mut self, steps: &[(Phase, String)], limits: Limits<'_>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(steps.len());
        for (place, (phase, command)) in steps.iter().enumerate() {
            let limit = if *phase == Phase::Data { limits.times.data } else { limits.times.command };
            let limit = limits.at(limit);
            let answer = if !self.offers.pipelining {
                timeout_at(limit, self.connection.command(command)).await
            } else if place == 0 {
                let together: String = steps.iter().map(|(_, command)| command.as_str()).collect();
                timeout_at(limit, self.connection.command(together)).await
            } else {
                timeout_at(limit, self.connection.read_response()).await
            };
            let answer = match answer {
                Ok(answer) => Reply::from_lettre(answer).map_err(Lost::Broken),
                Err(_) => Err(Lost::Silent),
            };
            let go_on = match &answer {
                Ok(reply) => !reply.is_closing() && (self.offers.pipelining || is_hoped_for(*phase, reply)),
                Err(_) => false,
            };
            answers.push((*phase, answer));
            if !go_on {
                break;
            }
        }
        answers
    }

    /// A DATA that was answered with 354 although nobody is left to receive it ends with an empty message.
    async fn end_empty(&mut self, limits: Limits<'_>) {
        let ended = timeout_at(limits.at(limits.times.command), self.connection.command(".\r\n")).await;
        self.usable &= matches!(ended.map(Reply::from_lettre), Ok(Ok(reply)) if !reply.is_closing());
    }

    /// Writes body and final dot in one go and awaits the answer.
    async fn write_body(&mut self, body: &Body, limits: Limits<'_>) -> SendResult {
        let whole = self.progress.flushed() + body.wire.len() as u64;
        let progress = Arc::clone(&self.progress);
        let written = || progress.flushed() >= whole;
        let answer = {
            let mut sending = std::pin::pin!(self.connection.command(&body.wire));
            match timeout_at(limits.at(limits.times.body), &mut sending).await {
                Ok(answer) => Some(answer),
                Err(_) if !written() => None,
                Err(_) => timeout_at(limits.at(limits.times.dot), &mut sending).await.ok(),
            }
        };
        match answer.map(Reply::from_lettre) {
            Some(Ok(reply)) => {
                self.usable = !reply.is_closing();
                self.needs_reset = false;
                match reply.code / 100 {
                    2 => SendResult::Accepted { reply },
                    4 | 5 => SendResult::from_reply(Phase::Body, reply),
                    _ => SendResult::Unknown {
                        reason: format!("the mail server answered the message with {reply}"),
                    },
                }
            }
            Some(Err(reason)) if written() => SendResult::Unknown { reason },
            Some(Err(reason)) => self.last_words(reason).await,
            None if written() => {
                SendResult::Unknown { reason: "the mail server does not answer the final dot".to_owned() }
            }
            None => SendResult::deferred(Phase::Body, "the mail server takes the message too slowly"),
        }
    }

    /// The body could not be written: perhaps the relay has said why before it hung up.
    async fn last_words(&mut self, reason: String) -> SendResult {
        match timeout(LAST_WORDS, self.connection.read_response()).await.map(Reply::from_lettre) {
            Ok(Ok(reply)) => SendResult::from_reply(Phase::Body, reply),
            Ok(Err(_)) | Err(_) => SendResult::deferred(Phase::Body, reason),
        }
    }
}

/// The answer to one command.
type Answer = (Phase, Result<Reply, Lost>);

/// Why no answer came.
enum Lost {
    /// The connection is gone, or talks nonsense.
    Broken(String),
    /// The relay takes longer than we wait.
    Silent,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Broken(reason) => f.write_str(reason),
            Lost::Silent => f.write_str("the mail server does not answer"),
        }
    }
}

fn is_hoped_for(phase: Phase, reply: &Reply) -> bool {
    if phase == Phase::Data { reply.code == 354 } else { reply.is_done() }
}

/// The first answer that was not hoped for decides; those behind it only follow from it.
fn is_failure((phase, answer): &Answer) -> bool {
    !answer.as_ref().is_ok_and(|reply| is_hoped_for(*phase, reply))
}

/// What a relay that has grown tired of an idle connection leaves behind.
fn is_gone((_, answer): &Answer) -> bool {
    match answer {
        Ok(reply) => reply.is_closing(),
        Err(Lost::Broken(_)) => true,
        Err(Lost::Silent) => false,
    }
}
