//! What our sender writes, read by a server that is as lenient as the worst: any of CRLF, LF and CR ends a line.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{envelope, is_accepted, patient, sender};

/// What the lenient server saw.
#[derive(Debug, Eq, PartialEq)]
enum Seen {
    Command(String),
    Body(String),
}

/// Takes one connection and reports every command and body.
async fn lenient_server() -> (String, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (seen, all) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(b"220 lenient\r\n").await.unwrap();
        let (mut input, mut body) = (Vec::new(), None::<Vec<String>>);
        while let Some(line) = next_line(&mut socket, &mut input).await {
            let answer = match (&mut body, line.as_str()) {
                (Some(lines), ".") => {
                    seen.send(Seen::Body(lines.join("\n"))).unwrap();
                    body = None;
                    "250 ok\r\n"
                }
                (Some(lines), text) => {
                    lines.push(text.strip_prefix('.').unwrap_or(text).to_owned());
                    continue;
                }
                (None, text) => {
                    seen.send(Seen::Command(text.to_owned())).unwrap();
                    if text == "DATA" {
                        body = Some(Vec::new());
                        "354 go on\r\n"
                    } else if text.starts_with("EHLO") {
                        "250-lenient\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
                    } else {
                        "250 ok\r\n"
                    }
                }
            };
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, all)
}

async fn next_line(socket: &mut TcpStream, input: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = input.iter().position(|b| matches!(b, b'\r' | b'\n')) {
            // A CR at the end of what has come may be half of a CRLF.
            if input[end] == b'\n' || end + 1 < input.len() {
                let length = if input[end..].starts_with(b"\r\n") { 2 } else { 1 };
                let line = String::from_utf8(input[..end].to_vec()).unwrap();
                input.drain(..end + length);
                return Some(line);
            }
        }
        if socket.read_buf(input).await.unwrap() == 0 {
            return None;
        }
    }
}

/// Pieces of which the wildest bodies are made.
const PIECES: [&str; 16] = [
    "\r\n",
    "\n",
    "\r",
    ".",
    "..",
    "\r\n.\r\n",
    "\n.\n",
    "\r.\r",
    "\n.\r\n",
    "\r\n.\n",
    "\r\r\n",
    "QUIT",
    "MAIL FROM:<x@y.z>",
    "RSET",
    "grüße",
    " ",
];

fn generated(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (0..next(24)).map(|_| PIECES[next(PIECES.len() as u64) as usize]).collect()
}

/// What a reader must get: lines, however they were ended.
fn lines_of(body: &str) -> String {
    body.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned()
}

#[tokio::test]
async fn no_body_breaks_out_of_its_message() {
    let (url, mut seen) = lenient_server().await;
    let sender = sender(&url, |config| {
        config.connections = 1;
        config.messages_per_connection = u32::MAX;
    });
    for seed in 0..10_000 {
        let body = generated(seed);
        assert!(
            is_accepted(&sender.send(&envelope("a@example.com"), body.as_bytes(), patient()).await),
            "{body:?}"
        );
        let mut commands = Vec::new();
        let got = loop {
            match seen.recv().await.unwrap() {
                Seen::Command(line) => commands.push(line),
                Seen::Body(text) => break text,
            }
        };
        commands.retain(|line| !line.starts_with("EHLO"));
        let usual = ["MAIL FROM:<bounces@example.org>", "RCPT TO:<a@example.com>", "DATA"];
        assert!(
            commands.iter().zip(usual).all(|(line, usual)| line.starts_with(usual)),
            "{body:?}: {commands:?}"
        );
        assert_eq!(commands.len(), 3, "{body:?}: {commands:?}");
        assert_eq!(lines_of(&got), lines_of(&body), "{body:?}");
    }
    assert!(seen.try_recv().is_err(), "nothing was left over to be read as commands");
}
