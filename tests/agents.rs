//! Work for people, as those who do it meet it: over HTTP, with a key of their own.

use std::collections::BTreeSet;

use fahrplan::clock::machine_now;
use fahrplan::engine::program::*;
use fahrplan::http::connections::Limits;
use fahrplan::id::ContactId;
use fahrplan::store::checkup;
use fahrplan::store::keys::{self, Scope};
use fahrplan::store::{Store, tasks};
use fahrplan::time::{DAY, HOUR, MINUTE, Timestamp};
use fahrplan::value::{FieldType, Type};
use serde_json::{Value as Json, json};

use crate::doors::Open;
use crate::engine::build::*;
use crate::store::{accept, advance, event, on_all, open, story};

/// Two calls at most: whoever is not reached twice gets a letter.
fn calls() -> J {
    let mut j = J::new("winback");
    j.on("signed_up");
    for id in ["first", "second"] {
        let slot = j.slot(id, SlotKind::Task);
        j.line(id, Some(slot), move |_, next| {
            StepKind::Work(Box::new(Work {
                verb: "call".into(),
                task: "winback_call".into(),
                team: "sales".into(),
                with: vec![("reason".into(), val(text("<b>quiet</b> & gone")))],
                limit: days(5),
                purpose: "marketing".into(),
                next,
            }))
        });
        let missed = is(j.field(id, "outcome"), val(text("not_reached")));
        j.unless(missed, "talked");
    }
    j.exit("letter").label("talked").exit("talked");
    j
}

fn rules() -> Catalog {
    let mut rules = catalog();
    let answer = |name: &str, ty: Type| FieldType { name: name.into(), ty };
    let task = Task {
        script: Some("calls/winback".into()),
        outcomes: vec!["reached".into(), "not_reached".into()],
        answers: vec![
            answer("mood", Type::OneOf(["good".into(), "bad".into()].into()).optional()),
            answer("visits", Type::Number(Some((0, 10))).optional()),
            answer("again", Type::YesNo.optional()),
        ],
    };
    rules.tasks.insert("winback_call".into(), task);
    rules.teams.insert("care".into(), Team { hours: None });
    rules.policy.caps.push(Cap {
        channel: Some("phone".into()),
        purpose: "marketing".into(),
        number: 100,
        window: CapWindow::Calendar(CalendarUnit::Day),
        then: Then::Skip,
    });
    rules
}

/// A key for the tasks of these teams.
async fn key(store: &Store, name: &str, teams: &[&str]) -> String {
    let teams: BTreeSet<String> = teams.iter().map(|team| (*team).to_owned()).collect();
    let scopes = BTreeSet::from([Scope::Tasks]);
    keys::create_for(store, name, teams, scopes, None, machine_now()).await.expect("a key").1
}

/// A request with a key, and the answer: its status and its body.
async fn ask(doors: &Open, key: &str, request: &str, body: Json) -> (u16, Json) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = doors.say((head + &body).as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Json::Null))
}

async fn ids(doors: &Open, key: &str, path: &str) -> Vec<String> {
    let (status, answer) = ask(doors, key, &format!("GET {path}"), Json::Null).await;
    assert_eq!(status, 200, "{answer}");
    let list = answer["tasks"].as_array().expect("a list");
    list.iter().map(|task| task["id"].as_str().expect("an id").to_owned()).collect()
}

/// Somebody with a phone number who signs up.
async fn signs_up(store: &Store, name: &str, phone: &str, now: Timestamp) -> ContactId {
    let attributes =
        fahrplan::engine::world::Input::Attributes { values: fields(&[("phone", text(phone))]), at: now };
    accept(store, name, attributes, now).await;
    let contact = accept(store, name, event("signed_up", now, &[]), now).await;
    advance(store, now).await;
    contact
}

fn code(answer: &(u16, Json)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or(""))
}

#[test]
fn of_two_who_race_for_a_task_one_has_it_and_its_outcome_goes_on() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        let ada = signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let (ana, ben) = (key(&store, "Ana", &["sales"]).await, key(&store, "Ben", &[]).await);
        let list = ids(&doors, &ana, "/v1/tasks?team=sales").await;
        assert_eq!((list.len(), &list), (1, &ids(&doors, &ben, "/v1/tasks").await));
        let id = list[0].as_str();

        let take = format!("POST /v1/tasks/{id}/take");
        let (one, two) =
            tokio::join!(ask(&doors, &ana, &take, Json::Null), ask(&doors, &ben, &take, Json::Null));
        let (winner, loser, lost, won) =
            if one.0 == 200 { (&ana, &ben, two, one) } else { (&ben, &ana, one, two) };
        assert_eq!((won.0, code(&lost)), (200, (409, "taken")), "{won:?} {lost:?}");
        let holder = won.1["taken_by"].as_str().expect("a name");
        assert!(lost.1["detail"].as_str().is_some_and(|detail| detail.contains(holder)), "{lost:?}");
        assert_eq!(won.1["contact"]["phone"], "+4930123456");
        assert_eq!(won.1["with"]["reason"], "<b>quiet</b> & gone");
        assert_eq!(won.1["events"][0]["name"], "signed_up");
        assert_eq!(won.1["answers"][0]["values"], json!(["good", "bad"]));
        assert_eq!(ask(&doors, winner, &take, Json::Null).await.0, 200, "it is kept");
        assert_eq!(ids(&doors, loser, "/v1/tasks").await, [""; 0], "it is nobody else's");
        assert_eq!(ids(&doors, winner, "/v1/tasks").await, [id]);

        // Nothing of what is refused changes anything.
        let tell = format!("POST /v1/tasks/{id}/outcome");
        let reached =
            json!({ "outcome": "reached", "answers": { "visits": 3, "mood": "good", "again": true } });
        for (who, body, expected) in [
            (loser, reached.clone(), (409, "taken")),
            (winner, json!({ "outcome": "sold" }), (422, "wrong-outcome")),
            (winner, json!({ "outcome": "expired" }), (422, "wrong-outcome")),
            (winner, json!({ "outcome": "reached", "answers": { "visits": 11 } }), (422, "wrong-answer")),
            (winner, json!({ "outcome": "reached", "answers": { "mood": "fine" } }), (422, "wrong-answer")),
            (winner, json!({ "outcome": "reached", "answers": { "mode": "good" } }), (422, "wrong-answer")),
            (winner, json!({ "outcome": 3 }), (400, "not-json")),
        ] {
            let answer = ask(&doors, who, &tell, body.clone()).await;
            assert_eq!(code(&answer), expected, "{body}: {answer:?}");
        }
        let (one, two) = tokio::join!(
            ask(&doors, winner, &tell, reached.clone()),
            ask(&doors, winner, &tell, json!({ "outcome": "not_reached" }))
        );
        let mut told = [code(&one), code(&two)];
        told.sort_unstable();
        assert_eq!(told, [(200, ""), (409, "settled")], "{one:?} {two:?}");
        advance(&store, machine_now()).await;
        let is_reached = one.0 == 200;
        let story = story(&store, ada).await.join("\n");
        assert_eq!(story.contains("talked"), is_reached, "{story}");
        let mut conn = store.read().await.expect("a connection");
        let tasks = tasks::of_contact(&mut conn, ada).await.expect("read");
        let done = tasks.iter().find(|task| task.work.id.to_string() == id).expect("it is there");
        assert_eq!((done.state.as_str(), done.hand.attempts), ("done", 1));
        assert_eq!(done.hand.taken_by.as_deref(), Some(holder));
        assert_eq!(code(&ask(&doors, winner, &take, Json::Null).await), (409, "settled"));
    });
}

#[test]
fn who_lost_the_answer_and_says_the_same_again_is_told_the_same() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let (ana, ben) = (key(&store, "Ana", &["sales"]).await, key(&store, "Ben", &["sales"]).await);
        let id = ids(&doors, &ana, "/v1/tasks").await.remove(0);
        let tell = async |who: &str, keyed: bool, body: Json| {
            let body = body.to_string();
            let keyed = if keyed { "idempotency-key: once\r\n" } else { "" };
            let head = format!(
                "POST /v1/tasks/{id}/outcome HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{keyed}\
                 authorization: Bearer {who}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            crate::doors::split(&doors.say((head + &body).as_bytes()).await)
        };
        let visits = |n: u32| json!({ "outcome": "reached", "answers": { "visits": n } });
        let first = tell(&ana, true, visits(3)).await;
        assert_eq!((first.0, &first.1["outcome"]), (200, &json!("reached")), "{first:?}");
        assert_eq!(tell(&ana, true, visits(3)).await, first);
        for (who, keyed, body) in [
            (&ana, false, visits(3)),
            (&ana, true, visits(4)),
            (&ana, true, json!({ "outcome": "not_reached" })),
            (&ben, true, visits(3)),
        ] {
            let answer = tell(who, keyed, body.clone()).await;
            assert_eq!(code(&answer), (409, "settled"), "{keyed} {body}: {answer:?}");
        }
    });
}

#[test]
fn a_task_is_put_off_to_when_its_team_is_there() {
    on_all(async |database| {
        let mut rules = rules();
        let hours = Hours {
            days: Days { mask: 0x7f, working: false },
            from: clock(9, 0),
            to: clock(18, 0),
            zone: ZoneRef::Project,
        };
        rules.teams.insert("sales".into(), Team { hours: Some(hours) });
        let start = at("2026-05-04T10:00");
        let store = open(&database, &rules, &[&calls()], start).await;
        let ada = signs_up(&store, "ada", "+4930123456", start).await;
        let mut conn = store.read().await.expect("a connection");
        let task = tasks::of_contact(&mut conn, ada).await.expect("read").remove(0);
        drop(conn);
        let now = tasks::Now { journey: start, machine: start };
        for (until, again) in [
            ("2026-05-04T15:30", Some("2026-05-04T15:30")),
            ("2026-05-05T03:00", Some("2026-05-05T09:00")),
            ("2026-05-05T18:00", Some("2026-05-06T09:00")),
            ("2026-05-08T19:00", Some("2026-05-09T09:00")),
            ("2026-05-08T19:00", Some("2026-05-09T09:00")),
            ("2026-05-09T11:00", None),
        ] {
            let put_off =
                tasks::postpone(&store, task.work.id, "Ana", at(until), None, now).await.expect("written");
            let again_at = put_off.ok().and_then(|task| task.hand.again_at);
            assert_eq!(again_at, again.map(at), "{until}, expires {}", task.work.expires_at);
        }
    });
}

#[test]
fn who_is_not_reached_twice_takes_the_other_branch() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        let ada = signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let ana = key(&store, "Ana", &["sales"]).await;
        for _ in 0..2 {
            let list = ids(&doors, &ana, "/v1/tasks").await;
            let tell = format!("POST /v1/tasks/{}/outcome", list[0]);
            let answer = ask(&doors, &ana, &tell, json!({ "outcome": "not_reached" })).await;
            assert_eq!((list.len(), answer.0), (1, 200), "{answer:?}");
            advance(&store, machine_now()).await;
        }
        assert_eq!(ids(&doors, &ana, "/v1/tasks").await, [""; 0]);
        let story = story(&store, ada).await.join("\n");
        assert!(story.contains("letter") && !story.contains("talked"), "{story}");
    });
}

#[test]
fn a_task_put_off_comes_back_and_one_that_lapsed_is_free_again() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        let ada = signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let (ana, ben) = (key(&store, "Ana", &["sales"]).await, key(&store, "Ben", &["sales"]).await);
        let id = ids(&doors, &ana, "/v1/tasks").await.remove(0);
        let to = |what: &str| format!("POST /v1/tasks/{id}/{what}");
        assert_eq!(ask(&doors, &ana, &to("take"), Json::Null).await.0, 200);

        let later = machine_now().plus_ms(2 * HOUR).to_string();
        for (until, expected) in [
            ("tomorrow".to_owned(), (422, "wrong-time")),
            (start.plus_ms(-MINUTE).to_string(), (422, "wrong-time")),
            (start.plus_ms(6 * DAY).to_string(), (422, "wrong-time")),
        ] {
            let answer = ask(&doors, &ana, &to("postpone"), json!({ "until": until })).await;
            assert_eq!(code(&answer), expected, "{until}: {answer:?}");
        }
        let body = json!({ "until": later, "note": "at work until four" });
        assert_eq!(code(&ask(&doors, &ben, &to("postpone"), body.clone()).await), (409, "taken"));
        for _ in 0..2 {
            let answer = ask(&doors, &ana, &to("postpone"), body.clone()).await;
            assert_eq!(
                (answer.0, &answer.1["attempts"]),
                (200, &json!(1)),
                "said twice, tried once: {answer:?}"
            );
        }
        let seen = ask(&doors, &ben, &format!("GET /v1/tasks/{id}"), Json::Null).await.1;
        assert_eq!((&seen["note"], &seen["taken_by"]), (&json!("at work until four"), &Json::Null));
        assert_eq!(ids(&doors, &ben, "/v1/tasks").await, [""; 0], "not yet");
        assert_eq!(ids(&doors, &ana, "/v1/tasks").await, [id.as_str()], "she has promised it");

        let mut conn = store.read().await.expect("a connection");
        let now = |ms: i64| tasks::Now { journey: start.plus_ms(ms), machine: start.plus_ms(ms) };
        let open = tasks::queue(&mut conn, Some("sales"), "Ben", now(3 * HOUR), 9).await.expect("listed");
        assert!(open.len() == 1 && open[0].is_overdue(now(3 * HOUR)), "{open:?}");
        assert!(!open[0].is_overdue(now(HOUR)));
        drop(conn);
        let task = open[0].work.id;
        tasks::take(&store, task, "Ana", now(3 * HOUR)).await.expect("written").expect("it is free");
        let soon = now(3 * HOUR + tasks::IN_HAND - 1);
        assert_eq!(
            tasks::take(&store, task, "Ben", soon).await.expect("read"),
            Err(tasks::Refused::Taken("Ana".to_owned()))
        );
        let lapsed = now(3 * HOUR + tasks::IN_HAND);
        tasks::take(&store, task, "Ben", lapsed).await.expect("written").expect("it has lapsed");
        assert_eq!(
            tasks::release(&store, task, "Ana", lapsed).await.expect("read"),
            Err(tasks::Refused::Taken("Ben".to_owned()))
        );
        tasks::release(&store, task, "Ben", lapsed).await.expect("written").expect("it is his");
        tasks::take(&store, task, "Ana", lapsed).await.expect("written").expect("it is free");
        assert_eq!(tasks::expire(&store, start.plus_ms(9 * DAY)).await.expect("expired"), 1);
        let late = tasks::take(&store, task, "Ana", now(9 * DAY)).await.expect("read");
        assert_eq!(late, Err(tasks::Refused::Settled("expired".to_owned())));
        let mut conn = store.read().await.expect("a connection");
        assert_eq!(tasks::of_contact(&mut conn, ada).await.expect("read")[0].state, "expired");
    });
}

#[test]
fn a_key_sees_its_own_teams_and_needs_the_scope() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let (ana, cleo) =
            (key(&store, "Ana", &["sales", "care"]).await, key(&store, "Cleo", &["care"]).await);
        let reader = crate::doors::key(&store, &[Scope::Read, Scope::Ingest]).await;
        let id = ids(&doors, &ana, "/v1/tasks").await.remove(0);
        assert_eq!(ids(&doors, &cleo, "/v1/tasks").await, [""; 0]);
        for (key, request, expected) in [
            (&cleo, "GET /v1/tasks?team=sales".to_owned(), (403, "wrong-team")),
            (&cleo, format!("GET /v1/tasks/{id}"), (403, "wrong-team")),
            (&cleo, format!("POST /v1/tasks/{id}/take"), (403, "wrong-team")),
            (&cleo, format!("POST /v1/tasks/{id}/outcome"), (403, "wrong-team")),
            (&reader, "GET /v1/tasks".to_owned(), (403, "wrong-scope")),
            (&reader, format!("POST /v1/tasks/{id}/release"), (403, "wrong-scope")),
            (&ana, "GET /v1/tasks?limit=many".to_owned(), (400, "unreadable")),
            (&ana, "GET /v1/tasks/tk_1".to_owned(), (404, "not-found")),
            (&ana, "GET /v1/tasks/%00".to_owned(), (404, "not-found")),
        ] {
            let answer = ask(&doors, key, &request, Json::Null).await;
            assert_eq!(code(&answer), expected, "{request}: {answer:?}");
        }
        let ben = key(&store, "Ben", &[]).await;
        assert_eq!(
            code(&ask(&doors, &ben, "GET /v1/tasks?team=nobody", Json::Null).await),
            (404, "not-found")
        );
        assert_eq!(ids(&doors, &ben, "/v1/tasks?team=care").await, [""; 0]);
    });
}

#[test]
fn a_call_that_is_never_made_takes_no_slot_of_a_cap() {
    on_all(async |database| {
        let start = machine_now();
        let mut leaving = calls();
        leaving.exit_on("closed", on("closed"));
        let store = open(&database, &rules(), &[&leaving], start).await;
        let slots = async || {
            let mut conn = store.read().await.expect("a connection");
            let rows = conn.fetch("SELECT COUNT(*) FROM cap_slots", Vec::new()).await.expect("counted");
            rows[0].i64(0).expect("a number")
        };
        signs_up(&store, "ada", "+4930123456", start).await;
        signs_up(&store, "ben", "+4930123457", start).await;
        signs_up(&store, "cleo", "+4930123458", start).await;
        assert_eq!(slots().await, 3);
        let found = checkup::look(&store, start, true).await;
        let strays: Vec<_> = found.iter().filter(|one| one.message.contains("cap_slots")).collect();
        assert!(strays.is_empty(), "a call counts by its task: {strays:?}");
        accept(&store, "ada", event("closed", start, &[]), start).await;
        advance(&store, start).await;
        assert_eq!(slots().await, 2, "her enrollment ended");
        let now = tasks::Now { journey: start, machine: start };
        let mut conn = store.read().await.expect("a connection");
        let open = tasks::queue(&mut conn, None, "Ana", now, 9).await.expect("listed");
        drop(conn);
        let until = start.plus_ms(HOUR);
        let tried = tasks::postpone(&store, open[0].work.id, "Ana", until, None, now).await;
        tried.expect("written").expect("it is open");
        assert_eq!(tasks::expire(&store, start.plus_ms(5 * DAY)).await.expect("expired"), 2);
        assert_eq!(slots().await, 1, "the one that was tried counts");
    });
}

// ---------------------------------------------------------------- the pages

/// A browser: it keeps its cookie and sends its forms as browsers do.
pub(crate) struct Browser<'a> {
    doors: &'a Open,
    cookie: String,
    origin: &'static str,
    pub(crate) language: &'static str,
}

pub(crate) struct Page {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn token(&self) -> &str {
        let (_, rest) = self.body.split_once(r#"name="token" value=""#).expect("a form");
        rest.split('"').next().expect("an end")
    }
}

impl<'a> Browser<'a> {
    pub(crate) fn nobody(doors: &'a Open) -> Browser<'a> {
        Browser { doors, cookie: String::new(), origin: "http://localhost", language: "en" }
    }

    pub(crate) async fn log_in(doors: &'a Open, key: &str) -> Browser<'a> {
        let mut browser = Browser::nobody(doors);
        let page = browser.post("/login", &[("key", key), ("next", "/agent")]).await;
        assert_eq!((page.status, page.header("location")), (303, Some("/agent")), "{}", page.body);
        let cookie = page.header("set-cookie").expect("a cookie");
        browser.cookie = cookie.split(';').next().expect("a pair").to_owned();
        browser
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), "").await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let coded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", coded(value))).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\norigin: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n",
            self.origin
        );
        self.send(&head, &pairs.join("&")).await
    }

    async fn send(&self, head: &str, body: &str) -> Page {
        let cookie =
            if self.cookie.is_empty() { String::new() } else { format!("cookie: a=b; {}\r\n", self.cookie) };
        let length = body.len();
        let head = format!(
            "{head}host: x\r\naccept-language: {}\r\n{cookie}connection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            self.language
        );
        let answer = self.doors.say(head.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Page { status, head: head.to_owned(), body: body.to_owned() }
    }
}

#[test]
fn somebody_logs_in_with_a_key_does_a_task_and_logs_out() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        let ada = signs_up(&store, "ada", "+49 30 123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let ana = key(&store, "Ana", &["sales"]).await;
        let nobody = Browser::nobody(&doors);
        let away = nobody.get("/agent").await;
        assert_eq!((away.status, away.header("location")), (303, Some("/login?next=/agent")));
        assert_eq!(nobody.post("/login", &[("key", "fp_00000000_x")]).await.status, 403);
        let ingest = crate::doors::key(&store, &[Scope::Ingest]).await;
        assert_eq!(nobody.post("/login", &[("key", &ingest)]).await.status, 403);
        let evil = nobody.post("/login", &[("key", &ana), ("next", "//evil.example")]).await;
        assert_eq!(evil.header("location"), Some("/agent"));

        let browser = Browser::log_in(&doors, &ana).await;
        let page = browser.get("/agent").await;
        assert_eq!(page.status, 200);
        for (name, part) in [
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
        ] {
            assert!(page.header(name).is_some_and(|value| value.contains(part)), "{name}: {}", page.head);
        }
        assert!(!page.body.contains("<script") && page.body.contains("winback call"), "{}", page.body);
        let (_, rest) = page.body.split_once("href=\"/agent/").expect("a task");
        let id = rest.split('"').next().expect("an end").to_owned();
        let at = |what: &str| format!("/agent/{id}{what}");
        let page = browser.get(&at("")).await;
        assert!(page.body.contains(r#"href="tel:+4930123456""#), "{}", page.body);
        assert!(page.body.contains("<span>not reached</span>"), "names are words: {}", page.body);
        assert!(
            page.body.contains("href=\"#outcome\"") && page.body.contains("id=\"outcome\""),
            "{}",
            page.body
        );
        assert!(page.body.contains("&lt;b&gt;quiet&lt;/b&gt; &amp; gone") && !page.body.contains("<b>quiet"));

        let token = page.token().to_owned();
        let with = |fields: &[(&'static str, &'static str)]| {
            let mut all = vec![("token", token.clone())];
            all.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
            all
        };
        let send = async |what: &str, fields: &[(&'static str, &'static str)]| {
            let fields = with(fields);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            browser.post(&at(what), &fields).await
        };
        assert_eq!(send("/take", &[]).await.header("location"), Some(at("").as_str()));
        assert!(browser.get(&at("")).await.body.contains("/release"), "it is in hand");
        let typed =
            [("outcome", "reached"), ("answer.visits", "11"), ("answer.mood", "bad"), ("note", "rang twice")];
        let refused = send("/outcome", &typed).await;
        assert!(refused.status == 422 && refused.body.contains("visits: "), "{}", refused.body);
        for kept in
            [r#"value="reached" required checked"#, r#"value="bad" checked"#, ">rang twice</textarea>"]
        {
            assert!(refused.body.contains(kept), "{kept} was given, and is gone: {}", refused.body);
        }
        assert_eq!(send("/postpone", &[("until", "2000-01-01T10:00")]).await.status, 422);
        assert_eq!(browser.get(&at(".ics")).await.status, 404, "nothing was agreed on");
        let tomorrow = start.plus_ms(DAY).to_string()[..16].to_owned();
        let later = browser
            .post(&at("/postpone"), &[("token", &token), ("until", &tomorrow), ("note", "at work")])
            .await;
        assert_eq!(later.header("location"), Some("/agent?said=later"), "{}", later.body);
        let file = browser.get(&at(".ics")).await;
        assert_eq!(file.header("content-type"), Some("text/calendar; charset=utf-8"));
        assert!(
            file.body.starts_with("BEGIN:VCALENDAR\r\n") && file.body.contains("at work"),
            "{}",
            file.body
        );

        let told = send(
            "/outcome",
            &[("outcome", "reached"), ("answer.visits", "3"), ("answer.again", "true"), ("note", "")],
        )
        .await;
        assert_eq!(told.header("location"), Some("/agent?said=done"), "{}", told.body);
        assert_eq!(send("/outcome", &[("outcome", "not_reached")]).await.status, 409);
        assert!(!browser.get("/agent?said=done").await.body.contains(&id));
        advance(&store, machine_now()).await;
        assert!(story(&store, ada).await.join("\n").contains("talked"));

        let out = browser.post("/logout", &[("token", &token)]).await;
        assert_eq!(out.header("location"), Some("/login"));
        assert!(out.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{}", out.head);
    });
}

#[test]
fn what_can_be_chosen_is_chosen_and_what_cannot_is_typed() {
    on_all(async |database| {
        let mut rules = rules();
        let answer = |name: &str, ty: Type| FieldType { name: name.into(), ty };
        let task = rules.tasks.get_mut("winback_call").expect("it is declared");
        task.answers = vec![
            answer("visits", Type::Number(Some((0, 10)))),
            answer("grade", Type::Number(Some((1, 6))).optional()),
            answer("pieces", Type::Number(Some((0, 11)))),
            answer("mood", Type::OneOf(["very_good".into(), "bad".into()].into())),
            answer("again", Type::YesNo.optional()),
        ];
        let start = machine_now();
        let store = open(&database, &rules, &[&calls()], start).await;
        signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let ana = key(&store, "Ana", &["sales"]).await;
        let id = ids(&doors, &ana, "/v1/tasks").await.remove(0);
        let body = Browser::log_in(&doors, &ana).await.get(&format!("/agent/{id}")).await.body;
        let times = |part: &str| body.matches(part).count();
        // Whoever owes no answer can take one back.
        for (name, choices) in [
            ("outcome", 2),
            ("answer.visits", 11),
            ("answer.grade", 7),
            ("answer.mood", 2),
            ("answer.again", 3),
        ] {
            assert_eq!(times(&format!(r#"type="radio" name="{name}""#)), choices, "{name}: {body}");
        }
        for (part, expected) in [
            (r#"name="answer.visits" value="0" required"#, 1),
            (r#"name="answer.grade" value="" checked"#, 1),
            (r#"<input id="answer.pieces" name="answer.pieces" type="number""#, 1),
            ("<legend>visits</legend>", 1),
            (r#"<legend class="title">Outcome</legend>"#, 1),
            ("<span>very good</span>", 1),
            ("<select", 0),
        ] {
            assert_eq!(times(part), expected, "{part}: {body}");
        }
    });
}

#[test]
fn all_that_was_noted_of_a_task_stands_on_its_page() {
    on_all(async |database| {
        let start = machine_now();
        let store = open(&database, &rules(), &[&calls()], start).await;
        signs_up(&store, "ada", "+4930123456", start).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let (ana, ben) = (key(&store, "Ana", &["sales"]).await, key(&store, "Ben", &["sales"]).await);
        let id = ids(&doors, &ana, "/v1/tasks").await.remove(0);
        let put_off = async |who: &str, hours: i64, note: Json| {
            let body = json!({ "until": start.plus_ms(hours * HOUR).to_string(), "note": note });
            ask(&doors, who, &format!("POST /v1/tasks/{id}/postpone"), body).await
        };
        for (who, hours, note) in [
            (&ana, 2, json!("the <line> was\nengaged")),
            (&ana, 2, json!("the <line> was\nengaged")),
            (&ben, 4, Json::Null),
            (&ben, 4, json!("her son: try at noon")),
            (&ana, 6, json!("away until Monday")),
        ] {
            let answer = put_off(who, hours, note).await;
            assert_eq!(answer.0, 200, "{answer:?}");
        }
        let shown = ask(&doors, &ana, &format!("GET /v1/tasks/{id}"), Json::Null).await.1;
        let told = shown["told"].as_array().expect("a list");
        let of = |name: &str| told.iter().map(|one| one[name].as_str().unwrap_or("-")).collect::<Vec<_>>();
        assert_eq!(of("who"), ["Ana", "Ben", "Ben", "Ana"], "{told:?}");
        assert_eq!(of("note"), ["the <line> was\nengaged", "-", "her son: try at noon", "away until Monday"]);
        assert_eq!((&shown["attempts"], &shown["note"]), (&json!(3), &json!("away until Monday")));

        let body = Browser::log_in(&doors, &ben).await.get(&format!("/agent/{id}")).await.body;
        let at = |part: &str| body.find(part).unwrap_or_else(|| panic!("{part} is missing: {body}"));
        assert!(at("away until Monday") < at("her son: try at noon"), "the newest comes first");
        assert!(at("her son: try at noon") < at("the &lt;line&gt; was\nengaged"));
        assert!(body.matches(" · Ben<").count() == 2 && body.matches(" · Ana<").count() == 2, "{body}");

        let tell = format!("POST /v1/tasks/{id}/outcome");
        let answer = ask(&doors, &ana, &tell, json!({ "outcome": "reached", "note": "comes back" })).await;
        assert_eq!(answer.0, 200, "{answer:?}");
        let body = Browser::log_in(&doors, &ben).await.get(&format!("/agent/{id}")).await.body;
        assert!(body.contains("comes back") && body.contains("her son"), "what is done can be read: {body}");
        let person = doors.get("/v1/contacts/ada").await.1;
        assert_eq!(person["tasks"][0]["told"].as_array().map(Vec::len), Some(5), "{person}");
    });
}

#[tokio::test]
async fn nobody_else_uses_a_session() {
    let doors = Open::with(Limits::default()).await;
    let store = &doors.store;
    let ana = key(store, "Ana", &[]).await;
    let browser = Browser::log_in(&doors, &ana).await;
    let page = browser.get("/agent").await;
    let token = page.token().to_owned();

    // Another page's form, or one that guesses.
    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    assert_eq!(browser.post("/logout", &[("token", "x")]).await.status, 403);
    let other = Browser::log_in(&doors, &ana).await;
    let others = other.get("/agent").await.token().to_owned();
    assert_ne!(others, token, "each session has its own");
    assert_eq!(browser.post("/logout", &[("token", &others)]).await.status, 403);
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", "http://x:1"] {
        let evil = Browser { cookie: browser.cookie.clone(), origin, ..Browser::nobody(&doors) };
        assert_eq!(evil.post("/logout", &[("token", &token)]).await.status, 403, "{origin}");
        assert_eq!(evil.post("/login", &[("key", &ana)]).await.status, 403, "{origin}");
    }
    // A cookie with a letter changed anywhere opens nothing.
    let (name, value) = browser.cookie.split_once('=').expect("a pair");
    for at in 0..value.len() {
        let mut bytes = value.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        let cookie = format!("{name}={}", String::from_utf8(bytes).expect("ASCII"));
        let forged = Browser { cookie, ..Browser::nobody(&doors) };
        assert_eq!(forged.get("/agent").await.status, 303, "{at}");
    }
    // A key without the scope opens the log-in, and no tasks.
    let reader = crate::doors::key(store, &[Scope::Read]).await;
    let reader = Browser::log_in(&doors, &reader).await;
    assert_eq!(reader.get("/agent").await.status, 403);
    // A revoked key is out at once.
    keys::revoke(store, &ana[..11], machine_now()).await.expect("revoked");
    assert_eq!(browser.get("/agent").await.status, 303);
    assert_eq!(browser.post("/login", &[("key", &ana)]).await.status, 403);
}

#[tokio::test]
async fn a_cookie_is_for_this_host_alone_and_over_encryption_where_there_is_some() {
    for (url, begins, safe) in
        [("http://localhost:8080", "fahrplan=", false), ("https://shop.example", "__Host-fahrplan=", true)]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let path = format!("sqlite:{}", directory.path().join("test.db").display());
        let store = Store::open(&path).await.expect("the database opens");
        let doors = Open::reached_at(url, store.clone(), Limits::default(), Some(directory)).await;
        let ana = key(&store, "Ana", &[]).await;
        let mut browser = Browser { origin: url, ..Browser::nobody(&doors) };
        let page = browser.post("/login", &[("key", &ana)]).await;
        let cookie = page.header("set-cookie").expect("a cookie").to_owned();
        assert!(
            cookie.starts_with(begins) && cookie.contains("; Path=/; HttpOnly; SameSite=Lax;"),
            "{cookie}"
        );
        assert_eq!((cookie.contains("; Secure"), cookie.contains("Domain")), (safe, false), "{cookie}");
        browser.cookie = cookie.split(';').next().expect("a pair").to_owned();
        assert_eq!(browser.get("/agent").await.status, 200);
    }
}

// ---------------------------------------------------------------- scripts

#[test]
fn a_deploy_takes_scripts_along_and_refuses_those_that_do_not_fit() {
    let dir = crate::cli::empty_dir();
    let write = |file: &str, text: &str| {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write(
        "fahrplan.toml",
        "[project]\nname = \"test\"\n[database]\nurl = \"sqlite:test.db\"\n[brand]\nname = \"Siebenuhr\"\n",
    );
    write(
        "schema.journey",
        "contact {\n  email: email?\n  first_name: text?\n  phone: phone?\n}\nevent went_away { reason: text? }\n\
         channel phone { address contact.phone, class task }\nteam sales { hours monday to friday 09:00 to 18:00 project time }\n\
         task winback_call \"Call\" {\n  script \"calls/winback\"\n  outcomes [reached, not_reached]\n}\n",
    );
    write(
        "journeys/calls.journey",
        "journey calls \"Calls\" {\n  purpose transactional because \"asks what went wrong\"\n  enter on went_away\n  reenter never\n\
         \x20 call winback_call by sales with { offer: \"20 %\" } up to 5 days as talk\n  exit as done\n}\n",
    );
    let deploy = || crate::cli::fahrplan(dir.path(), &["deploy", "--yes"]);
    let refused = |sentence: &str| {
        let ran = deploy();
        assert!(ran.code == 1 && ran.err.contains(sentence), "{sentence}: {} {}", ran.out, ran.err);
    };
    refused("the task `winback_call` has no script: there is no calls/winback.md");
    write("calls/winback.md", "# {{contact.first_name}}\n\nSay {{ofer}}\n");
    refused("calls/winback.md: E0803 nothing gives `ofer` to every `winback_call`");
    let checked = crate::cli::fahrplan(dir.path(), &["check"]);
    for piece in ["--> calls/winback.md:3:7", "did you mean `offer`?", "journeys/calls.journey:5:3"] {
        assert!(checked.code == 1 && checked.out.contains(piece), "{piece}: {} {}", checked.out, checked.err);
    }
    write("calls/winback.md", "{{{offer}}}\n");
    refused("values are always shown as text");
    write("calls/winback.md", "# {{contact.first_name}}\n\nSay **{{offer}}** for {{brand.name}}\n");
    let ran = deploy();
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    assert!(deploy().out.contains("Nothing to do"));
    write("calls/winback.de.md", "# Hallo {{contact.first_name}}\n");
    assert!(deploy().out.contains("+ calls/winback.de.md  new"));
}

#[test]
fn a_script_is_filled_in_for_the_contact_and_its_language() {
    on_all(async |database| {
        let start = machine_now();
        let store = database.open().await;
        let texts = [
            ("calls/winback.md", "# Call\n\nBecause: {{reason}} <i>now</i>\n"),
            ("calls/winback.de.md", "# Anruf\n\nGrund: {{reason}}, {{contact.phone}}\n"),
        ];
        let templates = fahrplan::store::templates::Templates {
            scripts: texts.map(|(path, text)| (path.to_owned(), text.to_owned())).into(),
            locale: "fr".to_owned(),
            ..Default::default()
        };
        let program = (*calls().build()).clone();
        for (locale, expected) in [
            ("de", "<h1>Anruf</h1>\n<p>Grund: &lt;b&gt;quiet&lt;/b&gt; &amp; gone, +4930123456</p>"),
            ("en", "<p>Because: &lt;b&gt;quiet&lt;/b&gt; &amp; gone &lt;i&gt;now&lt;/i&gt;</p>"),
        ] {
            let rules = Catalog { locale: locale.into(), ..rules() };
            let release = fahrplan::store::journeys::Release {
                catalog: &rules,
                programs: std::slice::from_ref(&program),
                templates: &templates,
            };
            fahrplan::store::journeys::release(&store, release, start).await.expect("deployed");
            let ada = signs_up(&store, locale, "+4930123456", start).await;
            let mut conn = store.read().await.expect("a connection");
            let task = tasks::of_contact(&mut conn, ada).await.expect("read").remove(0);
            let people = tasks::people(&mut conn, std::slice::from_ref(&task)).await.expect("read");
            drop(conn);
            let shelf = fahrplan::daemon::scripts::Shelf::new(store.clone());
            let attributes = people[&ada].clone();
            let html =
                fahrplan::http::tasks::Scripts::script(&shelf, &task, attributes).await.expect("filled in");
            assert!(html.as_deref().is_some_and(|html| html.contains(expected)), "{locale}: {html:?}");
        }
    });
}
