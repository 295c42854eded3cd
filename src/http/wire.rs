//! The bytes of a connection, where HTTP is not yet or no longer spoken.
//!
//! Two courtesies that the library leaves out: what cannot be read as HTTP at all is answered with a sentence, as everything else is; and
//! who is refused while still sending gets to read why, because the rest is taken and thrown away for a moment (RFC 9112 9.6).

use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::problem::Problem;

/// For how long the rest of a refused request is taken, and how much of it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// A connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// What is to be written instead of what the library said.
    instead: Vec<u8>,
    /// While the rest of a refused request is thrown away: how much more is taken, and until when.
    lingering: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Wire {
        Wire { stream, instead: Vec::new(), lingering: None }
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.instead))?;
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what still comes, if something does.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 16 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let (left, _) = self
                        .lingering
                        .get_or_insert_with(|| (LINGER_BYTES, Box::pin(tokio::time::sleep(LINGER))));
                    *left = left.saturating_sub(buffer.filled().len());
                    if *left == 0 {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    return match &mut self.lingering {
                        Some((_, end)) => end.as_mut().poll(cx),
                        None => Poll::Ready(()),
                    };
                }
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_instead(cx))?;
        match in_words(bytes) {
            Some(answer) => {
                self.instead = answer;
                _ = self.poll_instead(cx)?;
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.lingering.is_none() {
            ready!(self.poll_instead(cx))?;
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}

/// Our answer in the place of an empty refusal. The library writes one where a request has no readable header; all others are ours, and
/// say something.
fn in_words(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes.strip_prefix(b"HTTP/1.")?.get(2..)?).ok()?;
    let problem = match head.get(..3)? {
        _ if !head.to_ascii_lowercase().contains("\r\ncontent-length: 0\r\n") => return None,
        "400" => Problem::bad(
            "not-http",
            "the request cannot be read as HTTP/1.1: look at its first line and its headers",
        ),
        "414" => Problem::uri_too_long(),
        "431" => Problem::header_too_large(),
        _ => return None,
    };
    Some(problem.as_http())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_refusal_gets_a_sentence_and_everything_else_stays() {
        let empty =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let answer = String::from_utf8(in_words(empty).expect("in words")).expect("UTF-8");
        assert!(
            answer.starts_with("HTTP/1.1 431 ") && answer.contains("\"code\":\"header-too-large\""),
            "{answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n{\"code\":1}",
            "HTTP/1.1 400 Bad",
            "",
        ] {
            assert_eq!(in_words(other.as_bytes()), None, "{other}");
        }
    }
}
