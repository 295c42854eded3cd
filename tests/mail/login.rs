//! Logging in, against a server that knows one name and password.

use fahrplan::channels::smtp::{Phase, SendResult};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{envelope, is_accepted, patient, sender};

/// Base64 of `\0news\0secret`, `news` and `secret`.
const PLAIN: &str = "AUTH PLAIN AG5ld3MAc2VjcmV0";
const NAME: &str = "bmV3cw==";
const PASSWORD: &str = "c2VjcmV0";

/// Takes connections and offers these mechanisms; mail is taken only after a login.
async fn server(mechanisms: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut lines = BufReader::new(socket);
            lines.get_mut().write_all(b"220 private\r\n").await.unwrap();
            let (mut known, mut in_body, mut line) = (false, false, String::new());
            while lines.read_line(&mut line).await.unwrap_or(0) > 0 {
                let offers = format!("250-private\r\n250 AUTH {mechanisms}\r\n");
                let answer = match line.trim_end() {
                    "." => "250 2.0.0 taken\r\n",
                    _ if in_body => "",
                    text if text.starts_with("EHLO") => &offers,
                    PLAIN | PASSWORD => "235 2.7.0 welcome\r\n",
                    "AUTH LOGIN" => "334 VXNlcm5hbWU6\r\n",
                    NAME => "334 UGFzc3dvcmQ6\r\n",
                    text if text.starts_with("AUTH") => "535 5.7.8 who are you\r\n",
                    _ if !known => "530 5.7.0 log in first\r\n",
                    "DATA" => "354 go on\r\n",
                    _ => "250 ok\r\n",
                };
                known |= answer.starts_with("235");
                in_body = answer.starts_with("354") || (in_body && !answer.starts_with("250"));
                lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
                line.clear();
            }
        }
    });
    port
}

async fn send(login: &str, mechanisms: &'static str) -> SendResult {
    let url = format!("smtp://{login}127.0.0.1:{}", server(mechanisms).await);
    sender(&url, |_| {}).send(&envelope("a@example.com"), b"Subject: x\r\n\r\ny\r\n", patient()).await
}

#[tokio::test]
async fn name_and_password_open_the_door_by_either_mechanism() {
    for mechanisms in ["PLAIN LOGIN", "LOGIN"] {
        let result = send("news:secret@", mechanisms).await;
        assert!(is_accepted(&result), "{mechanisms}: {result:?}");
    }
}

#[tokio::test]
async fn a_wrong_or_forgotten_password_defers_and_does_not_refuse_the_mail() {
    for (login, mechanisms, at) in [
        ("news:wrong@", "PLAIN", Phase::Auth),
        ("news:secret@", "GSSAPI", Phase::Auth),
        ("", "PLAIN", Phase::Mail),
    ] {
        let result = send(login, mechanisms).await;
        let SendResult::Deferred { phase, reason, .. } = &result else { panic!("{login}: {result:?}") };
        assert_eq!(*phase, at, "{reason}");
        assert!(!reason.contains("secret") && !reason.contains("wrong@"), "{reason}");
    }
}
