//! What comes in besides items: consents, what was rejected, and how much of it at once.

use fahrplan::clock::machine_now;
use fahrplan::config::{Config, Secrets};
use fahrplan::http::Settings;
use fahrplan::http::connections::Limits;
use fahrplan::http::limits::Limiter;
use fahrplan::http::sources::Sources;
use fahrplan::id::ContactId;
use fahrplan::store::keys::Scope;
use fahrplan::store::rejected::Junk;
use fahrplan::store::{Store, contacts, events, permissions, rejected};
use fahrplan::time::HOUR;
use serde_json::{Value, json};

use crate::cli::fahrplan;
use crate::doors::{Open, key, split};

async fn contact(doors: &Open, key: &str) -> Option<ContactId> {
    let mut conn = doors.store.read().await.expect("a connection");
    contacts::by_key(&mut conn, key).await.expect("looked up").map(|contact| contact.id)
}

/// The ledger of somebody: what, where, whether, by whom, and what proves it.
async fn ledger(doors: &Open, key: &str) -> Vec<(String, String, bool, String, Option<Value>)> {
    doors.advance().await;
    let contact = contact(doors, key).await.expect("known");
    let mut conn = doors.store.read().await.expect("a connection");
    let lines = permissions::ledger(&mut conn, contact).await.expect("read");
    let told = lines.into_iter().map(|line| {
        let change = line.change;
        let evidence = change.evidence.map(|text| serde_json::from_str(&text).expect("JSON"));
        (
            change.purpose.to_string(),
            change.channel.to_string(),
            change.permit,
            change.source.to_string(),
            evidence,
        )
    });
    told.collect()
}

#[tokio::test]
async fn a_consent_comes_with_its_proof_and_a_grant_never_undoes_a_later_withdrawal() {
    let doors = Open::with(Limits::default()).await;
    let grant = json!({ "user_id": "ada", "purpose": "marketing", "channel": "email", "permit": true,
        "at": "2026-01-02T10:00:00Z", "text": "newsletter-3", "source": "https://shop.example/join", "evidence": { "ip": "192.0.2.1" } });
    let (status, answer) = doors.send("/v1/consents", &grant).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer:#}");
    let proof = json!({ "text": "newsletter-3", "source": "https://shop.example/join", "evidence": { "ip": "192.0.2.1" } });
    let granted = ("marketing".to_owned(), "email".to_owned(), true, "api".to_owned(), Some(proof));
    assert_eq!(ledger(&doors, "ada").await, [granted]);
    // Withdrawn by id of ours, at once; then the grant again, as a client does that got no answer.
    let id = contact(&doors, "ada").await.expect("known").to_string();
    let withdrawal = json!({ "contact": id, "purpose": "marketing", "channel": "email", "permit": false, "message_id": "w" });
    assert_eq!(doors.send("/v1/consents", &withdrawal).await.0, 200);
    assert_eq!(doors.send("/v1/consents", &withdrawal).await.1["duplicates"], 1);
    assert_eq!(doors.send("/v1/consents", &grant).await.0, 200);
    doors.advance().await;
    let contact = contact(&doors, "ada").await.expect("known");
    let mut conn = doors.store.read().await.expect("a connection");
    let lines = permissions::ledger(&mut conn, contact).await.expect("read");
    let newest = lines.iter().max_by_key(|line| line.change.at).expect("lines");
    assert!(!newest.change.permit, "{lines:?}");
}

#[tokio::test]
async fn a_bad_consent_is_refused_alone_and_kept() {
    let doors = Open::with(Limits::default()).await;
    let good = json!({ "userId": "ada", "purpose": "lapsing", "channel": "sms", "permit": false });
    let with = |changes: Value| {
        let mut item = good.clone();
        for (name, value) in changes.as_object().expect("an object") {
            item[name] = value.clone();
        }
        item
    };
    let bad = [
        (with(json!({ "purpose": "marketting" })), "unknown-purpose"),
        (with(json!({ "channel": "fax" })), "unknown-channel"),
        (with(json!({ "permit": "yes" })), "missing-field"),
        (with(json!({ "permit": true })), "no-time"),
        (with(json!({ "permit": true, "at": "2999-01-01T00:00:00Z" })), "in-the-future"),
        (with(json!({ "at": "yesterday" })), "wrong-type"),
        (with(json!({ "evidence": "x".repeat(5_000) })), "too-long"),
        (with(json!({ "userId": null })), "no-identity"),
        (with(json!({ "userId": null, "email": "nobody@example.org" })), "unknown-contact"),
        (json!("yes"), "not-an-object"),
    ];
    for (item, code) in &bad {
        let (status, answer) = doors.send("/v1/consents", item).await;
        assert_eq!((status, answer["code"].as_str()), (422, Some(*code)), "{answer:#}");
    }
    let mut list: Vec<Value> = bad.iter().map(|(item, _)| item.clone()).collect();
    list.insert(3, good.clone());
    let (status, answer) = doors.send("/v1/consents", &list.into()).await;
    assert_eq!((status, &answer["accepted"], &answer["rejected"]), (200, &json!(1), &json!(bad.len())));
    let told = answer["rejections"].as_array().expect("a list");
    assert!(told.iter().all(|told| told["status"] == 422 && told["reason"].as_str().is_some_and(|why| why.contains(' '))));
    assert_eq!((&told[2]["index"], &told[3]["index"]), (&json!(2), &json!(4)));
    assert_eq!(ledger(&doors, "ada").await.len(), 1);
    let mut conn = doors.store.read().await.expect("a connection");
    assert_eq!(rejected::count(&mut conn).await.expect("counted"), 2 * bad.len() as i64);
    drop(conn);
    assert_eq!(doors.send("/v1/consents", &json!([])).await.0, 200);
}

#[tokio::test]
async fn what_was_rejected_is_read_by_whoever_may_read() {
    let mut doors = Open::with(Limits::default()).await;
    for number in 0..5 {
        let item = json!({ "userId": "ada", "event": format!("nothing {number}") });
        assert_eq!(doors.send("/v1/track", &item).await.1["rejected"], 1);
    }
    let (status, first) = doors.get("/v1/rejected?limit=3").await;
    assert_eq!(
        (status, &first["count"], &first["items"][0]["body"]["event"]),
        (200, &json!(5), &json!("nothing 4"))
    );
    let next = first["next"].as_str().expect("there are more");
    let (_, rest) = doors.get(&format!("/v1/rejected?limit=3&before={next}")).await;
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["next"]), (Some(2), &Value::Null));
    assert_eq!(rest["items"][1]["code"], "unknown-event");
    assert_eq!(doors.get("/v1/rejected?limit=many").await.0, 400);
    // What somebody has thrown away is in no answer any more.
    let junk = Junk::One(next.parse().expect("an id"));
    assert_eq!(rejected::discard(&doors.store, &[junk]).await.expect("thrown away"), [1]);
    let (_, left) = doors.get("/v1/rejected").await;
    let events: Vec<&str> = (left["items"].as_array().into_iter().flatten())
        .filter_map(|item| item["body"]["event"].as_str())
        .collect();
    assert_eq!(
        (&left["count"], events),
        (&json!(4), vec!["nothing 4", "nothing 3", "nothing 1", "nothing 0"])
    );
    doors.key = key(&doors.store, &[Scope::Ingest]).await;
    assert_eq!(doors.get("/v1/rejected").await.0, 403);
}

// ---------------------------------------------------------------- once more

#[tokio::test]
async fn what_the_mended_schema_knows_is_taken_when_it_is_tried_again_and_once_only() {
    let dir = crate::cli::empty_dir();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("fahrplan.toml", "[project]\nname = \"test\"\n[database]\nurl = \"sqlite:test.db\"\n");
    let schema = |most: i64, event: &str| {
        write(
            "schema.journey",
            &format!("contact {{\n  plan: text?\n  points: number from 0 to {most}?\n}}\n{event}"),
        );
        let deployed = fahrplan(dir.path(), &["deploy", "--yes"]);
        assert_eq!(deployed.code, 0, "{}", deployed.err);
    };
    schema(10, "event other { code: id }\n");
    let store =
        Store::open(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("opened");
    let doors = Open::deployed(store, Limits::default(), None).await;
    let before = machine_now();
    let sent = [
        json!({ "userId": "ada", "messageId": "m1", "event": "paid", "properties": { "code": "o1" } }),
        // A client that sends it twice, since it is told that it was rejected.
        json!({ "userId": "ada", "messageId": "m1", "event": "paid", "properties": { "code": "o1" } }),
        json!({ "userId": "ada", "event": "paid", "properties": { "code": "o2" } }),
        json!({ "userId": "ada", "event": "paid", "properties": { "code": "cut", "more": "x".repeat(40_000) } }),
        json!({ "userId": "ada", "event": "piad", "properties": { "code": "o3" } }),
    ];
    for item in &sent {
        assert_eq!(doors.send("/v1/track", item).await.1["rejected"], 1);
    }
    let identify = |user: &str, plan: &str| json!({ "userId": user, "messageId": format!("i {user}"), "traits": { "plan": plan, "points": 50 } });
    for user in ["ada", "bob"] {
        assert_eq!(doors.send("/v1/identify", &identify(user, "old")).await.1["partial"], 1);
    }
    // What is said later counts.
    assert_eq!(
        doors
            .send("/v1/identify", &json!({ "userId": "bob", "traits": { "plan": "new", "points": 3 } }))
            .await
            .0,
        200
    );
    doors.advance().await;

    let retry = || {
        let ran = fahrplan(dir.path(), &["events", "rejected", "--retry", "--format", "json"]);
        let told: Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err));
        (
            ran.code,
            ["taken", "taken_before", "still_rejected", "cannot"]
                .map(|what| told[what].as_u64().expect("a number")),
        )
    };
    assert_eq!(retry(), (1, [0, 0, 6, 1]), "as unreadable as before");
    schema(100, "event paid { code: id }\n");
    assert_eq!(retry(), (1, [4, 1, 1, 1]));
    assert_eq!(retry(), (1, [0, 0, 1, 1]), "a repeat has no effect");
    assert_eq!(doors.send("/v1/track", &sent[0]).await.1["duplicates"], 1, "nor has its client's");
    doors.advance().await;
    let mut conn = doors.store.read().await.expect("a connection");
    let ada = contacts::by_key(&mut conn, "ada").await.expect("read").expect("known");
    let bob = contacts::by_key(&mut conn, "bob").await.expect("read").expect("known");
    let paid = events::newest(&mut conn, ada.id, 10).await.expect("read");
    let mut orders: Vec<_> = paid.iter().map(|event| event.fields["code"].to_json()).collect();
    orders.sort_by_key(ToString::to_string);
    assert_eq!(orders, [json!("o1"), json!("o2")]);
    assert!(
        paid.iter().all(|event| (event.occurred_at.0 - before.0).abs() < HOUR),
        "it happened when it came"
    );
    let value = |of: &contacts::Contact, name: &str| of.attributes.get(name).map(|value| value.to_json());
    assert_eq!((value(&ada, "plan"), value(&ada, "points")), (Some(json!("old")), Some(json!(50))));
    assert_eq!((value(&bob, "plan"), value(&bob, "points")), (Some(json!("new")), Some(json!(3))));
    assert_eq!(rejected::count(&mut conn).await.expect("counted"), 2, "what was taken is not listed");
}

#[tokio::test]
async fn what_is_tried_again_takes_no_address_from_anybody_and_an_alias_stays_until_it_is_true() {
    let dir = crate::cli::empty_dir();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    write("fahrplan.toml", "[project]\nname = \"test\"\n[database]\nurl = \"sqlite:test.db\"\n");
    let schema = |most: i64| {
        let text = format!("contact {{\n  email: email? unique\n  points: number from 0 to {most}?\n}}\n");
        write("schema.journey", &text);
        let deployed = fahrplan(dir.path(), &["deploy", "--yes"]);
        assert_eq!(deployed.code, 0, "{}", deployed.err);
    };
    schema(10);
    let store =
        Store::open(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("opened");
    let doors = Open::deployed(store, Limits::default(), None).await;
    let identify = async |user: &str, traits: Value| {
        let (status, answer) = doors.send("/v1/identify", &json!({ "userId": user, "traits": traits })).await;
        assert_eq!(status, 200, "{answer:#}");
        doors.advance().await;
    };
    // Both said something that did not fit, and have other addresses since; one of the old ones is somebody else's.
    identify("ada", json!({ "email": "old@example.org", "points": 50 })).await;
    identify("ada", json!({ "email": "new@example.org" })).await;
    identify("bob", json!({ "email": "shared@example.org", "points": 50 })).await;
    identify("bob", json!({ "email": "bob@example.org" })).await;
    identify("cleo", json!({ "email": "shared@example.org" })).await;
    let alias = json!({ "previousId": "ada", "userId": "bob", "messageId": "two" });
    assert_eq!(doors.send("/v1/alias", &alias).await.1["rejections"][0]["code"], "two-people");
    schema(100);
    let retry = || {
        let ran = fahrplan(dir.path(), &["events", "rejected", "--retry", "--format", "json"]);
        let told: Value = serde_json::from_str(&ran.out).expect("JSON");
        ["taken", "taken_before", "still_rejected"].map(|what| told[what].as_u64().expect("a number"))
    };
    assert_eq!(retry(), [2, 0, 1]);
    doors.advance().await;
    assert_eq!((retry(), retry()), ([0, 0, 1], [0, 0, 1]), "what is not true is not done, and not lost");
    let mut conn = doors.store.read().await.expect("a connection");
    let mut found = async |key: &str| contacts::by_key(&mut conn, key).await.expect("read");
    for (user, email, points) in [
        ("ada", "new@example.org", Some(json!(50))),
        ("bob", "bob@example.org", Some(json!(50))),
        ("cleo", "shared@example.org", None),
    ] {
        let contact = found(user).await.expect("known");
        let value = |name: &str| contact.attributes.get(name).map(|value| value.to_json());
        assert_eq!((value("email"), value("points")), (Some(json!(email)), points), "{user}");
        assert_eq!(found(email).await.map(|by_email| by_email.id), Some(contact.id), "{user}");
    }
    assert_eq!(found("old@example.org").await, None);
}

// ---------------------------------------------------------------- how much at once

#[tokio::test]
async fn who_sends_more_than_a_key_may_is_told_when_to_come_again_and_is_let_in_then() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", directory.path().join("test.db").display());
    let store = Store::open(&url).await.expect("the database opens");
    fahrplan::store::journeys::deploy(&store, &crate::engine::build::catalog(), &[], machine_now())
        .await
        .expect("deployed");
    let settings = Settings { limits: Limiter::new(10, 1), ..Settings::default() };
    let mut doors = Open::set(store, Limits::default(), Some(directory), settings).await;
    let items: Vec<Value> =
        (0..45).map(|n| json!({ "type": "identify", "userId": format!("u{n}") })).collect();
    assert_eq!(doors.send("/v1/batch", &json!({ "batch": items })).await.1["accepted"], 45);
    let one = json!({ "userId": "u" });
    let more = format!("connection: close\r\ncontent-length: {}\r\n", one.to_string().len());
    let refused = doors.say(format!("{}{one}", doors.post("/v1/identify", &more)).as_bytes()).await;
    assert_eq!((split(&refused).0, split(&refused).1["code"].as_str()), (429, Some("too-many")), "{refused}");
    let wait = refused.lines().find_map(|line| line.strip_prefix("retry-after: ")).expect("a header");
    let wait: u64 = wait.trim().parse().expect("seconds");
    assert!((1..=4).contains(&wait), "35 too many, of 10 a second: {wait}");
    assert_eq!(doors.send("/v1/consents", &one).await.0, 429, "it is one limit");
    let first = std::mem::replace(&mut doors.key, key(&doors.store, &[Scope::Ingest]).await);
    assert_eq!(doors.send("/v1/identify", &one).await.0, 200, "another key has its own");
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    doors.key = first;
    assert_eq!(doors.send("/v1/identify", &one).await.0, 200);

    // Who guesses keys, or asks without one, from the address that our proxy tells.
    let ask = async |headers: &str| {
        split(
            &doors
                .say(
                    format!("GET /v1/rejected HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
                        .as_bytes(),
                )
                .await,
        )
        .0
    };
    for headers in [
        "x-forwarded-for: 203.0.113.5\r\n",
        "x-forwarded-for: 203.0.113.6\r\nauthorization: Bearer fp_guess\r\n",
    ] {
        let mut told = Vec::new();
        for _ in 0..12 {
            told.push(ask(headers).await);
        }
        assert!(told[0] == 401 && told.contains(&429), "{told:?}");
    }
    for _ in 0..12 {
        assert_eq!(ask("").await, 401, "programs on this machine are no strangers");
    }
    let good = format!("x-forwarded-for: 203.0.113.6\r\nauthorization: Bearer {}\r\n", doors.key);
    assert_eq!(ask(&good).await, 200, "who has a good key is heard from there too");
}

// ---------------------------------------------------------------- programs that call by themselves

fn signed(text: &str) -> Vec<u8> {
    use hmac::{KeyInit as _, Mac as _};
    let mut hmac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"the secret").expect("any key");
    hmac.update(text.as_bytes());
    hmac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SOURCES: &str = r#"
[sources.shop]
secret = "secret:shop"
event = "/type"
events = { "order.created" = "order" }
user = "/data/customer/id"
id = "/id"
at = "/created"
properties = "/data"
fields = { order_id = "/data/number" }

[sources.till]
secret = "secret:shop"
header = "X-Till"
timestamp = "X-Till-Sent"
event = "signed_up"
user = "/who"
email = "/mail"
phone = "/phone"
anonymous = "/visitor"
"#;

#[tokio::test]
async fn a_program_that_signs_what_it_says_is_believed_and_a_repeat_or_a_forgery_does_nothing() {
    let environment = [("FAHRPLAN_SECRET_SHOP".to_owned(), "the secret".to_owned())].into();
    let (config, problems) = Config::read(SOURCES, &environment);
    assert!(problems.is_empty(), "{problems:?}");
    let secrets = Secrets::new(&config, std::path::Path::new("."), &environment);
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", directory.path().join("test.db").display());
    let store = Store::open(&url).await.expect("the database opens");
    let catalog = crate::engine::build::catalog();
    fahrplan::store::journeys::deploy(&store, &catalog, &[], machine_now()).await.expect("deployed");
    let sources = Sources { declared: config.sources, secrets };
    let settings = Settings { sources, ..Settings::default() };
    let doors = Open::set(store, Limits::default(), Some(directory), settings).await;
    let post = async |name: &str, headers: &str, body: &str| {
        let length = body.len();
        let head = format!("POST /v1/sources/{name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        let text = format!("{head}content-length: {length}\r\n{headers}\r\n{body}");
        split(&doors.say(text.as_bytes()).await)
    };
    let order = |id: &str, kind: &str, value: &str| {
        let data = format!(r#"{{"customer": {{"id": 7}}, "number": "o1",  "value": {value}}}"#);
        format!(r#"{{"id": "{id}",  "type": "{kind}", "created": "2026-01-02T03:04:05Z", "data": {data}}}"#)
    };
    let signature = |body: &str| format!("x-signature: sha256={}\r\n", hex(&signed(body)));
    let count = |(status, answer): (u16, Value)| {
        assert_eq!(status, 200, "{answer:#}");
        ["accepted", "ignored", "duplicates", "rejected"].map(|name| answer[name].as_u64().expect("a number"))
    };
    let body = order("1", "order.created", "12.5");
    assert_eq!(count(post("shop", &signature(&body), &body).await), [1, 0, 0, 0]);
    assert_eq!(count(post("shop", &signature(&body), &body).await), [0, 0, 1, 0], "the same again");
    let later = body.replace("12.5", "12.50");
    assert_eq!(count(post("shop", &signature(&later), &later).await), [0, 0, 1, 0], "the same id");
    let other = order("2", "order.deleted", "1");
    assert_eq!(count(post("shop", &signature(&other), &other).await), [1, 1, 0, 0], "none of ours");
    let bad = order("3", "order.created", "\"much\"");
    assert_eq!(count(post("shop", &signature(&bad), &bad).await), [0, 0, 0, 1]);

    for headers in
        ["".to_owned(), "x-signature: sha256=00\r\n".to_owned(), signature("{}"), signature(&later)]
    {
        let (status, answer) = post("shop", &headers, &body).await;
        assert_eq!((status, answer["code"].as_str()), (401, Some("bad-signature")), "{headers}");
    }
    assert_eq!(post("shop", &signature("no json"), "no json").await.0, 400);
    assert_eq!(post("nobody", &signature(&body), &body).await.0, 404);

    // Who says when, is believed for five minutes; the moment is signed too.
    let body = r#"{"who": "eve"}"#;
    let till = |sent: i64, signed_as: i64| {
        use base64::Engine as _;
        let signature =
            base64::engine::general_purpose::STANDARD.encode(signed(&format!("{signed_as}.{body}")));
        format!("x-till-sent: {sent}\r\nx-till: {signature}\r\n")
    };
    let now = machine_now().0 / 1_000;
    for (headers, status) in [
        (till(now - 310, now - 310), 401),
        (till(now + 400, now + 400), 401),
        (till(now, now - 310), 401),
        (signature(body), 401),
        (till(now - 200, now - 200), 200),
    ] {
        assert_eq!(post("till", &headers, body).await.0, status, "{headers}");
    }
    let again = post("till", &till(now - 200, now - 200), body).await;
    assert_eq!(count(again), [0, 0, 1, 0], "taken down and sent again");

    // The first of the places that hold something says who it was; who comes with an address alone is reached there.
    for (body, who) in [
        (r#"{"who": "", "mail": "Nora@example.org", "phone": "+49 30 1"}"#, "nora@example.org"),
        (r#"{"who": null, "phone": "+49 30 2"}"#, "+49302"),
        (r#"{"visitor": "v9"}"#, "v9"),
        (r#"{"who": "otto", "mail": "of.somebody.else@example.org"}"#, "otto"),
    ] {
        use base64::Engine as _;
        let signature = base64::engine::general_purpose::STANDARD.encode(signed(&format!("{now}.{body}")));
        let headers = format!("x-till-sent: {now}\r\nx-till: {signature}\r\n");
        assert_eq!(count(post("till", &headers, body).await), [1, 0, 0, 0], "{body}");
        assert_eq!(count(post("till", &headers, body).await), [0, 0, 1, 0], "{body}");
        doors.advance().await;
        let mut conn = doors.store.read().await.expect("a connection");
        let contact = contacts::by_key(&mut conn, who).await.expect("read").expect("known");
        assert_eq!(events::newest(&mut conn, contact.id, 10).await.expect("read").len(), 1, "{who}");
        let email = contact.attributes.get("email").map(|email| email.to_json());
        assert_eq!(email, who.contains('@').then(|| json!("Nora@example.org")), "{who}");
    }
    let signature = |body: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(signed(&format!("{now}.{body}")))
    };
    let nobody = format!("x-till-sent: {now}\r\nx-till: {}\r\n", signature("{}"));
    assert_eq!(count(post("till", &nobody, "{}").await), [0, 0, 0, 1]);

    doors.advance().await;
    let mut conn = doors.store.read().await.expect("a connection");
    let seven = contacts::by_key(&mut conn, "7").await.expect("read").expect("known");
    let came = events::newest(&mut conn, seven.id, 10).await.expect("read");
    assert_eq!(came.len(), 1);
    let (at, value) = (came[0].occurred_at.to_string(), came[0].fields["value"].to_json());
    assert_eq!((at.as_str(), value), ("2026-01-02T03:04:05Z", json!("12.50")));
    assert_eq!(rejected::list(&mut conn, None, 9).await.expect("read")[1].code, "wrong-type");
}

#[test]
fn a_secret_of_a_source_stands_in_no_file_of_the_project() {
    let said = |text: &str| {
        let (_, problems) = Config::read(&SOURCES.replace("\"secret:shop\"", text), &[].into());
        problems.into_iter().map(|problem| problem.message).collect::<String>()
    };
    assert!(
        said("\"hunter2\"").contains("stand in no file of the project")
            && !said("\"hunter2\"").contains("hunter2")
    );
    let told = |text: &str| Config::read(text, &[].into()).1[0].message.clone();
    assert!(told(&SOURCES.replace("\"/who\"", "\"who\"")).contains("is no place"));
    let nobody = SOURCES.replace("user = \"/data/customer/id\"\n", "");
    assert!(told(&nobody).contains("where a body says who it was"), "{}", told(&nobody));
}
