//! The stream under lettre's connection: a socket without Nagle's delay, TLS where the relay's URL asks for it, and
//! a count of what has really gone out.
//!
//! lettre takes any stream (`AsyncTokioStream`), and so everything it lacks is mended below it:
//! * its own sockets have no TCP_NODELAY, which costs about 44 ms a message;
//! * it does not tell a body that could not be written from an answer that never came, and that is the difference
//!   between "try again" and "nobody knows". lettre flushes all it has written before it reads, so what counts as
//!   written here when an answer fails is what the relay may have;
//! * it keeps bytes that arrive between the answer to STARTTLS and the handshake. So STARTTLS happens here, before
//!   lettre comes in, and such bytes end the attempt; lettre then gets a banner to read, as on any new connection;
//! * it takes an answer with a byte that is no UTF-8 for a broken connection. Such bytes become `?` here.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::relay::{Protection, Relay};
use super::reply::{Phase, Reply, SendResult};
use super::{Limits, SmtpError};

/// The longest banner or EHLO answer read before TLS.
const LONGEST_ANSWER: usize = 16 * 1024;
/// What lettre reads as the banner where the real one has already been read.
const BANNER_AGAIN: &[u8] = b"220 ready\r\n";

/// How many bytes lettre has written and flushed; shared with the session that counts messages.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU64);

impl Progress {
    /// Bytes handed to the operating system so far.
    pub(super) fn flushed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream for `AsyncSmtpConnection::connect_with_transport`.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// Bytes to be read before the stream's own: the banner, given again.
    ahead: &'static [u8],
    written: u64,
    progress: Arc<Progress>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Trust for TLS: the public authorities, and a private one where the relay has such a certificate.
pub(super) fn tls_config(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, SmtpError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = authorities {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| SmtpError::Authorities)?;
            roots.add(certificate).map_err(|_| SmtpError::Authorities)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Wire {
    /// Connects and, where asked, protects the connection. On failure says what that means for the message at hand.
    pub(super) async fn open(
        relay: &Relay,
        tls: &Arc<ClientConfig>,
        hello: &ClientId,
        limits: Limits<'_>,
    ) -> Result<(Wire, Arc<Progress>), SendResult> {
        let connecting = timeout_at(
            limits.at(limits.times.connect),
            TcpStream::connect((relay.host.as_str(), relay.port)),
        );
        let mut socket = match connecting.await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(SendResult::deferred(Phase::Connect, error.to_string())),
            Err(_) => return Err(SendResult::deferred(Phase::Connect, "the mail server does not answer")),
        };
        socket.set_nodelay(true).map_err(|error| SendResult::deferred(Phase::Connect, error.to_string()))?;
        let (stream, ahead) = match relay.protection {
            Protection::Implicit => (protect(socket, relay, tls, limits).await?, &b""[..]),
            Protection::Opportunistic if relay.is_loopback() => (Stream::Plain(socket), &b""[..]),
            Protection::Opportunistic | Protection::StartTls => {
                let asking = timeout_at(limits.at(limits.times.greeting), ask_for_tls(&mut socket, hello));
                let late = |_| SendResult::deferred(Phase::Greeting, "the mail server greets too slowly");
                let stream = match asking.await.map_err(late)?? {
                    true => protect(socket, relay, tls, limits).await?,
                    false if relay.protection == Protection::StartTls => {
                        return Err(SendResult::deferred(
                            Phase::Tls,
                            "the mail server does not offer STARTTLS",
                        ));
                    }
                    false => Stream::Plain(socket),
                };
                (stream, BANNER_AGAIN)
            }
        };
        let progress = Arc::new(Progress::default());
        Ok((Wire { stream, ahead, written: 0, progress: Arc::clone(&progress) }, progress))
    }

    /// Whether what is written here can be read on the way.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

async fn protect(
    socket: TcpStream,
    relay: &Relay,
    tls: &Arc<ClientConfig>,
    limits: Limits<'_>,
) -> Result<Stream, SendResult> {
    let name = ServerName::try_from(relay.host.clone()).map_err(|_| {
        SendResult::deferred(Phase::Tls, "the mail server's name can stand in no certificate")
    })?;
    let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, socket);
    match timeout_at(limits.at(limits.times.connect), handshake).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(SendResult::deferred(Phase::Tls, error.to_string())),
        Err(_) => Err(SendResult::deferred(Phase::Tls, "the TLS handshake takes too long")),
    }
}

/// Banner, EHLO and STARTTLS in clear text. `false`: the relay does not offer it.
async fn ask_for_tls(socket: &mut TcpStream, hello: &ClientId) -> Result<bool, SendResult> {
    let banner = read_answer(socket).await?;
    if !banner.is_done() {
        return Err(SendResult::from_reply(Phase::Greeting, banner));
    }
    let offers = ask(socket, &Ehlo::new(hello.clone()).to_string()).await?;
    if !offers.is_done() {
        return Err(SendResult::from_reply(Phase::Greeting, offers));
    }
    if !offers.text.split('\n').any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Ok(false);
    }
    let ready = ask(socket, &Starttls.to_string()).await?;
    if ready.is_done() { Ok(true) } else { Err(SendResult::from_reply(Phase::Tls, ready)) }
}

async fn ask(socket: &mut TcpStream, command: &str) -> Result<Reply, SendResult> {
    socket.write_all(command.as_bytes()).await.map_err(lost)?;
    read_answer(socket).await
}

/// Reads one answer and not a byte more; lines of the text stay apart by line feeds. More bytes than the answer
/// would have been slipped in before the handshake.
async fn read_answer(socket: &mut TcpStream) -> Result<Reply, SendResult> {
    let mut read = Vec::with_capacity(512);
    loop {
        if socket.read_buf(&mut read).await.map_err(lost)? == 0 {
            return Err(SendResult::deferred(Phase::Greeting, "the mail server hung up"));
        }
        match answer_length(&read) {
            Some(length) if length == read.len() => break,
            None if read.len() <= LONGEST_ANSWER => {}
            _ => {
                return Err(SendResult::deferred(
                    Phase::Greeting,
                    "the mail server says more than was asked",
                ));
            }
        }
    }
    let answer = String::from_utf8_lossy(&read);
    let code = answer.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
    let lines: Vec<&str> = answer.lines().filter_map(|line| line.get(4..)).collect();
    Ok(Reply::new(code, lines.join("\n")))
}

/// Where the first whole answer ends: after a line with no hyphen behind its code.
fn answer_length(read: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = read[start..].iter().position(|&b| b == b'\n') {
        let line = &read[start..start + end];
        start += end + 1;
        if line.get(3) != Some(&b'-') {
            return Some(start);
        }
    }
    None
}

fn lost(error: io::Error) -> SendResult {
    SendResult::deferred(Phase::Greeting, error.to_string())
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.stream {
            Stream::Plain(socket) => socket.peer_addr(),
            Stream::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            let (now, later) = self.ahead.split_at(count);
            buf.put_slice(now);
            self.ahead = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = ready!(match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        });
        for byte in &mut buf.filled_mut()[before..] {
            if !byte.is_ascii() {
                *byte = b'?';
            }
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        })?;
        self.written += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        })?;
        self.progress.0.store(self.written, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_the_line_that_has_no_hyphen() {
        assert_eq!(answer_length(b"220 hi\r\n"), Some(8));
        assert_eq!(answer_length(b"250-a\r\n250 b\r\n"), Some(14));
        assert_eq!(answer_length(b"220 go\r\n250 slipped in\r\n"), Some(8));
        assert_eq!(answer_length(b"250-a\r\n250-b\r\n"), None);
        assert_eq!(answer_length(b"250"), None);
    }
}
