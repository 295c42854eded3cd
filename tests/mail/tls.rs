//! TLS: `smtps://` and STARTTLS against a server with a certificate, forwarding to the built-in mailbox.

use std::sync::Arc;

use fahrplan::channels::mailbox::{Mailbox, MailboxConfig};
use fahrplan::channels::smtp::{Phase, SendResult, SmtpConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{envelope, is_accepted, patient, sender};

const AUTHORITY: &[u8] = include_bytes!("authority.pem");

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("localhost.key.pem")).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// How the front door behaves before TLS.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS offered.
    Offers,
    /// STARTTLS offered, and bytes slipped in behind its answer.
    Injects,
    /// No STARTTLS.
    Refuses,
}

/// Opens the door in front of `mailbox`; returns its port.
async fn open(door: Door, mailbox: &Mailbox) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = mailbox.address();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(behind).await.unwrap();
                if door != Door::Implicit && !before_tls(door, &mut socket, &mut inside).await {
                    return;
                }
                if let Ok(mut outside) = acceptor().accept(socket).await {
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    });
    port
}

/// Banner, EHLO and STARTTLS in clear text; `true` if the handshake comes next.
async fn before_tls(door: Door, socket: &mut TcpStream, inside: &mut TcpStream) -> bool {
    // The sender reads a banner only once; the mailbox's is dropped.
    let mut banner = [0; 256];
    let _ = inside.read(&mut banner).await.unwrap();
    socket.write_all(b"220 door\r\n").await.unwrap();
    let mut lines = BufReader::new(socket);
    let mut line = String::new();
    while lines.read_line(&mut line).await.unwrap() > 0 {
        let (answer, done): (&[u8], bool) = match (line.trim_end(), door) {
            ("STARTTLS", Door::Injects) => (b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n", false),
            ("STARTTLS", _) => (b"220 go\r\n", true),
            (_, Door::Refuses) => (b"250-door\r\n250 AUTH PLAIN\r\n", false),
            _ => (b"250-door\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", false),
        };
        lines.get_mut().write_all(answer).await.unwrap();
        if done {
            return true;
        }
        line.clear();
    }
    false
}

async fn send_over(door: Door, url: &str, change: impl FnOnce(&mut SmtpConfig)) -> (SendResult, usize) {
    let mailbox = Mailbox::start(MailboxConfig::default()).await.unwrap();
    let port = open(door, &mailbox).await;
    let sender = sender(&format!("{url}:{port}"), |config| {
        config.authorities = Some(AUTHORITY.to_vec());
        change(config);
    });
    let mut result =
        sender.send(&envelope("a@example.com"), b"Subject: x\r\n\r\nprivate\r\n", patient()).await;
    if is_accepted(&result) {
        // Once more over the same, encrypted connection.
        result = sender.send(&envelope("b@example.com"), b"Subject: x\r\n\r\nprivate\r\n", patient()).await;
    }
    sender.close().await;
    (result, mailbox.messages().len())
}

#[tokio::test]
async fn mail_goes_over_tls_and_starttls() {
    for (door, url) in [(Door::Implicit, "smtps://localhost"), (Door::Offers, "starttls://localhost")] {
        let (result, arrived) = send_over(door, url, |_| {}).await;
        assert!(is_accepted(&result), "{url}: {result:?}");
        assert_eq!(arrived, 2, "{url}");
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_whose_certificate_nobody_vouches_for() {
    for (door, url) in [(Door::Implicit, "smtps://localhost"), (Door::Offers, "starttls://localhost")] {
        let (result, arrived) = send_over(door, url, |config| config.authorities = None).await;
        assert!(matches!(result, SendResult::Deferred { phase: Phase::Tls, .. }), "{url}: {result:?}");
        assert_eq!(arrived, 0);
    }
}

#[tokio::test]
async fn demanded_starttls_never_falls_back_and_injected_bytes_end_the_attempt() {
    let (result, _) = send_over(Door::Refuses, "starttls://localhost", |_| {}).await;
    assert!(matches!(result, SendResult::Deferred { phase: Phase::Tls, .. }), "{result:?}");
    let (result, arrived) = send_over(Door::Injects, "starttls://localhost", |_| {}).await;
    let SendResult::Deferred { reason, .. } = result else { panic!("{result:?}") };
    assert_eq!((reason.as_str(), arrived), ("the mail server says more than was asked", 0));
}
