//! What leaves for other programs, as they meet it: requests to endpoints, texts to gateways; and what those report.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use fahrplan::channels::Channel;
use fahrplan::channels::email::Email;
use fahrplan::channels::guard::{Call, Guard};
use fahrplan::channels::message::read_mailbox;
use fahrplan::clock::machine_now;
use fahrplan::config::{Config, Gateway, Secrets};
use fahrplan::daemon::{Others, Way};
use fahrplan::diagnostic::{Look, Severity, render_all};
use fahrplan::engine::world::{ConsentChange, Input as Incoming_};
use fahrplan::http::Settings;
use fahrplan::http::connections::Limits;
use fahrplan::intake::Who;
use fahrplan::lang::{self, Input};
use fahrplan::store::held::Held;
use fahrplan::store::import::{self, Person};
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::journeys::{self, Release};
use fahrplan::store::templates::Templates;
use fahrplan::store::{Store, contacts, enrollments, why};

use crate::daemon::{Served, until};
use crate::doors::{Open, split};
use crate::engine::build::{fields, text};
use crate::mail::sender;
use crate::store::{Database, on_all, on_both, who};

const SCHEMA: &str = r#"
contact { email: email?, phone: phone?, plan: one of [free, pro] = free, code: text = "none" }
channel email { sends "smtp", address contact.email, class message }
endpoint voucher.issue { method "POST", url "secret:vouchers", timeout 1 second, retries 5, returns { code: text } }
endpoint crm.note { method "POST", url "secret:crm", timeout 1 second, retries 1 }
endpoint crm.tell { url "secret:crm", headers ["Authorization: Bearer secret:token", "X-Shop: seven"], retries 0 }
endpoint crm.look { method "GET", url "secret:crm", timeout 1 second, retries 0, returns { level: number?, name: text } }
"#;

const HEAD: &str = "reenter never\n  lasts up to 30 days\n  enter by start\n";

/// A daemon with journeys of its own.
struct Running {
    store: Store,
    daemon: Served,
}

impl Running {
    /// Deploys a journey `j` with that body (for marketing, if it sends texts) and starts; `secrets` are the addresses of endpoints.
    async fn start(database: &Database, body: &str, secrets: &[(&str, String)], way: Option<Way>) -> Running {
        Running::start_with(database, body, secrets, way, BTreeMap::new()).await
    }

    /// The same with gateways that have words of their own.
    async fn start_with(
        database: &Database,
        body: &str,
        secrets: &[(&str, String)],
        way: Option<Way>,
        gateways: BTreeMap<String, Gateway>,
    ) -> Running {
        let store = database.open().await;
        deploy(&store, body).await;
        let way = way.unwrap_or_else(|| {
            let from = read_mailbox("Shop <news@example.org>").expect("an address");
            Way::Channel(Channel::Email(Box::new(Email::new(sender("smtp://127.0.0.1:1", |_| {}), from))))
        });
        let environment: BTreeMap<String, String> = secrets
            .iter()
            .map(|(name, url)| (format!("FAHRPLAN_SECRET_{}", name.to_uppercase()), url.clone()))
            .collect();
        let secrets = Secrets::new(&Config::default(), std::path::Path::new("."), &environment);
        let guard = Guard::new(vec!["127.0.0.1".parse().expect("an address")]);
        let daemon = Served::start(&store, way, Others::new(guard, secrets).with_gateways(gateways)).await;
        Running { store, daemon }
    }

    /// Imports them, and puts them into the journey.
    async fn send_in(&self, names: &[String]) {
        let permit = ConsentChange {
            purpose: "marketing".into(),
            channel: "sms".into(),
            permit: true,
            at: machine_now(),
            source: "form".into(),
            evidence: None,
        };
        let person = |(number, name): (usize, &String)| {
            let phone = format!("+49 151 {number:08}");
            let attributes =
                fields(&[("email", text(&format!("{name}@example.com"))), ("phone", text(&phone))]);
            let who = Who { phone: Some(phone), ..who(name) };
            Person { who, attributes, consents: vec![permit.clone()] }
        };
        let people: Vec<Person> = names.iter().enumerate().map(person).collect();
        import::contacts(&self.store, &people, machine_now()).await.expect("imported");
        for name in names {
            let mut conn = self.store.read().await.expect("a connection");
            let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there").id;
            drop(conn);
            let input =
                Incoming_::Start { journey: "j".into(), arguments: Default::default(), at: machine_now() };
            let item = Incoming { to: To::Contact(contact), message_id: None, input };
            self.store.accept(vec![item], machine_now()).await.expect("accepted");
        }
    }

    /// How everybody left, and the code they have.
    async fn ends(&self, names: &[String]) -> Vec<(String, String)> {
        let mut conn = self.store.read().await.expect("a connection");
        let mut ends = Vec::new();
        for name in names {
            let contact = contacts::by_key(&mut conn, name).await.expect("read").expect("there");
            let lines = enrollments::of_contact(&mut conn, contact.id).await.expect("read");
            let reason = lines.first().and_then(|line| line.reason.clone());
            let code = contact.attributes.get("code").and_then(|code| code.as_text()).unwrap_or("none");
            ends.extend(reason.map(|reason| (reason.to_string(), code.to_owned())));
        }
        ends
    }

    /// Waits until all have left, and lets the time of every next try come meanwhile.
    async fn all_out(&self, names: &[String]) -> Vec<(String, String)> {
        until("an end for everybody", async || {
            let mut tx = self.store.write().await.expect("a transaction");
            const NOW: &str = "UPDATE deliveries SET again_at = 1 WHERE state = 'deferred'";
            tx.exec(NOW, Vec::new()).await.expect("the time has come");
            tx.commit().await.expect("committed");
            self.store.wake();
            self.ends(names).await.len() == names.len()
        })
        .await;
        self.ends(names).await
    }

    /// State, attempts, result and next try of the one request.
    async fn request(&self) -> Option<(String, i64, String, i64)> {
        const ONE: &str = "SELECT state, attempts, COALESCE(result, ''), COALESCE(again_at, 0) FROM deliveries WHERE kind = 1";
        let mut conn = self.store.read().await.expect("a connection");
        let rows = conn.fetch(ONE, Vec::new()).await.expect("read");
        let row = rows.first()?;
        let text = |column| row.text(column).expect("a text").to_owned();
        Some((text(0), row.i64(1).expect("a number"), text(2), row.i64(3).expect("a number")))
    }

    async fn stop(self) {
        self.daemon.stop().await;
    }
}

async fn deploy(store: &Store, body: &str) {
    let mut input = Input::default();
    let sends_texts = body.contains("send sms");
    let schema = if sends_texts { format!("{SCHEMA}{TEXTS}") } else { SCHEMA.to_owned() };
    let because = if sends_texts { "purpose marketing" } else { "purpose transactional because \"a test\"" };
    input.sources.add("schema.journey".into(), schema);
    let journey = format!("journey j \"J\" {{\n  {because}\n  {HEAD}  {body}\n}}\n");
    input.sources.add("journeys/j.journey".into(), journey);
    if sends_texts {
        let file = input.sources.add(format!("templates/{}", HELLO.0), HELLO.1.to_owned());
        input.templates.insert(HELLO.0.to_owned(), file);
    }
    let compiled = lang::compile(&input);
    let wrong = compiled.diagnostics.iter().any(|d| d.severity() == Severity::Error);
    assert!(!wrong, "{}", render_all(&input.sources, &compiled.diagnostics, Look::PLAIN));
    let files =
        [HELLO].into_iter().filter(|_| sends_texts).map(|(path, text)| (path.to_owned(), text.to_owned()));
    let templates = Templates { files: files.collect(), locale: "en".to_owned(), ..Templates::default() };
    let release = Release { catalog: &compiled.catalog, programs: &compiled.programs, templates: &templates };
    journeys::release(store, release, machine_now()).await.expect("deployed");
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// How often its key had come before.
    pub(crate) repeats: usize,
}

impl Seen {
    fn key(&self) -> String {
        let key = self.headers.get("idempotency-key").expect("each request has a key");
        key.to_str().expect("a text").to_owned()
    }
}

pub(crate) type All = Arc<Mutex<Vec<Seen>>>;

/// A server on this machine that answers as told.
pub(crate) async fn server<F>(answer: impl Fn(Seen) -> F + Clone + Send + Sync + 'static) -> (SocketAddr, All)
where
    F: Future<Output = Response> + Send,
{
    let all = All::default();
    let kept = all.clone();
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let (kept, answer) = (kept.clone(), answer.clone());
        async move {
            let body = String::from_utf8_lossy(&body).into_owned();
            let mut seen = Seen { method, uri, headers, body, repeats: 0 };
            {
                let mut kept = kept.lock().expect("whole");
                let key = |seen: &Seen| seen.headers.get("idempotency-key").cloned();
                seen.repeats = kept.iter().filter(|before| key(before) == key(&seen)).count();
                kept.push(seen.clone());
            }
            answer(seen).await
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    (at, all)
}

fn json(text: &str) -> Response {
    ([("content-type", "application/json")], text.to_owned()).into_response()
}

const VOUCHER: &str = "request voucher.issue with { plan: contact.plan, percent: 20% } as v else { exit as refused }\n  \
                       set contact.code = v.code\n  exit as served";
const NOTE: &str =
    "request crm.note with { plan: contact.plan } as v else { exit as refused }\n  exit as served";
const LOOK_UP: &str = "request crm.look with { plan: contact.plan, q: \"a b&c\" } as v else { exit as refused }\n  \
                       set contact.code = v.name\n  exit as served";

#[test]
fn an_endpoint_that_fails_and_hangs_acts_once_for_each_key() {
    on_all(async |database| {
        let effects: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let acted = effects.clone();
        let (at, all) = server(move |seen: Seen| {
            let acted = acted.clone();
            async move {
                let key = seen.key();
                let dice = blake3::hash(format!("{key} {}", seen.repeats).as_bytes()).as_bytes()[0] % 20;
                // One in ten before it acts.
                if seen.repeats < 4 && dice < 2 {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
                let number = {
                    let mut acted = acted.lock().expect("whole");
                    let next = acted.len();
                    *acted.entry(key).or_insert(next)
                };
                match dice {
                    // One in ten after it has acted, and one in twenty never.
                    2 | 3 if seen.repeats < 4 => StatusCode::BAD_GATEWAY.into_response(),
                    4 if seen.repeats < 4 => std::future::pending().await,
                    _ => json(&format!("{{\"code\": \"V{number}\", \"more\": true}}")),
                }
            }
        })
        .await;
        let secrets = [("vouchers", format!("http://shop:geheim@{at}/vouchers?x=1"))];
        let running = Running::start(&database, VOUCHER, &secrets, None).await;
        let names: Vec<String> = (0..60).map(|number| format!("u{number}")).collect();
        running.send_in(&names).await;
        let ends = running.all_out(&names).await;
        running.stop().await;
        assert!(ends.iter().all(|(reason, _)| reason == "served"), "{ends:?}");
        // One key for each person, one effect for each key, and everybody has the result of their own.
        let effects = effects.lock().expect("whole");
        let mut codes: Vec<&String> = ends.iter().map(|(_, code)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!((effects.len(), codes.len()), (60, 60));
        let all = all.lock().expect("whole");
        let again = all.iter().filter(|seen| seen.repeats > 0).count();
        assert!(again >= 5, "{again} repeats");
        for seen in all.iter() {
            assert_eq!((&seen.method, seen.uri.to_string().as_str()), (&Method::POST, "/vouchers?x=1"));
            assert_eq!(seen.body, r#"{"percent":"20%","plan":"free"}"#);
            assert_eq!(seen.headers["authorization"], "Basic c2hvcDpnZWhlaW0=");
            assert!(seen.key().starts_with("dl_"), "{}", seen.key());
        }
    });
}

/// One person, one answer; how the person left, and what the request came to.
async fn one(
    database: &Database,
    body: &str,
    answer: fn() -> Response,
) -> ((String, String), (String, i64, String, i64), All) {
    let (at, all) = server(move |_| async move { answer() }).await;
    let url = format!("http://{at}/geheim");
    let running = Running::start(database, body, &[("vouchers", url.clone()), ("crm", url)], None).await;
    let names = ["ada".to_owned()];
    running.send_in(&names).await;
    let end = running.all_out(&names).await.remove(0);
    let request = running.request().await.expect("a request");
    running.stop().await;
    (end, request, all)
}

#[test]
fn answers_are_classed() {
    // The answer, the journey, how one leaves, the tries, and what is said of it.
    type Case = (fn() -> Response, &'static str, (&'static str, &'static str), i64, &'static str);
    let cases: [Case; 9] = [
        (|| StatusCode::NO_CONTENT.into_response(), NOTE, ("served", "none"), 1, ""),
        (|| json("{\"code\": \"V1\"}"), VOUCHER, ("served", "V1"), 1, ""),
        (
            || json("{\"code\": [1]}"),
            VOUCHER,
            ("refused", "none"),
            1,
            "its answer is not what `returns` says: `code` is no text",
        ),
        (
            || json("no"),
            VOUCHER,
            ("refused", "none"),
            1,
            "its answer is not what `returns` says: it is no JSON",
        ),
        (|| StatusCode::NOT_FOUND.into_response(), NOTE, ("refused", "none"), 1, "it answered 404"),
        (
            || (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response(),
            NOTE,
            ("refused", "none"),
            1,
            "302: it leads elsewhere, which is not followed",
        ),
        (
            || StatusCode::SERVICE_UNAVAILABLE.into_response(),
            NOTE,
            ("refused", "none"),
            2,
            "given up after 2 tries: it answered 503",
        ),
        (
            || json(&"x".repeat(1 << 21)),
            NOTE,
            ("refused", "none"),
            1,
            "the answer is larger than 1048576 bytes",
        ),
        (|| json("{\"name\": \"Ada\", \"level\": null}"), LOOK_UP, ("served", "Ada"), 1, ""),
    ];
    for (answer, body, end, tries, why) in cases {
        on_both(async |database| {
            let (ended, (state, attempts, result, _), all) = one(&database, body, answer).await;
            assert_eq!((ended.0.as_str(), ended.1.as_str()), end, "{why}: {result}");
            assert_eq!((attempts, result.as_str()), (tries, why));
            assert_eq!(state, if end.0 == "served" { "accepted" } else { "refused" });
            let all = all.lock().expect("whole");
            assert_eq!(all.len() as i64, tries);
            if body == LOOK_UP {
                assert_eq!(all[0].uri.to_string(), "/geheim?plan=free&q=a+b%26c");
                assert_eq!((&all[0].method, all[0].body.as_str()), (&Method::GET, ""));
            }
        });
    }
}

#[test]
fn who_asks_for_time_gets_it() {
    on_both(async |database| {
        let (at, all) =
            server(|_| async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7200")]).into_response() })
                .await;
        let secrets = [("crm", format!("http://{at}/"))];
        let running = Running::start(&database, NOTE, &secrets, None).await;
        running.send_in(&["ada".to_owned()]).await;
        until("a deferral", async || running.request().await.is_some_and(|request| request.0 == "deferred"))
            .await;
        let (_, attempts, result, again_at) = running.request().await.expect("a request");
        let wait = again_at - machine_now().0;
        assert!((7_100_000..=7_200_000).contains(&wait), "{wait}");
        assert_eq!((attempts, result.as_str(), all.lock().expect("whole").len()), (1, "it answered 429", 1));
        running.stop().await;
    });
}

const TELL: &str =
    "request crm.tell with { plan: contact.plan } as v else { exit as refused }\n  exit as served";

#[test]
fn an_endpoint_gets_its_headers_and_nobody_else_sees_their_secrets() {
    on_both(async |database| {
        let (at, all) = server(|_| async { json("{}") }).await;
        let secrets = [("crm", format!("http://{at}/")), ("token", "hunter2".to_owned())];
        let running = Running::start(&database, TELL, &secrets, None).await;
        let names = ["ada".to_owned()];
        running.send_in(&names).await;
        assert_eq!(running.all_out(&names).await[0].0, "served");
        let seen = all.lock().expect("whole")[0].clone();
        assert_eq!(
            (seen.headers["authorization"].as_bytes(), seen.headers["x-shop"].as_bytes()),
            (&b"Bearer hunter2"[..], &b"seven"[..])
        );
        assert_eq!(seen.headers["content-type"], "application/json");
        // The catalog names the secret, and nothing in the database is it.
        let mut conn = running.store.read().await.expect("a connection");
        let catalog = journeys::deployed(&mut conn).await.expect("read").catalog.clone();
        assert!(catalog.ways_out().any(|text| text == "secret:token"));
        assert!(!catalog.to_bytes().windows(7).any(|bytes| bytes == b"hunter2"));
        const ALL: &str = "SELECT COALESCE(result, '') FROM deliveries UNION ALL SELECT notes FROM history";
        for row in conn.fetch(ALL, Vec::new()).await.expect("read") {
            assert!(!row.text(0).expect("a text").contains("hunter2"));
        }
        drop(conn);
        running.stop().await;
    });
    // One that cannot be had, or that would end the header.
    for secret in [None, Some("a\r\nHost: b")] {
        on_both(async |database| {
            let (at, all) = server(|_| async { json("{}") }).await;
            let mut secrets = vec![("crm", format!("http://{at}/"))];
            secrets.extend(secret.map(|secret| ("token", secret.to_owned())));
            let running = Running::start(&database, TELL, &secrets, None).await;
            let names = ["ada".to_owned()];
            running.send_in(&names).await;
            assert_eq!(running.all_out(&names).await[0].0, "refused");
            let (_, _, result, _) = running.request().await.expect("a request");
            assert!(result.contains("the secret of a header cannot be had or sent"), "{result}");
            assert_eq!(all.lock().expect("whole").len(), 0);
            running.stop().await;
        });
    }
}

#[test]
fn what_lies_inside_and_what_nobody_knows_is_not_asked() {
    on_both(async |database| {
        // Another address of this machine than the one that is allowed.
        let canary = tokio::net::TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let at = canary.local_addr().expect("an address");
        let secrets = [("crm", format!("http://geheim@{at}/"))];
        let running = Running::start(&database, NOTE, &secrets, None).await;
        running.send_in(&["ada".to_owned()]).await;
        let names = ["ada".to_owned()];
        assert_eq!(running.all_out(&names).await[0].0, "refused");
        let (_, _, result, _) = running.request().await.expect("a request");
        assert!(result.contains("loopback") && result.contains("[requests] allow"), "{result}");
        assert!(!result.contains("geheim") && !result.contains("127"), "{result}");
        let nobody = tokio::time::timeout(Duration::from_millis(100), canary.accept()).await;
        assert!(nobody.is_err(), "nobody came");
        running.stop().await;
    });
    // A secret that is missing may still be set: it is tried as often as `retries` says.
    on_both(async |database| {
        let running = Running::start(&database, NOTE, &[], None).await;
        let names = ["ada".to_owned()];
        running.send_in(&names).await;
        assert_eq!(running.all_out(&names).await[0].0, "refused");
        let (_, attempts, result, _) = running.request().await.expect("a request");
        assert_eq!(
            (attempts, result.as_str()),
            (2, "given up after 2 tries: its address is a secret that cannot be had")
        );
        // Who asks why is told so.
        let mut conn = running.store.read().await.expect("a connection");
        let held = Held::find(&mut conn, "ada", machine_now()).await.expect("read").expect("there");
        let story = why::stories(&mut conn, &held, Some("j"), machine_now()).await.expect("told").remove(0);
        drop(conn);
        let wanted = format!("the request `crm.note` ended with `failed`: {result}");
        assert!(story.told.iter().any(|told| told.text == wanted), "{:?}", story.told);
        running.stop().await;
    });
}

#[test]
fn a_rehearsal_asks_nobody_and_goes_on_with_samples() {
    on_both(async |database| {
        let (at, all) = server(|_| async { json("{\"code\": \"real\"}") }).await;
        let secrets = [("vouchers", format!("http://{at}/"))];
        let running = Running::start(&database, VOUCHER, &secrets, Some(Way::Rehearse)).await;
        let names = ["ada".to_owned()];
        running.send_in(&names).await;
        assert_eq!(running.all_out(&names).await, [("served".to_owned(), "[code]".to_owned())]);
        assert_eq!(all.lock().expect("whole").len(), 0);
        running.stop().await;
    });
}

// ---------------------------------------------------------------- gateways

const TEXTS: &str = r#"
channel sms { sends "secret:sms", address contact.phone, class message, abilities [replies] }
policy rules { consent marketing on sms }
"#;

const HELLO: (&str, &str) = ("hello/sms.en.txt.hbs", "Hello, you are {{contact.plan}}.");

const ASKED: &str = "send sms hello as text\n  wait up to 1 day for text.delivered as arrival\n  \
                     wait up to 1 day for text.replied as reaction\n  set contact.code = reaction.text otherwise \"none\"\n  \
                     exit as served";
const SENT: &str = "send sms hello as text\n  wait up to 1 day for text.sent, text.failed, text.bounced as fate\n  exit as served";

/// The fields of a form or a query.
fn pairs(text: &str) -> HashMap<String, String> {
    let url = reqwest::Url::parse(&format!("form:?{text}")).expect("a form");
    url.query_pairs().into_owned().collect()
}

/// Says something to our doors; the status and what came back.
async fn tell(
    running: &Running,
    path: &str,
    headers: &[(&'static str, String)],
    body: String,
) -> (u16, String) {
    let guard = Guard::new(vec!["127.0.0.1".parse().expect("an address")]);
    let headers = headers.iter().map(|(name, value)| {
        (reqwest::header::HeaderName::from_static(name), value.parse().expect("a value"))
    });
    let answer = guard
        .ask(Call {
            method: Method::POST,
            url: format!("http://{}{path}", running.daemon.doors).parse().expect("a URL"),
            headers: headers.collect(),
            body: Some(body.into_bytes()),
            timeout: Duration::from_secs(10),
        })
        .await
        .expect("an answer");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// As Twilio calls us.
async fn as_twilio(running: &Running, path: &str, fields: &[(&str, &str)], token: &str) -> u16 {
    use base64::Engine as _;
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(token.as_bytes()).expect("a key");
    mac.update(format!("https://shop.example{path}").as_bytes());
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    sorted.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let mut form = reqwest::Url::parse("form:").expect("a URL");
    form.query_pairs_mut().extend_pairs(fields);
    let headers =
        [("x-twilio-signature", signature), ("content-type", "application/x-www-form-urlencoded".to_owned())];
    tell(running, path, &headers, form.query().unwrap_or_default().to_owned()).await.0
}

/// As a gateway of the generic dialect calls us.
async fn as_generic(running: &Running, body: &str, secret: &str) -> (u16, String) {
    use hmac::{KeyInit as _, Mac as _};
    let at = machine_now().0 / 1_000;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{at}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers =
        [("x-fahrplan-timestamp", at.to_string()), ("x-fahrplan-signature", format!("sha256={hex}"))];
    tell(running, "/v1/receipts/generic", &headers, body.to_owned()).await
}

impl Running {
    /// Why an address is not used any more.
    async fn suppressed(&self, address: &str) -> Option<String> {
        let mut conn = self.store.read().await.expect("a connection");
        const WHY: &str = "SELECT reason FROM suppressions WHERE address = $1";
        let rows = conn.fetch(WHY, vec![address.into()]).await.expect("read");
        rows.first().map(|row| row.text(0).expect("a text").to_owned())
    }

    /// The states of all messages.
    async fn states(&self) -> Vec<String> {
        const ALL: &str = "SELECT state, COALESCE(result, '') FROM deliveries WHERE kind = 0 ORDER BY id";
        let mut conn = self.store.read().await.expect("a connection");
        let rows = conn.fetch(ALL, Vec::new()).await.expect("read");
        rows.iter()
            .map(|row| format!("{} {}", row.text(0).expect("text"), row.text(1).expect("text")))
            .collect()
    }
}

#[test]
fn a_text_goes_out_by_twilio_and_its_reports_and_answers_come_back() {
    on_both(async |database| {
        let (at, all) =
            server(|_| async { (StatusCode::CREATED, json(r#"{"sid": "SM1"}"#)).into_response() }).await;
        let secrets = [("sms", format!("twilio://AC1:geheim@{at}?from=+4930123"))];
        let running = Running::start(&database, ASKED, &secrets, None).await;
        let names = ["ada".to_owned(), "ben".to_owned(), "cleo".to_owned()];
        running.send_in(&names).await;
        until("three texts", async || all.lock().expect("whole").len() == 3).await;
        let seen = all.lock().expect("whole").clone();
        let mut reports = HashMap::new();
        for seen in &seen {
            let form = pairs(&seen.body);
            assert_eq!(seen.uri.to_string(), "/2010-04-01/Accounts/AC1/Messages.json");
            assert_eq!(seen.headers["authorization"], "Basic QUMxOmdlaGVpbQ==");
            assert_eq!((&*form["From"], &*form["Body"]), ("+4930123", "Hello, you are free."));
            let report = form["StatusCallback"].strip_prefix("https://shop.example").expect("our door");
            reports.insert(form["To"].clone(), report.to_owned());
        }
        let numbers = ["+4915100000000", "+4915100000001", "+4915100000002"];
        assert!(numbers.iter().all(|number| reports.contains_key(*number)), "{reports:?}");
        until("all accepted", async || running.states().await == ["accepted SM1"; 3]).await;

        // Only who knows the token reports.
        let delivered = [("MessageSid", "SM1"), ("MessageStatus", "delivered")];
        let [ada, ben, cleo] = numbers.map(|number| reports[number].as_str());
        assert_eq!(as_twilio(&running, ada, &delivered, "geraten").await, 401);
        for _ in 0..2 {
            assert_eq!(as_twilio(&running, ada, &[("MessageStatus", "sent")], "geheim").await, 200);
            assert_eq!(as_twilio(&running, ada, &delivered, "geheim").await, 200);
        }
        assert_eq!(as_twilio(&running, ben, &delivered, "geheim").await, 200);
        let gone = [("MessageStatus", "undelivered"), ("ErrorCode", "30005")];
        assert_eq!(as_twilio(&running, cleo, &gone, "geheim").await, 200);
        until("a bounce", async || running.suppressed("+49 151 00000002").await.as_deref() == Some("bounce"))
            .await;

        // Who answers goes on with the answer, who says stop is written to no more.
        let door = "/v1/receipts/twilio";
        let texts = std::cell::Cell::new(0);
        let inbound = async |from: &str, text: &str| {
            texts.set(texts.get() + 1);
            let sid = format!("SM{}", texts.get());
            let fields = [("MessageSid", sid.as_str()), ("From", from), ("Body", text)];
            assert_eq!(as_twilio(&running, door, &fields, "geheim").await, 200);
        };
        until("an answer heard", async || {
            inbound(numbers[0], "Gut\0 so").await;
            running.ends(&names[..1]).await == [("served".to_owned(), "Gut so".to_owned())]
        })
        .await;
        inbound("+4999999999", "Hallo?").await;
        inbound(numbers[1], "Stopp!").await;
        let why = running.suppressed("+49 151 00000001").await;
        assert_eq!(why.as_deref(), Some("unsubscribe"));
        running.stop().await;
    });
}

#[test]
fn a_text_goes_out_by_json_and_its_reports_come_back_signed() {
    on_both(async |database| {
        let (at, all) = server(|_| async { json(r#"{"id": "m1"}"#) }).await;
        let secrets = [("sms", format!("http://shop:geheim@{at}/send")), ("receipts", "siegel".to_owned())];
        let running = Running::start(&database, ASKED, &secrets, None).await;
        let names = ["ada".to_owned()];
        running.send_in(&names).await;
        until("a text", async || running.states().await == ["accepted m1"]).await;
        let seen = all.lock().expect("whole")[0].clone();
        let body: serde_json::Value = serde_json::from_str(&seen.body).expect("JSON");
        assert_eq!((&body["id"], &body["to"]), (&seen.key().into(), &"+4915100000000".into()));
        assert_eq!(body["report_to"], "https://shop.example/v1/receipts/generic");

        let report = format!(
            r#"[{{"id": "{}", "outcome": "delivered"}}, {{"id": "dl_0", "outcome": "failed"}}]"#,
            seen.key()
        );
        assert_eq!(as_generic(&running, &report, "falsch").await.0, 401);
        assert_eq!(as_generic(&running, "no", "siegel").await.0, 400);
        let first = as_generic(&running, &report, "siegel").await;
        assert_eq!(first, (200, r#"{"accepted":1,"repeated":0,"unknown":1}"#.to_owned()));
        assert_eq!(
            as_generic(&running, &report, "siegel").await.1,
            r#"{"accepted":0,"repeated":1,"unknown":1}"#
        );
        let number = std::cell::Cell::new(0);
        until("an answer heard", async || {
            number.set(number.get() + 1);
            let (id, number) = (seen.key(), number.get());
            let reply =
                format!(r#"{{"id": "{id}", "outcome": "replied", "text": "5", "message_id": "r{number}"}}"#);
            assert_eq!(as_generic(&running, &reply, "siegel").await.0, 200);
            running.ends(&names).await == [("served".to_owned(), "5".to_owned())]
        })
        .await;
        let complaint = format!(r#"{{"id": "{}", "outcome": "complained"}}"#, seen.key());
        assert_eq!(as_generic(&running, &complaint, "siegel").await.0, 200);
        until("a complaint", async || {
            running.suppressed("+49 151 00000000").await.as_deref() == Some("complaint")
        })
        .await;
        assert_eq!(tell(&running, "/v1/receipts/nobody", &[], String::new()).await.0, 404);
        running.stop().await;
    });
}

#[test]
fn what_a_gateway_says_is_classed_and_what_may_have_left_is_held() {
    // The answer, and what becomes of the message; `None`: it is tried again.
    let cases: [(fn() -> Response, &str); 4] = [
        (|| StatusCode::BAD_GATEWAY.into_response(), "unknown the gateway answered 502"),
        (|| StatusCode::SERVICE_UNAVAILABLE.into_response(), "deferred the gateway answered 503"),
        (
            || (StatusCode::BAD_REQUEST, json(r#"{"error": "too long"}"#)).into_response(),
            "refused 400 too long",
        ),
        (
            || {
                (StatusCode::BAD_REQUEST, json(r#"{"error": "no number", "bad_address": true}"#))
                    .into_response()
            },
            "refused 400 no number",
        ),
    ];
    for (answer, state) in cases {
        on_both(async |database| {
            let (at, all) = server(move |_| async move { answer() }).await;
            let running = Running::start(&database, SENT, &[("sms", format!("http://{at}/"))], None).await;
            running.send_in(&["ada".to_owned()]).await;
            until(state, async || running.states().await == [state]).await;
            assert_eq!(all.lock().expect("whole").len(), 1);
            let wanted = state.ends_with("no number").then_some("bounce");
            until("word of it", async || running.suppressed("+49 151 00000000").await.as_deref() == wanted)
                .await;
            running.stop().await;
        });
    }
}

#[test]
fn a_gateway_reports_by_its_own_ids_and_in_its_own_words() {
    const CONFIG: &str = r#"
        [gateways.sms]
        id = "/messages/0/id"
        secret = "secret:receipts"
        reports = "/results"
        message = "/id"
        outcome = "/status/name"
        outcomes = { DELIVRD = "delivered", GONE = "bounced" }
        reason = "/status/why"
        from = "/sender"
        text = "/body"
        reply = "/id"
    "#;
    on_both(async |database| {
        // The second person's text gets another number.
        let (at, all) = server(|seen: Seen| async move {
            let number = if seen.body.contains("+4915100000001") { 702 } else { 701 };
            json(&format!(r#"{{"id": "batch", "messages": [{{"id": {number}}}]}}"#))
        })
        .await;
        let (config, problems) = Config::read(CONFIG, &Default::default());
        assert!(problems.is_empty(), "{:?}", problems[0].message);
        let secrets = [("sms", format!("http://{at}/send"))];
        let running = Running::start_with(&database, ASKED, &secrets, None, config.gateways.clone()).await;
        let names = ["ada".to_owned(), "ben".to_owned()];
        running.send_in(&names).await;
        until("two texts", async || {
            let mut states = running.states().await;
            states.sort_unstable();
            states == ["accepted 701", "accepted 702"]
        })
        .await;
        assert_eq!(all.lock().expect("whole").len(), 2);
        let (ada, ben) = (701, 702);

        let settings = Settings { gateways: config.gateways, ..Settings::default() };
        let doors = Open::set(running.store.clone(), Limits::default(), None, settings).await;
        let tell = async |results: serde_json::Value| {
            let body = serde_json::json!({ "results": results }).to_string();
            let more = format!(
                "x-signature: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
                sealed(&body),
                body.len()
            );
            split(&doors.say(format!("{}{body}", doors.post("/v1/receipts/sms", &more)).as_bytes()).await)
        };
        let counts = |accepted, repeated, unknown, ignored| {
            let counts = serde_json::json!({ "accepted": accepted, "repeated": repeated, "unknown": unknown, "ignored": ignored });
            (200, counts)
        };
        let results = serde_json::json!([
            { "id": ada, "status": { "name": "DELIVRD" } },
            { "id": ben.to_string(), "status": { "name": "GONE", "why": "no such number" } },
            { "id": ada, "status": { "name": "SENT" }, "sender": "+4915100000000", "body": "Hello, you are free." },
            { "id": 4711, "status": { "name": "DELIVRD" } },
            { "status": { "name": "DELIVRD" } },
            17,
        ]);
        assert_eq!(tell(results.clone()).await, counts(2, 0, 2, 2));
        assert_eq!(tell(results).await, counts(0, 2, 2, 2));
        until("a bounce", async || running.suppressed("+49 151 00000001").await.as_deref() == Some("bounce"))
            .await;
        let number = std::cell::Cell::new(0);
        until("an answer heard", async || {
            number.set(number.get() + 1);
            let said = serde_json::json!([{ "id": format!("mo{}", number.get()), "sender": "+4915100000000", "body": "Gern" }]);
            assert_eq!(tell(said.clone()).await, counts(1, 0, 0, 0));
            assert_eq!(tell(said).await, counts(0, 1, 0, 0));
            running.ends(&names[..1]).await == [("served".to_owned(), "Gern".to_owned())]
        })
        .await;
        // The generic door knows the names too, and nobody reports without the secret.
        let (status, told) =
            doors.signed(&serde_json::json!({ "id": ada.to_string(), "outcome": "complained" })).await;
        assert_eq!((status, &told["accepted"]), (200, &1.into()), "{told}");
        let (status, told) = doors.send("/v1/receipts/sms", &serde_json::json!({ "results": [] })).await;
        assert_eq!((status, &told["code"]), (401, &"bad-signature".into()));
        assert_eq!(doors.send("/v1/receipts/email", &serde_json::json!({})).await.0, 404);
        running.stop().await;
    });
    // What is written wrongly is told with its place.
    for (wrong, told) in [
        (CONFIG.replace("\"bounced\"", "\"gone\""), "`gone` is no outcome"),
        (CONFIG.replace("\"/sender\"", "\"sender\""), "is no place"),
        (CONFIG.replace("secret:receipts", "siegel"), "secrets stand in no file"),
        (CONFIG.replace("sender", "sendr").replace("from =", "form ="), "form"),
    ] {
        let (_, problems) = Config::read(&wrong, &Default::default());
        assert!(
            problems[0].message.contains(told) && !problems[0].message.contains("siegel"),
            "{}",
            problems[0].message
        );
    }
}

/// The signature of a body under the secret of the doors.
fn sealed(body: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"siegel").expect("a key");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
