//! The mailbox's side of the conversation: RFC 5321, with PIPELINING, 8BITMIME, SMTPUTF8 and SIZE.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Moment, Reaction, Shared};

/// The longest command line; RFC 5321 asks for 512, extensions for more.
const LONGEST_COMMAND: usize = 4096;

/// Accepts until told to stop. Connections are tasks of the mailbox's tracker.
pub(super) async fn listen(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let socket = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                // The peer was quicker to leave, or we are out of file handles: the next one may do better.
                Err(_) => {
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let open = shared.open.fetch_add(1, Ordering::Relaxed) + 1;
            shared.most_open.fetch_max(open, Ordering::Relaxed);
            let mut dialog = Dialog::new(socket, &shared);
            tokio::select! {
                () = stop.cancelled() => {}
                // A connection that breaks is the sender's affair.
                _ = dialog.run() => {}
            }
            shared.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Whether the conversation goes on.
enum Next {
    Go,
    End,
}

struct Dialog<'a> {
    socket: TcpStream,
    shared: &'a Shared,
    /// Read and not yet used.
    input: BytesMut,
    /// Answers not yet written: they wait until all commands that have come in are done.
    output: Vec<u8>,
    from: Option<String>,
    to: Vec<String>,
}

impl<'a> Dialog<'a> {
    fn new(socket: TcpStream, shared: &'a Shared) -> Dialog<'a> {
        let (input, output) = (BytesMut::with_capacity(16 * 1024), Vec::with_capacity(512));
        Dialog { socket, shared, input, output, from: None, to: Vec::new() }
    }

    async fn run(&mut self) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        if let Next::End =
            self.react(&Moment::Connect, "220 fahrplan built-in mailbox, delivers to nobody").await?
        {
            return Ok(());
        }
        while let Some(line) = self.line().await? {
            self.shared.commands.fetch_add(1, Ordering::Relaxed);
            if let Next::End = self.command(&line).await? {
                return self.flush().await;
            }
        }
        Ok(())
    }

    async fn command(&mut self, line: &str) -> io::Result<Next> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.ehlo(),
            "HELO" | "NOOP" => self.say("250 ok"),
            "RSET" => {
                self.reset();
                self.say("250 forgotten");
            }
            "MAIL" => return self.mail(argument).await,
            "RCPT" => return self.rcpt(argument).await,
            "DATA" => return self.data().await,
            "QUIT" => {
                self.say("221 bye");
                return Ok(Next::End);
            }
            _ => {
                self.shared.unknown_commands.fetch_add(1, Ordering::Relaxed);
                self.say("500 5.5.2 no such command");
            }
        }
        Ok(Next::Go)
    }

    fn ehlo(&mut self) {
        self.reset();
        let offer = self.shared.config.offer;
        self.say("250-fahrplan");
        for (offered, name) in [
            (offer.pipelining, "PIPELINING"),
            (offer.eight_bit, "8BITMIME"),
            (offer.utf8_addresses, "SMTPUTF8"),
            (true, "ENHANCEDSTATUSCODES"),
        ] {
            if offered {
                self.say(&format!("250-{name}"));
            }
        }
        self.say(&format!("250 SIZE {}", offer.size));
    }

    async fn mail(&mut self, argument: &str) -> io::Result<Next> {
        let Some((from, parameters)) = address(argument, "FROM:") else {
            self.say("501 5.5.4 MAIL FROM:<address>");
            return Ok(Next::Go);
        };
        let size = parameters.split(' ').find_map(|p| p.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if self.from.is_some() {
            self.say("503 5.5.1 one sender at a time");
        } else if size.is_some_and(|size| size > self.shared.config.offer.size) {
            self.say("552 5.3.4 too large");
        } else {
            let (next, accepted) = self.react_to(&Moment::Mail(from), "250 2.1.0 ok").await?;
            if accepted {
                self.from = Some(from.to_owned());
            }
            return Ok(next);
        }
        Ok(Next::Go)
    }

    async fn rcpt(&mut self, argument: &str) -> io::Result<Next> {
        let Some((to, _)) = address(argument, "TO:") else {
            self.say("501 5.5.4 RCPT TO:<address>");
            return Ok(Next::Go);
        };
        if self.from.is_none() {
            self.say("503 5.5.1 MAIL first");
            return Ok(Next::Go);
        }
        let (next, accepted) = self.react_to(&Moment::Rcpt(to), "250 2.1.5 ok").await?;
        if accepted {
            self.to.push(to.to_owned());
        }
        Ok(next)
    }

    async fn data(&mut self) -> io::Result<Next> {
        if self.to.is_empty() {
            self.say("554 5.5.1 no valid recipients");
            return Ok(Next::Go);
        }
        let (next, accepted) = self.react_to(&Moment::Data, "354 go on").await?;
        if !accepted {
            return Ok(next);
        }
        self.flush().await?;
        if let Next::End = self.react_to(&Moment::Body, "").await?.0 {
            return Ok(Next::End);
        }
        let Some(raw) = self.body().await? else { return Ok(Next::End) };
        self.dot(raw).await
    }

    async fn dot(&mut self, raw: Bytes) -> io::Result<Next> {
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        if raw.len() > self.shared.config.offer.size {
            self.say("552 5.3.4 too large");
            return Ok(Next::Go);
        }
        let first = to.first().map_or("", String::as_str);
        let reaction = self.shared.reaction(&Moment::Dot(first));
        if let Reaction::Wait(time) = reaction {
            tokio::time::sleep(time).await;
        }
        match reaction {
            Reaction::HangUp => return Ok(Next::End),
            Reaction::Say(line) if line.starts_with(['4', '5']) => {
                self.say(&line);
                return Ok(after(&line));
            }
            Reaction::Go | Reaction::Say(_) | Reaction::Wait(_) | Reaction::KeepAndHangUp => {}
        }
        let number = to.iter().fold(0, |_, to| self.shared.keep(&from, to, raw.clone()));
        match reaction {
            Reaction::KeepAndHangUp => return Ok(Next::End),
            Reaction::Say(line) => self.say(&line),
            Reaction::Go | Reaction::Wait(_) | Reaction::HangUp => {
                self.say(&format!("250 2.0.0 kept as {number}"))
            }
        }
        Ok(Next::Go)
    }

    async fn react(&mut self, moment: &Moment<'_>, usual: &str) -> io::Result<Next> {
        Ok(self.react_to(moment, usual).await?.0)
    }

    /// Lets the script decide; the flag says whether the usual answer was given.
    async fn react_to(&mut self, moment: &Moment<'_>, usual: &str) -> io::Result<(Next, bool)> {
        match self.shared.reaction(moment) {
            Reaction::Go => {}
            Reaction::Wait(time) => {
                self.flush().await?;
                tokio::time::sleep(time).await;
            }
            Reaction::Say(line) => {
                self.say(&line);
                return Ok((after(&line), line.starts_with(['2', '3'])));
            }
            Reaction::HangUp | Reaction::KeepAndHangUp => return Ok((Next::End, false)),
        }
        if !usual.is_empty() {
            self.say(usual);
        }
        Ok((Next::Go, true))
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    async fn more(&mut self) -> io::Result<bool> {
        self.flush().await?;
        Ok(self.socket.read_buf(&mut self.input).await? > 0)
    }

    /// The next command line without its CRLF. A lone LF or CR does not end it.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut searched = 0;
        loop {
            if let Some(end) = find(&self.input[searched..], b"\r\n") {
                let line = self.input.split_to(searched + end + 2);
                return Ok(Some(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()));
            }
            searched = self.input.len().saturating_sub(1);
            if self.input.len() > LONGEST_COMMAND || !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// The message up to CRLF.CRLF, its doubled dots undone.
    async fn body(&mut self) -> io::Result<Option<Bytes>> {
        // Room for a body that is refused for its size, not for one without end.
        let most = self.shared.config.offer.size.saturating_mul(2).saturating_add(64 * 1024);
        let mut searched = 0;
        loop {
            if self.input.starts_with(b".\r\n") {
                let _ = self.input.split_to(3);
                return Ok(Some(Bytes::new()));
            }
            if let Some(end) = find(&self.input[searched..], b"\r\n.\r\n") {
                let body = self.input.split_to(searched + end + 5);
                return Ok(Some(without_doubled_dots(&body[..body.len() - 3])));
            }
            searched = self.input.len().saturating_sub(4);
            if self.input.len() > most || !self.more().await? {
                return Ok(None);
            }
        }
    }
}

/// 421 is said by a server that closes the connection.
fn after(line: &str) -> Next {
    if line.starts_with("421") { Next::End } else { Next::Go }
}

/// `FROM:<address> PARAMETERS` taken apart.
fn address<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    let (address, parameters) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    head.eq_ignore_ascii_case(keyword).then_some((address, parameters.trim_start()))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn without_doubled_dots(body: &[u8]) -> Bytes {
    let mut plain = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        rest = rest.strip_prefix(b".").unwrap_or(rest);
        let end = find(rest, b"\r\n").map_or(rest.len(), |end| end + 2);
        plain.extend_from_slice(&rest[..end]);
        rest = &rest[end..];
    }
    plain.into()
}
