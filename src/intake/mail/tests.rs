use proptest::prelude::*;

use super::*;

fn said(text: &str) -> String {
    let raw = format!("From: ada@example.org\r\nSubject: Re: x\r\nMessage-ID: <1@x>\r\n\r\n{text}");
    read(raw.as_bytes()).expect("a mail").text
}

fn sort(headers: &str) -> Sort {
    let raw = format!("From: Ada <ada@example.org>\r\nMessage-ID: <1@x>\r\n{headers}\r\n\r\nYes\r\n");
    read(raw.as_bytes()).expect("a mail").sort
}

#[test]
fn an_answer_says_who_wrote_it_and_what_it_answers() {
    let raw = "From: =?utf-8?Q?Ada_L=C3=B6w?= <Ada@Example.ORG>\r\nTo: Shop <reply+x-y@shop.example>, b@shop.example\r\n\
        Delivered-To: box@shop.example\r\nSubject: =?utf-8?B?UmU6IEdyw7zDn2U=?=\r\nMessage-ID: <m1@mail.example>\r\n\
        In-Reply-To: <dl_2@shop.example>\r\nReferences: <dl_1@shop.example>\r\n <dl_2@shop.example>\r\n\
        Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Sch=F6n, ja=21\r\n\r\nAm 3. M=E4rz 2026 um 10:00 schrieb Shop <news@shop.example>:\r\n> Kommst du?\r\n";
    let mail = read(raw.as_bytes()).expect("a mail");
    assert_eq!(mail.from.as_deref(), Some("ada@example.org"));
    assert_eq!(mail.to, ["reply+x-y@shop.example", "b@shop.example", "box@shop.example"]);
    assert_eq!(mail.answers, ["dl_2@shop.example", "dl_2@shop.example", "dl_1@shop.example"]);
    assert_eq!((mail.subject.as_str(), mail.text.as_str()), ("Re: Grüße", "Schön, ja!"));
    assert_eq!(mail.sort, Sort::Personal);
    assert!(is_answer(&mail.subject) && is_answer("AW[2]: x") && !is_answer("Rezept: x") && !is_answer("Re"));
    // The same mail is the same, from another sender it is another.
    assert_eq!(read(raw.as_bytes()).expect("a mail").name, mail.name);
    assert_ne!(read(raw.replace("Ada@", "Eve@").as_bytes()).expect("a mail").name, mail.name);
}

#[test]
fn a_mail_of_html_alone_is_read_as_text() {
    let raw = "From: a@example.org\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
        <html><body><p>Gr&uuml;&szlig;e &amp; mehr</p><div>On Monday, Shop wrote:<br><blockquote>buy</blockquote></div></body></html>";
    assert_eq!(read(raw.as_bytes()).expect("a mail").text, "Grüße & mehr");
}

#[test]
fn what_was_quoted_is_cut_and_what_stands_between_is_kept() {
    for (text, new) in [
        ("5", "5"),
        (
            "Yes, please.\r\n\r\nOn Mon, Nov 23, 2026 at 10:00 AM Shop <s@x> wrote:\r\n> Coming?\r\n",
            "Yes, please.",
        ),
        ("Yes\r\nOn Mon, Nov 23, 2026 at 10:00 AM\r\nShop <s@x> wrote:\r\n\r\nComing?\r\n", "Yes"),
        ("> Coming?\r\n\r\nYes\r\n\r\n> When?\r\nAt nine\r\n", "Yes\n\nAt nine"),
        ("On Monday Shop wrote:\r\n> Coming?\r\nYes\r\n", "Yes"),
        ("Ja\r\n\r\n-----Ursprüngliche Nachricht-----\r\nVon: Shop\r\n\r\nKommst du?", "Ja"),
        ("Ja\r\n\r\nVon: Shop <s@x>\r\nGesendet: Montag\r\nAn: Ada\r\n\r\nKommst du?", "Ja"),
        ("Ja\r\n\r\nAm 23.11.2026 um 10:00 schrieb Shop:\r\nKommst du?", "Ja"),
        ("Oui\r\n\r\nLe lun. 23 nov. 2026 à 10:00, Shop <s@x> a écrit :\r\n> ?", "Oui"),
        ("Ja\r\n-- \r\nAda\r\nTel. 1", "Ja"),
        ("Ja\r\n\r\nVon meinem iPhone gesendet", "Ja"),
        ("On the table lies what I wrote: nothing", "On the table lies what I wrote: nothing"),
        ("From: here on I am away", "From: here on I am away"),
        ("one\r\n\r\n\r\n\r\ntwo", "one\n\ntwo"),
        ("", ""),
    ] {
        assert_eq!(said(text), new, "{text:?}");
    }
}

#[test]
fn what_programs_write_is_no_answer() {
    for headers in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: Auto-Generated; x=y",
        "Precedence: bulk",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "X-Vacation: yes",
        "List-Id: <l.example.org>",
        "Return-Path: <>",
        "Subject: Automatic reply: Coming?",
        "Subject: Abwesenheitsnotiz: Kommst du?",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
    ] {
        assert!(matches!(sort(headers), Sort::Automatic(_)), "{headers}: {:?}", sort(headers));
    }
    for headers in
        ["Auto-Submitted: no", "Subject: Re: out of office chairs", "Precedence: normal", "X-Loop: 1"]
    {
        assert_eq!(sort(headers), Sort::Personal, "{headers}");
    }
}

/// A report of a mail server, with the returned message.
fn bounced(action: &str, status: &str, diagnostic: &str) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: news@shop.example\r\nSubject: Undelivered\r\nAuto-Submitted: auto-replied\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\n\r\nSorry.\r\n\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; Ada@example.org\r\nAction: {action}\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; {diagnostic}\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
         Return-Path: <bounce+t-u@shop.example>\r\nFrom: news@shop.example\r\nTo: ada@example.org\r\n\
         Reply-To: reply+t-u@shop.example\r\nMessage-ID: <dl_7@shop.example>\r\nSubject: Hi\r\n\
         List-Unsubscribe: <https://shop.example/u/abc>\r\n\r\nHi\r\n--b--\r\n"
    )
    .into_bytes()
}

fn report(bytes: &[u8]) -> Report {
    match read(bytes).expect("a mail").sort {
        Sort::Report(report) => report,
        other => panic!("no report: {other:?}"),
    }
}

#[test]
fn a_mail_server_reports_what_became_of_a_message() {
    for (action, status, diagnostic, said) in [
        ("failed", "5.1.1", "550 5.1.1 unknown", Some(Said::Bounced)),
        ("failed", "5.0.0", "550 5.1.10 null MX", Some(Said::Bounced)),
        ("failed", "5.2.1", "550 disabled", Some(Said::Bounced)),
        ("failed", "5.7.1", "550 5.7.1 policy", Some(Said::Failed)),
        ("failed", "5.1.8", "553 bad sender", Some(Said::Failed)),
        ("failed", "5.2.2", "552 mailbox full", Some(Said::Failed)),
        ("failed", "4.4.7", "expired", Some(Said::Failed)),
        ("delivered", "2.0.0", "250 ok", Some(Said::Delivered)),
        ("delayed", "4.4.1", "later", None),
        ("relayed", "2.0.0", "250 ok", None),
    ] {
        let Report { said: found, reason, about } = report(&bounced(action, status, diagnostic));
        assert_eq!(found, said, "{action} {status} {diagnostic}");
        assert!(reason.expect("a reason").starts_with(status));
        assert_eq!(about.id.as_deref(), Some("dl_7@shop.example"));
        assert!(about.recipients.contains(&"ada@example.org".to_owned()));
        assert_eq!(about.sealed, ["reply+t-u@shop.example", "bounce+t-u@shop.example"]);
        assert_eq!(about.unsubscribe.as_deref(), Some("<https://shop.example/u/abc>"));
    }
}

#[test]
fn a_server_that_writes_prose_is_understood_where_it_names_status_and_message() {
    let prose = |text: &str| {
        format!("From: MAILER-DAEMON@mx.example\r\nSubject: failure notice\r\n\r\n{text}").into_bytes()
    };
    let whole = "Hi.\r\n<ada@example.org>:\r\n192.0.2.1 does not like it: 550 5.1.1 no mailbox\r\n\r\n--- Below is a copy.\r\n\r\n\
        Message-ID: <dl_7@shop.example>\r\nTo: ada@example.org\r\n";
    let Report { said, about, .. } = report(&prose(whole));
    assert_eq!((said, about.id.as_deref()), (Some(Said::Bounced), Some("dl_7@shop.example")));
    assert!(about.recipients.contains(&"ada@example.org".to_owned()));
    for less in ["Hi.\r\n550 5.1.1 no mailbox", "Message-ID: <dl_7@shop.example>\r\n\r\nno status, 192.0.2.1"]
    {
        assert!(matches!(read(&prose(less)).expect("a mail").sort, Sort::Automatic(_)), "{less}");
    }
}

#[test]
fn a_provider_reports_a_complaint() {
    let arf = |kind: &str| {
        format!(
            "From: fbl@provider.example\r\nTo: fbl@shop.example\r\nSubject: FW: Hi\r\n\
             Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\n\r\nAn abuse report.\r\n--b\r\n\
             Content-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
             Original-Rcpt-To: <Ada@example.org>\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n\
             From: news@shop.example\r\nMessage-ID: <dl_7@shop.example>\r\nTo: redacted\r\n--b--\r\n"
        )
        .into_bytes()
    };
    let Report { said, about, .. } = report(&arf("abuse"));
    assert_eq!((said, about.id.as_deref()), (Some(Said::Complained), Some("dl_7@shop.example")));
    assert_eq!(about.recipients, ["ada@example.org"]);
    assert_eq!(report(&arf("not-spam")).said, None);
}

#[test]
fn what_is_no_mail_is_none() {
    for bytes in [&b""[..], b"\r\n", b"hello", b"{\"a\": 1}", b"\0\xff\xfe", b"Received:\n\t"] {
        assert!(read(bytes).is_none_or(|mail| mail.from.is_none()), "{bytes:?}");
    }
    let long = format!("From: a@example.org\r\n\r\n{}", "x ".repeat(5 << 20));
    assert_eq!(read(long.as_bytes()).expect("a mail").text.chars().count(), LONGEST_TEXT - 1);
}

/// Pieces of which hostile mails are made.
const PIECES: [&str; 24] = [
    "From: ",
    "To: ",
    "Subject: ",
    "Message-ID: <",
    "References: ",
    "Received: from x (y",
    "Date: ",
    "a@example.org",
    "\r\n",
    "\n",
    "\r\n\t",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "\r\n--b\r\n",
    "--b--",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: message/delivery-status\r\n\r\n",
    "Content-Transfer-Encoding: base64\r\n\r\n",
    "=?utf-8?B?",
    "?=",
    "=?x?Q?=E9",
    "Action: failed\r\nStatus: 5.1.1\r\n",
    "Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>&#xfffff;",
    "> On x wrote:\r\n",
];

thread_local! {
    /// The file in which this thread panicked last.
    static PANICKED: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// Reads a mail without the net that `read` has, but for the parser's own panics: of those it has some, and `read` is there for them.
fn without_net(bytes: &[u8]) -> Option<Mail> {
    static WATCH: std::sync::Once = std::sync::Once::new();
    WATCH.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map(|place| place.file().to_owned()).unwrap_or_default();
            let is_parsers = file.contains("mail-parser");
            PANICKED.with_borrow_mut(|panicked| *panicked = file);
            if !is_parsers {
                usual(info);
            }
        }));
    });
    catch_unwind(|| read_message(bytes)).unwrap_or_else(|panic| {
        match PANICKED.with_borrow(|file| file.contains("mail-parser")) {
            true => None,
            false => std::panic::resume_unwind(panic),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Some(mail) = without_net(&bytes) {
            prop_assert!(mail.text.len() <= 4 * LONGEST_TEXT);
        }
    }

    #[test]
    fn no_mail_panics(pieces in proptest::collection::vec((0..PIECES.len(), any::<u8>()), 0..60)) {
        let mut bytes = b"From: a@example.org\r\n".to_vec();
        for (piece, byte) in pieces {
            bytes.extend_from_slice(PIECES[piece].as_bytes());
            if byte < 40 {
                bytes.push(byte);
            }
        }
        if let Some(mail) = without_net(&bytes) {
            prop_assert!(!mail.text.contains('\0') && mail.answers.len() <= MOST);
        }
    }

    #[test]
    fn no_change_of_a_report_panics(at in 0..900_usize, byte in any::<u8>(), cut in 0..900_usize) {
        let mut bytes = bounced("failed", "5.1.1", "550 5.1.1 unknown");
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut.max(20));
        without_net(&bytes);
    }
}
