//! The doors, spoken to byte by byte: as clients do, and as nobody should.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fahrplan::clock::machine_now;
use fahrplan::http::connections::Limits;
use fahrplan::id::ContactId;
use fahrplan::store::Store;
use fahrplan::store::{contacts, keys};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::doors::{Open, SOON};

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the doors close it");
    _ = read;
    String::from_utf8_lossy(&answer).into_owned()
}

/// An answer must be a problem with that status and code, and say a sentence.
#[track_caller]
fn is_problem(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{status} {code}: {answer}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/problem+json"), "{answer}");
    let body: serde_json::Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(
        (body["code"].as_str(), body["status"].as_u64()),
        (Some(code), Some(status.into())),
        "{answer}"
    );
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(' ')), "{answer}");
}

#[tokio::test]
async fn a_header_that_never_ends_and_an_idle_connection_are_closed() {
    let doors = Open::with(SOON).await;
    let began = Instant::now();
    let mut silent = doors.connect().await;
    let mut slow = doors.connect().await;
    slow.write_all(b"POST /v1/track HTTP/1.1\r\nhost: x\r\nx-a: ").await.expect("written");
    let mut idle = doors.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
    for stream in [&mut silent, &mut slow] {
        assert_eq!(read_to_end(stream).await, "");
    }
    assert!(read_to_end(&mut idle).await.ends_with("ok\n"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn silent_connections_keep_nobody_out_for_long() {
    let doors = Open::with(SOON).await;
    let mut silent = Vec::new();
    for _ in 0..3 * SOON.connections {
        silent.push(doors.connect().await);
    }
    let answer = doors.say(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_stands_still_or_trickles_is_answered_408() {
    let doors = Open::with(SOON).await;
    let head = doors.post("/v1/track", "content-length: 1000\r\n");
    is_problem(&doors.say(format!("{head}{{\"a\"").as_bytes()).await, 408, "too-slow");

    let mut stream = doors.connect().await;
    stream.write_all(head.as_bytes()).await.expect("written");
    for _ in 0..30 {
        if stream.write_all(b" ").await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    is_problem(&read_to_end(&mut stream).await, 408, "too-slow");
}

#[tokio::test]
async fn who_has_no_key_is_told_so_before_the_body_is_read() {
    let doors = Open::with(Limits::default()).await;
    // Only the header comes: the answer does not wait for the rest.
    let head = "POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n";
    is_problem(&doors.say(head.as_bytes()).await, 401, "no-key");
    // Who sends everything before reading is told too, instead of being cut off.
    let mut whole = head.as_bytes().to_vec();
    whole.resize(whole.len() + 9_000_000, b' ');
    is_problem(&doors.say(&whole).await, 401, "no-key");
}

#[tokio::test]
async fn what_is_no_request_gets_a_sentence() {
    let doors = Open::with(Limits::default()).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        is_problem(&doors.say(garbage).await, 400, "not-http");
    }
    let long = |head: &str, n: usize| format!("{head}{}", "a".repeat(n));
    let get = |path: &str, fields: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n").into_bytes()
    };
    for n in [17_000, 63_000, 200_000] {
        let fields = format!("{}\r\n", long("x-a: ", n));
        is_problem(&doors.say(&get("/healthz", &fields)).await, 431, "header-too-large");
    }
    is_problem(&doors.say(&get("/healthz", &"x-a: b\r\n".repeat(150))).await, 431, "header-too-large");
    is_problem(&doors.say(&get(&long("/", 9_000), "")).await, 414, "address-too-long");
    is_problem(&doors.say(&get("/u/%ff%fe", "")).await, 400, "unreadable");
    is_problem(&doors.say(&get("/nothing", "")).await, 404, "not-found");
    is_problem(&doors.say(&get("/v1/track", "")).await, 405, "wrong-method");
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

#[tokio::test]
async fn a_body_that_cannot_be_read_gets_a_sentence() {
    let doors = Open::with(Limits::default()).await;
    let send = async |path: &str, more: &str, body: &[u8]| {
        let more = format!("connection: close\r\ncontent-length: {}\r\n{more}", body.len());
        doors.say(&[doors.post(path, &more).as_bytes(), body].concat()).await
    };
    let gzip = "content-encoding: gzip\r\n";
    // Twenty megabytes of blanks in twenty kilobytes.
    let bomb = packed(&vec![b' '; 20 << 20]);
    assert!(bomb.len() < 100_000);
    for path in ["/v1/track", "/v1/batch"] {
        is_problem(&send(path, gzip, &bomb).await, 413, "too-large");
        is_problem(&send(path, gzip, b"this is not packed").await, 400, "unreadable");
        is_problem(&send(path, gzip, &packed(b"{\"a\":1}")[..12]).await, 400, "unreadable");
        is_problem(&send(path, "content-encoding: br\r\n", b"{}").await, 415, "unsupported");
        is_problem(&send(path, "", b"\xff\xfe{}").await, 400, "not-json");
        is_problem(&send(path, "", b"{\"batch\": [{\"userId\": \"\xe4\"}]}").await, 400, "not-json");
        is_problem(&send(path, "", b"").await, 400, "not-json");
    }
    is_problem(&send("/v1/track", "", &b"[".repeat(100_000)).await, 400, "not-json");
    is_problem(&send("/v1/track", "", &b"{\"a\":".repeat(100_000)).await, 400, "not-json");
    is_problem(&send("/v1/batch", "", &b"[".repeat(100_000)).await, 400, "not-json");
    for body in ["[]", "17", "{}", r#"{"batch": 3}"#, r#"{"batch": {}}"#, r#"{"batch": [], "batch": []}"#] {
        is_problem(&send("/v1/batch", "", body.as_bytes()).await, 400, "no-batch");
    }
    is_problem(&send("/v1/journeys/welcome/enroll", "", br#"{"key": "a\u0000b"}"#).await, 404, "not-found");
    is_problem(&send("/v1/journeys/%00/enroll", "", br#"{"key": "ab"}"#).await, 404, "not-found");

    // A body without a length, in pieces, past the limit.
    let mut stream = doors.connect().await;
    let head = doors.post("/v1/track", "transfer-encoding: chunked\r\n");
    let piece = format!("10000\r\n{}\r\n", " ".repeat(65_536));
    let mut sent = stream.write_all(head.as_bytes()).await;
    for _ in 0..40 {
        if sent.is_ok() {
            sent = stream.write_all(piece.as_bytes()).await;
        }
    }
    is_problem(&read_to_end(&mut stream).await, 413, "too-large");
    let chunks = "transfer-encoding: chunked\r\nconnection: close\r\n";
    let nonsense = format!("{}zz\r\nhello\r\n0\r\n\r\n", doors.post("/v1/track", chunks));
    is_problem(&doors.say(nonsense.as_bytes()).await, 400, "unreadable");
}

#[tokio::test]
async fn an_item_that_is_no_text_costs_the_others_of_its_batch_nothing() {
    let doors = Open::with(Limits::default()).await;
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let good = r#"{"type": "identify", "userId": "u1", "traits": {"plan": "pro"}}"#;
    let body = format!(
        r#"{{"sentAt": 5, "context": {{}}, "batch": [{good}, {{"type": "identify", "userId": "half \ud83d"}}, {deep}, {{"n": 1e999}}, {good}]}}"#
    );
    let more = format!("connection: close\r\ncontent-length: {}\r\n", body.len());
    let answer = doors.say(format!("{}{body}", doors.post("/v1/batch", &more)).as_bytes()).await;
    let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!((json["accepted"].as_u64(), json["rejected"].as_u64()), (Some(2), Some(3)), "{json:#}");
    let mut conn = doors.store.read().await.expect("a connection");
    let kept = fahrplan::store::rejected::list(&mut conn, None, 9).await.expect("read");
    assert!(kept.iter().any(|item| item.body.contains(r"half \ud83d")), "as it came: {kept:?}");
    assert!(kept.iter().all(|item| item.code == "not-json"), "{kept:?}");
}

// ---------------------------------------------------------------- keys

#[tokio::test]
async fn a_revoked_key_stays_out_here_at_once_and_of_other_processes_within_a_second() {
    let doors = Open::with(Limits::default()).await;
    let body = r#"{"userId": "u1"}"#;
    let more = format!("connection: close\r\ncontent-length: {}\r\n", body.len());
    let say = async |doors: &Open| {
        doors.say(format!("{}{body}", doors.post("/v1/identify", &more)).as_bytes()).await
    };
    assert!(say(&doors).await.starts_with("HTTP/1.1 200 "), "{}", say(&doors).await);
    keys::revoke(&doors.store, &doors.key[..11], machine_now()).await.expect("revoked");
    is_problem(&say(&doors).await, 401, "unknown-key");

    let doors = Open::with(Limits::default()).await;
    assert!(say(&doors).await.starts_with("HTTP/1.1 200 "));
    let other = Store::open(&doors.url()).await.expect("opened");
    keys::revoke(&other, &doors.key[..11], machine_now()).await.expect("revoked");
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    is_problem(&say(&doors).await, 401, "unknown-key");
}

// ---------------------------------------------------------------- items

#[tokio::test]
async fn the_answer_says_exactly_what_was_stored() {
    let doors = Open::with(Limits::default()).await;
    let identify = |id: &str, traits: &str| {
        format!(r#"{{"type": "identify", "messageId": "{id}", "userId": "u1", "traits": {traits}}}"#)
    };
    let batch = [
        identify("a", r#"{"email": "ada@example.com", "points": "many"}"#),
        identify("b", r#"{"email": "ada@example.com"}"#),
        r#"{"type": "track", "event": "nothing", "userId": "u1"}"#.to_owned(),
        "17".to_owned(),
    ];
    let body = format!(r#"{{"batch": [{}]}}"#, batch.join(", "));
    let send = async || {
        let more = format!("connection: close\r\ncontent-length: {}\r\n", body.len());
        let answer = doors.say(format!("{}{body}", doors.post("/v1/batch", &more)).as_bytes()).await;
        let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str::<serde_json::Value>(json).expect("JSON")
    };
    let counts = |answer: &serde_json::Value| {
        ["accepted", "partial", "duplicates", "rejected"]
            .map(|count| answer[count].as_u64().expect("a number"))
    };
    let answer = send().await;
    assert_eq!(counts(&answer), [2, 1, 0, 2], "{answer:#}");
    let told = |n: usize| {
        [&answer["rejections"][n]["index"], &answer["rejections"][n]["stored"]].map(ToString::to_string)
    };
    assert_eq!(told(0), ["0", "\"the rest\""], "{answer:#}");
    assert_eq!([told(1), told(2)], [["2", "\"nothing\""], ["3", "\"nothing\""]], "{answer:#}");
    // A client that sends it again is told what is a repeat, and no part of one is kept again.
    assert_eq!(counts(&send().await), [0, 0, 2, 2]);
    let mut conn = doors.store.read().await.expect("a connection");
    assert_eq!(fahrplan::store::rejected::count(&mut conn).await.expect("counted"), 3 + 2);
}

/// The numbers of an answer to items.
fn counts<const N: usize>(answer: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| answer[name].as_u64().unwrap_or_else(|| panic!("no `{name}`: {answer:#}")))
}

async fn contact(doors: &Open, key: &str) -> Option<ContactId> {
    let mut conn = doors.store.read().await.expect("a connection");
    contacts::by_key(&mut conn, key).await.expect("looked up").map(|contact| contact.id)
}

#[tokio::test]
async fn every_kind_of_item_has_its_door_and_what_clients_send_besides_is_no_matter() {
    let doors = Open::with(Limits::default()).await;
    let beside = json!({
        "anonymousId": "b1", "userId": 7, "timestamp": "2026-01-02T03:04:05.678901+00:00", "context": { "traits": { "email": 5 } },
        "integrations": { "All": true }, "writeKey": "k", "channel": "server", "_metadata": { "nodeVersion": "20" },
    });
    let items = [
        ("identify", json!({ "traits": { "plan": "pro", "company": { "name": "x" } } }), 0),
        (
            "track",
            json!({ "event": "cart", "properties": { "cart_id": "c", "value": 3, "more": [1] }, "traits": { "plan": 3 } }),
            0,
        ),
        (
            "page",
            json!({ "name": "Home", "category": "Docs", "properties": { "url": "https://example.org/" } }),
            1,
        ),
        ("screen", json!({ "name": "Home" }), 1),
        ("group", json!({ "groupId": "g", "traits": { "employees": 3 } }), 1),
        ("alias", json!({ "previousId": "b0" }), 1),
    ];
    let mut batch = Vec::new();
    for (kind, more, ignored) in items {
        let mut item = beside.clone();
        for (name, value) in more.as_object().expect("an object") {
            item[name] = value.clone();
        }
        let (status, answer) = doors.send(&format!("/v1/{kind}"), &item).await;
        let names = ["accepted", "ignored", "rejected", "duplicates", "partial"];
        assert_eq!((status, counts(&answer, names)), (200, [1, ignored, 0, 0, 0]), "{kind}: {answer:#}");
        item["type"] = kind.into();
        item["messageId"] = kind.into();
        batch.push(item);
    }
    let body = json!({ "batch": batch, "sentAt": "2026-01-02T03:04:06Z", "writeKey": "k", "context": {} });
    let names = ["accepted", "ignored", "rejected", "duplicates"];
    assert_eq!(counts(&doors.send("/v1/batch", &body).await.1, names), [6, 4, 0, 0]);
    assert_eq!(
        counts(&doors.send("/v1/batch", &body).await.1, names),
        [0, 0, 0, 6],
        "what links is remembered as the rest"
    );
    // What is ignored fills no list of bad items, and what says nothing of who is who makes nobody.
    let mut conn = doors.store.read().await.expect("a connection");
    assert_eq!(fahrplan::store::rejected::count(&mut conn).await.expect("counted"), 0);
    drop(conn);
    let page = json!({ "anonymousId": "passing by", "name": "Home", "messageId": "p1" });
    assert_eq!(counts(&doors.send("/v1/page", &page).await.1, names), [1, 1, 0, 0]);
    assert_eq!(contact(&doors, "passing by").await, None);
    assert_eq!(contact(&doors, "b1").await, contact(&doors, "7").await);
    let (status, answer) = doors.send("/v1/alias", &json!({ "userId": "7" })).await;
    assert_eq!((status, &answer["rejections"][0]["code"]), (200, &json!("no-previous-id")));
}

#[tokio::test]
async fn an_alias_makes_two_ids_one_person_and_never_two_people_one() {
    let doors = Open::with(Limits::default()).await;
    let say = async |kind: &str, item: Value| {
        let (status, answer) = doors.send(&format!("/v1/{kind}"), &item).await;
        assert_eq!(status, 200, "{answer:#}");
        answer["rejections"].get(0).map(|rejection| rejection["code"].as_str().expect("a code").to_owned())
    };
    let id = async |key: &str| contact(&doors, key).await;
    // A visitor who signed up.
    assert_eq!(say("identify", json!({ "anonymousId": "browser" })).await, None);
    let visitor = id("browser").await;
    assert_eq!(say("alias", json!({ "previousId": "browser", "userId": "ada" })).await, None);
    assert!(visitor.is_some() && id("ada").await == visitor);
    // Who has a new user id, told before and after anything else was said of them.
    assert_eq!(say("alias", json!({ "previousId": "ada", "userId": "ada2" })).await, None);
    assert_eq!(id("ada2").await, visitor);
    assert_eq!(say("alias", json!({ "previousId": "old", "userId": "new" })).await, None);
    assert_eq!(say("identify", json!({ "userId": "old" })).await, None);
    assert!(id("new").await.is_some() && id("old").await == id("new").await);
    // Two visitors who are one.
    assert_eq!(say("identify", json!({ "anonymousId": "tablet" })).await, None);
    assert_eq!(say("alias", json!({ "previousId": "tablet", "userId": "ada" })).await, None);
    doors.advance().await;
    assert_eq!(id("tablet").await, visitor);
    // Two people, and the browser of one of them.
    assert_eq!(say("identify", json!({ "userId": "bob", "anonymousId": "phone" })).await, None);
    let bob = id("bob").await;
    for before in ["bob", "phone"] {
        let alias = json!({ "previousId": before, "userId": "ada", "messageId": before });
        assert_eq!(say("alias", alias.clone()).await.as_deref(), Some("two-people"));
        assert_eq!(say("alias", alias).await, None, "told once; a repeat is a duplicate");
    }
    assert_eq!(
        say("alias", json!({ "previousId": "phone", "userId": "carl" })).await.as_deref(),
        Some("two-people")
    );
    doors.advance().await;
    assert!(
        bob != visitor && id("bob").await == bob && id("phone").await == bob && id("ada").await == visitor
    );
    assert_eq!(id("carl").await, None);
    let mut conn = doors.store.read().await.expect("a connection");
    assert_eq!(fahrplan::store::rejected::count(&mut conn).await.expect("counted"), 3, "kept");
}

// ---------------------------------------------------------------- a database that is away

/// Passes bytes on to a server until it is told to swallow them.
struct Cable {
    at: SocketAddr,
    cut: Arc<std::sync::atomic::AtomicBool>,
}

impl Cable {
    async fn to(server: SocketAddr) -> Cable {
        use std::sync::atomic::Ordering::Relaxed;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cable = Cable { at: listener.local_addr().expect("an address"), cut: Arc::default() };
        let cut = cable.cut.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(server).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                for (mut from, mut to) in [(near_in, far_out), (far_in, near_out)] {
                    let cut = cut.clone();
                    tokio::spawn(async move {
                        let mut bytes = vec![0; 1 << 16];
                        while let Ok(n @ 1..) = from.read(&mut bytes).await {
                            if !cut.load(Relaxed) && to.write_all(&bytes[..n]).await.is_err() {
                                break;
                            }
                        }
                    });
                }
            }
        });
        cable
    }
}

#[test]
fn whoever_watches_learns_in_time_that_the_database_is_away() {
    let server = std::env::var("FAHRPLAN_TEST_POSTGRES").expect("as for the suite of the store");
    if server == "skip" {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let url: sqlx::postgres::PgConnectOptions = server.parse().expect("a URL");
        let far = tokio::net::lookup_host((url.get_host(), url.get_port())).await.expect("looked up").next();
        let cable = Cable::to(far.expect("an address")).await;
        let was = format!("{}:{}", url.get_host(), url.get_port());
        let is = format!("127.0.0.1:{}", cable.at.port());
        let mark = if server.contains('?') { '&' } else { '?' };
        let schema = format!("test_{}_away", std::process::id());
        crate::store::run(&server, &format!("CREATE SCHEMA {schema}")).await;
        let url = format!("{}{mark}options=-c%20search_path%3D{schema}", server.replace(&was, &is));
        let doors = Open::on(Store::open(&url).await.expect("opened"), Limits::default(), None).await;
        let get =
            |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes();
        assert!(doors.say(&get("/readyz")).await.starts_with("HTTP/1.1 200 "));
        assert!(doors.say(&get("/metrics")).await.contains("fahrplan_database_up 1"));

        cable.cut.store(true, std::sync::atomic::Ordering::Relaxed);
        let began = Instant::now();
        let answer = doors.say(&get("/readyz")).await;
        is_problem(&answer, 503, "database-away");
        assert!(answer.contains(&is) && !answer.contains("postgres:"), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let began = Instant::now();
        let answer = doors.say(&get("/metrics")).await;
        assert!(
            answer.contains("fahrplan_database_up 0")
                && answer.contains("fahrplan_backlog{kind=\"inbox\"} NaN"),
            "{answer}"
        );
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        crate::store::run(&server, &format!("DROP SCHEMA {schema} CASCADE")).await;
    });
}
