//! Surveys as people meet them: a page behind a link, a text that is sent back, a call. What they say lands in one table.

use std::collections::BTreeMap;

use fahrplan::clock::machine_now;
use fahrplan::engine::program::*;
use fahrplan::engine::world::{Fields, Input};
use fahrplan::http::connections::Limits;
use fahrplan::id::{ContactId, DeliveryId};
use fahrplan::intake::Who;
use fahrplan::link::{Kind, Link, LinkKey};
use fahrplan::store::inbox::{Accepted, Incoming, To};
use fahrplan::store::receipts::{self, Reply, Told};
use fahrplan::store::surveys::{self, Line, Refused, Standing, Way};
use fahrplan::store::{Store, bucket_of, contacts, deliveries, held, tasks};
use fahrplan::time::{DAY, HOUR, Timestamp};
use fahrplan::value::{FieldType, Type};
use serde_json::{Value as Json, json};

use crate::doors::Open;
use crate::engine::build::*;
use crate::store::{Database, advance, assert_in_place, event, on_all, open, story, who};

fn question(name: &str, ty: Type, text: &str) -> Question {
    Question { field: FieldType { name: name.into(), ty }, text: text.into() }
}

fn rules() -> Catalog {
    let mut rules = catalog();
    let score = Type::Number(Some((0, 10)));
    let questions = vec![
        question("score", score, "Would you send a friend to us?"),
        question("why", Type::Text.optional(), "Why?"),
    ];
    rules.surveys.insert("nps".into(), Survey { title: "One minute, please".into(), questions });
    let words = Type::OneOf(["very_good".into(), "bad".into()].into());
    let questions = vec![
        question("mood", words.optional(), "How are you?"),
        question("again", Type::YesNo, "Would you come again?"),
        question("day", Type::Date, "When were you <here>?"),
        question("spent", Type::Decimal(None).optional(), "How much did you spend?"),
        question("visits", Type::Number(Some((0, 500))).optional(), "How often do you come?"),
        question("words", Type::Text.optional(), "In your words?"),
    ];
    rules.surveys.insert("long".into(), Survey { title: "Your visit".into(), questions });
    rules.channels.get_mut("sms").expect("there").sends = "secret:sms".into();
    rules
}

/// Asks by that channel, waits a week, and asks once more after what cannot be read.
fn asks(name: &str, event: &str, survey: &'static str, channel: &'static str) -> J {
    let mut j = J::new(name);
    j.on(event);
    for (ask, wait, unreadable) in [("pulse", "wait", "again"), ("pulse 2", "wait 2", "missed")] {
        if ask == "pulse 2" {
            j.label("again");
        }
        // Both messages have one result, as those of an `ask` do.
        let slot = j.slot("pulse", SlotKind::Message);
        let send = Send {
            channels: vec![channel.into()],
            every: false,
            template: survey.into(),
            to: None,
            with: Vec::new(),
            purpose: "transactional".into(),
            before: None,
            next: 0,
        };
        j.line(ask, Some(slot), move |_, next| StepKind::Send(Box::new(Send { next, ..send.clone() })));
        let arms = vec![
            (Trigger::Event(outcome(slot, "answered")), Some("heard")),
            (Trigger::Event(outcome(slot, "unreadable")), Some(unreadable)),
        ];
        j.race(wait, Some(days(7)), arms, Some("missed"), |_| {});
    }
    j.label("heard").exit("heard").label("missed").exit("missed");
    j
}

/// Asks in person.
fn calls(name: &str, event: &str) -> J {
    let mut j = J::new(name);
    j.on(event);
    let slot = j.slot("pulse", SlotKind::Task);
    j.line("pulse", Some(slot), move |_, next| {
        StepKind::Work(Box::new(Work {
            verb: "ask".into(),
            task: "nps".into(),
            team: "sales".into(),
            with: Vec::new(),
            limit: days(7),
            purpose: "transactional".into(),
            next,
        }))
    });
    let answered = is(j.field("pulse", "outcome"), val(text("answered")));
    j.unless(answered, "missed").exit("heard").label("missed").exit("missed");
    j
}

/// A store with three journeys: asked by mail on `signed_up`, by text on `optin`, by phone on `closed`.
async fn shop(database: &Database, survey: &'static str) -> Store {
    let (mail, sms, call) = (
        asks("by_mail", "signed_up", survey, "email"),
        asks("by_text", "optin", survey, "sms"),
        calls("by_phone", "closed"),
    );
    open(database, &rules(), &[&mail, &sms, &call], machine_now()).await
}

fn phone(number: u32) -> String {
    format!("+49151{number:08}")
}

/// Somebody of whom that happens.
async fn happens(store: &Store, name: &str, number: u32, what: &str) -> ContactId {
    let now = machine_now();
    let (email, phone) = (format!("{name}@example.org"), phone(number));
    let values = fields(&[("email", text(&email)), ("phone", text(&phone))]);
    let known = match name.starts_with("anon-") {
        true => Who { anonymous_id: Some(name.to_owned()), ..Who::default() },
        false => who(name),
    };
    let who = Who { phone: Some(phone), ..known };
    let item = |input| Incoming { to: To::Who(who.clone()), message_id: None, input };
    let items = vec![item(Input::Attributes { values, at: now }), item(event(what, now, &[]))];
    let taken = store.accept(items, now).await.expect("accepted");
    advance(store, now).await;
    let [_, Accepted::Taken(contact)] = taken[..] else { panic!("not taken: {taken:?}") };
    contact
}

/// The messages of somebody, oldest first.
async fn messages(store: &Store, contact: ContactId) -> Vec<DeliveryId> {
    let mut conn = store.read().await.expect("a connection");
    let mut found = deliveries::of_contact(&mut conn, contact).await.expect("read");
    found.sort_by_key(|line| line.id);
    found.into_iter().map(|line| line.id).collect()
}

async fn message(store: &Store, contact: ContactId) -> DeliveryId {
    *messages(store, contact).await.last().expect("a message")
}

/// The address of the page of a message.
async fn link(store: &Store, contact: ContactId) -> String {
    let delivery = message(store, contact).await;
    format!("/s/{}", token(store, Kind::Survey, contact, delivery))
}

fn token(store: &Store, kind: Kind, contact: ContactId, delivery: DeliveryId) -> String {
    let bucket = u16::try_from(bucket_of(contact, store.settings().buckets)).expect("few");
    let expires_at = machine_now().plus_ms(DAY);
    LinkKey::new([7; 32]).sign(&Link { kind, bucket, contact, delivery, expires_at })
}

async fn page(doors: &Open, request: &str, form: &str) -> (u16, String) {
    let head = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = doors.say(head.as_bytes()).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {answer:?}")), answer)
}

async fn reply(store: &Store, number: u32, id: &str, text: &str) -> Told {
    let from = phone(number);
    let channels = ["sms".into()];
    let reply = Reply { id, channels: &channels, from: &from, text, refers_to: None };
    receipts::reply(store, reply, machine_now()).await.expect("taken down")
}

async fn answers(store: &Store, survey: &str) -> Vec<Line> {
    let mut conn = store.read().await.expect("a connection");
    surveys::of_survey(&mut conn, survey, None, 100).await.expect("read").unwrap_or_default()
}

async fn standing(store: &Store, delivery: DeliveryId) -> Option<Standing> {
    let mut conn = store.read().await.expect("a connection");
    let found = surveys::question(&mut conn, delivery, machine_now()).await.expect("read");
    found.map(|question| question.standing)
}

/// How somebody left.
async fn exit(store: &Store, contact: ContactId) -> Option<String> {
    advance(store, machine_now()).await;
    let story = story(store, contact).await;
    let mut exits = story.iter().filter_map(|line| line.split_once("Exited { reason: \""));
    exits.next_back().map(|(_, reason)| reason.trim_end_matches("\" }").to_owned())
}

fn score(line: &Line) -> (&str, Json, ContactId) {
    (line.way.as_str(), line.fields["score"].to_json(), line.contact)
}

#[test]
fn a_page_a_text_and_a_call_land_in_one_table() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let before = store.statements();
        let ada = happens(&store, "ada", 1, "signed_up").await;
        let ben = happens(&store, "ben", 2, "optin").await;
        let cleo = happens(&store, "cleo", 3, "closed").await;

        let (status, answer) =
            page(&doors, &format!("POST {}", link(&store, ada).await), "a.score=9&a.why=Nice+people").await;
        assert_eq!(status, 200, "{answer}");
        let (status, told) = doors
            .signed(&json!({ "outcome": "replied", "from": "+49 151 00000002", "text": "7 good", "message_id": "m1" }))
            .await;
        assert_eq!((status, &told["accepted"]), (200, &json!(1)), "{told}");
        // What cannot be read costs the others nothing, and alone it is refused.
        let again =
            json!({ "outcome": "replied", "from": "+49 151 00000002", "text": "7 good", "message_id": "m1" });
        let (status, told) = doors.signed(&json!([5, null, again, { "outcome": 3 }])).await;
        assert_eq!((status, &told["repeated"], &told["unknown"]), (200, &json!(1), &json!(3)), "{told}");
        assert_eq!(doors.signed(&json!([5, null])).await.0, 400);
        let (status, told) =
            doors.send("/v1/responses", &json!([{ "code": 5 }, { "code": "nobody's" }])).await;
        assert_eq!((status, &told["unknown"]), (200, &json!([0, 1])), "{told}");
        let (_, listed) = doors.get("/v1/tasks").await;
        let task = &listed["tasks"][0];
        assert_eq!((&task["verb"], &task["outcomes"]), (&json!("ask"), &json!(["answered", "declined"])));
        assert_eq!(task["answers"][0]["text"], "Would you send a friend to us?");
        let scale = &task["answers"][0];
        assert_eq!((&scale["type"], &scale["from"], &scale["to"]), (&json!("number"), &json!(0), &json!(10)));
        assert_eq!((&task["answers"][1]["from"], &task["answers"][1]["to"]), (&Json::Null, &Json::Null));
        let outcome = format!("/v1/tasks/{}/outcome", task["id"].as_str().expect("an id"));
        let (status, told) = doors.send(&outcome, &json!({ "outcome": "answered" })).await;
        assert_eq!((status, &told["code"]), (422, &json!("wrong-answer")), "{told}");
        let (status, told) =
            doors.send(&outcome, &json!({ "outcome": "answered", "answers": { "score": 3 } })).await;
        assert_eq!(status, 200, "{told}");
        assert_in_place(&store, &before).await;

        let found = answers(&store, "nps").await;
        let ways: Vec<_> = found.iter().rev().map(score).collect();
        assert_eq!(ways, [("page", json!(9), ada), ("text", json!(7), ben), ("phone", json!(3), cleo)]);
        let words: Vec<_> =
            found.iter().rev().map(|line| line.fields.get("why").map(|why| why.to_json())).collect();
        assert_eq!(words, [Some(json!("Nice people")), Some(json!("good")), None]);
        for contact in [ada, ben, cleo] {
            assert_eq!(exit(&store, contact).await.as_deref(), Some("heard"));
        }
        // Whoever evaluates them reads them by the door, page by page.
        let (status, first) = doors.get("/v1/surveys/nps/answers?limit=2").await;
        assert_eq!((status, first["answers"].as_array().map(Vec::len)), (200, Some(2)), "{first}");
        assert_eq!(first["answers"][0]["fields"], json!({ "score": 3 }));
        assert_eq!(
            first["questions"][1],
            json!({ "name": "why", "text": "Why?", "type": "text", "optional": true })
        );
        let next = first["next"].as_str().expect("more");
        let (_, second) = doors.get(&format!("/v1/surveys/nps/answers?limit=2&before={next}")).await;
        assert_eq!(
            (&second["answers"][0]["way"], &second["next"]),
            (&json!("page"), &Json::Null),
            "{second}"
        );
        assert_eq!(doors.get("/v1/surveys/none/answers").await.0, 404);
        // It is among what is held on somebody.
        let mut conn = store.read().await.expect("a connection");
        let held = held::Held::find(&mut conn, &phone(2), machine_now()).await.expect("read").expect("there");
        assert_eq!(held.as_json()["answers"][0]["fields"], json!({ "score": 7, "why": "good" }));
    });
}

#[test]
fn of_answers_that_race_the_first_counts() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        for round in 0..5 {
            let ben = happens(&store, &format!("ben{round}"), round, "optin").await;
            let delivery = message(&store, ben).await;
            let by_page = |n: i64| {
                let fields: Fields = fields(&[("score", fahrplan::value::Value::Number(n))]);
                surveys::answer(&store, delivery, Way::Page, None, fields, machine_now())
            };
            let id = format!("m{round}");
            let (one, two, three) = tokio::join!(by_page(1), reply(&store, round, &id, "2"), by_page(3));
            let (one, three) = (one.expect("written").is_ok(), three.expect("written").is_ok());
            let found = answers(&store, "nps").await;
            assert_eq!(found.len(), round as usize + 1, "{one} {two:?} {three}");
            assert!(!(one && three));
            let (way, value, _) = score(&found[0]);
            assert_eq!((one, three, way == "text"), (value == 1, value == 3, value == 2), "{found:?}");
            // The provider says the same again; and what comes late is no answer.
            let again = reply(&store, round, &id, "2").await;
            assert!(way != "text" || again == Told::Repeated, "{again:?}");
            assert_eq!(exit(&store, ben).await.as_deref(), Some("heard"));
            let late = by_page(4).await.expect("read");
            assert!(matches!(late, Err(Refused::Answered(_))), "{late:?}");
        }
    });
}

#[test]
fn a_text_that_is_no_answer_is_asked_once_more() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let ben = happens(&store, "ben", 2, "optin").await;
        assert_eq!(reply(&store, 2, "m1", "who is this?").await, Told::Taken);
        assert_eq!(reply(&store, 2, "m1", "who is this?").await, Told::Repeated);
        advance(&store, machine_now()).await;
        let asked = messages(&store, ben).await;
        assert_eq!(asked.len(), 2, "it is asked once more");
        // An answer to the first message counts for the second, which asks the same.
        assert_eq!(standing(&store, asked[0]).await, Some(Standing::Open));
        let fields = fields(&[("score", fahrplan::value::Value::Number(5))]);
        let told = surveys::answer(&store, asked[0], Way::Page, None, fields, machine_now()).await;
        assert_eq!(told.expect("written"), Ok(()));
        assert_eq!(exit(&store, ben).await.as_deref(), Some("heard"));
        for delivery in asked {
            assert!(matches!(standing(&store, delivery).await, Some(Standing::Answered(_))));
        }

        let cleo = happens(&store, "cleo", 3, "optin").await;
        for id in ["c1", "c2"] {
            assert_eq!(reply(&store, 3, id, "eleven").await, Told::Taken);
            advance(&store, machine_now()).await;
        }
        assert_eq!(exit(&store, cleo).await.as_deref(), Some("missed"));
        assert_eq!(reply(&store, 3, "c3", "8").await, Told::Taken);
        let delivery = message(&store, cleo).await;
        assert_eq!(standing(&store, delivery).await, Some(Standing::Over));
        assert_eq!(answers(&store, "nps").await.len(), 1);

        // Who wants no more is not asked for a number.
        let dora = happens(&store, "dora", 4, "optin").await;
        assert_eq!(reply(&store, 4, "d1", "STOP").await, Told::Taken);
        advance(&store, machine_now()).await;
        assert_eq!(messages(&store, dora).await.len(), 1);
    });
}

#[test]
fn nobody_waits_for_ever() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let ada = happens(&store, "ada", 1, "signed_up").await;
        let delivery = message(&store, ada).await;
        let mut conn = store.read().await.expect("a connection");
        let late = machine_now().plus_ms(7 * DAY + HOUR);
        let found = surveys::question(&mut conn, delivery, late).await.expect("read").expect("a question");
        assert_eq!((found.standing, found.contact, &*found.survey), (Standing::Over, ada, "nps"));
        drop(conn);
        let told = surveys::answer(&store, delivery, Way::Page, None, Fields::new(), late).await;
        assert_eq!(told.expect("read"), Err(Refused::Over));
        let told = surveys::answer(&store, DeliveryId(7), Way::Page, None, Fields::new(), late).await;
        assert_eq!(told.expect("read"), Err(Refused::Unknown));
        assert_eq!(answers(&store, "nps").await, []);
    });
}

#[test]
fn who_turns_out_to_be_somebody_else_takes_questions_and_answers_along() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let elder = happens(&store, "elder", 1, "complaint").await;
        for (name, number) in [("ada", 2), ("ben", 3)] {
            let loser = happens(&store, &format!("anon-{name}"), number, "signed_up").await;
            let delivery = message(&store, loser).await;
            let fields = fields(&[("score", fahrplan::value::Value::Number(number.into()))]);
            let answer = async |store: &Store| {
                surveys::answer(store, delivery, Way::Page, None, fields.clone(), machine_now()).await
            };
            if name == "ada" {
                assert_eq!(answer(&store).await.expect("written"), Ok(()));
            }
            log_in(&store, "elder", &format!("anon-{name}")).await;
            if name == "ben" {
                assert_eq!(standing(&store, delivery).await, Some(Standing::Open));
                assert_eq!(answer(&store).await.expect("written"), Ok(()));
            }
            advance(&store, machine_now()).await;
            assert!(matches!(answer(&store).await.expect("read"), Err(Refused::Answered(_))));
        }
        let found = answers(&store, "nps").await;
        assert_eq!(found.iter().map(|line| line.contact).collect::<Vec<_>>(), [elder; 2]);
        let bucket = bucket_of(elder, store.settings().buckets);
        let mut conn = store.read().await.expect("a connection");
        const THERE: &str = "SELECT COUNT(*) FROM answers WHERE bucket = $1 AND contact = $2";
        let args = vec![bucket.into(), elder.into()];
        assert_eq!(conn.fetch_number(THERE, args).await.expect("counted"), 2);
    });
}

/// Somebody logs in where another was known by a cookie.
async fn log_in(store: &Store, user: &str, cookie: &str) {
    let who = Who { anonymous_id: Some(cookie.to_owned()), ..who(user) };
    let input = Input::Attributes { values: Fields::new(), at: machine_now() };
    let item = Incoming { to: To::Who(who), message_id: None, input };
    store.accept(vec![item], machine_now()).await.expect("accepted");
    advance(store, machine_now()).await;
}

#[test]
fn who_declines_on_the_phone_owes_no_answer() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let cleo = happens(&store, "cleo", 3, "closed").await;
        let mut conn = store.read().await.expect("a connection");
        let task = tasks::of_contact(&mut conn, cleo).await.expect("read").pop().expect("a task");
        drop(conn);
        let none = BTreeMap::new();
        let report = tasks::Report { who: "Ana", outcome: "declined", answers: &none, note: None };
        let told = tasks::outcome(&store, task.work.id, report, tasks::Now::at(machine_now())).await;
        assert_eq!(told.expect("written"), Ok(()));
        assert_eq!(exit(&store, cleo).await.as_deref(), Some("missed"));
        assert_eq!(answers(&store, "nps").await, []);
    });
}

#[test]
fn a_rehearsal_answers_with_samples() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let cleo = happens(&store, "cleo", 3, "closed").await;
        let done = fahrplan::store::rehearsal::answer_tasks(&store, machine_now()).await.expect("answered");
        assert_eq!((done, exit(&store, cleo).await.as_deref()), (1, Some("heard")));
        let found = answers(&store, "nps").await;
        let fields = found.iter().map(|line| line.as_json()["fields"].clone()).collect::<Vec<_>>();
        assert_eq!(fields, [json!({ "score": 3, "why": "[why]" })]);
    });
}

#[test]
fn the_page_asks_by_type_and_loses_nothing_that_was_typed() {
    on_all(async |database| {
        let store = shop(&database, "long").await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let ada = happens(&store, "ada", 1, "signed_up").await;
        let at = link(&store, ada).await;
        for method in ["GET", "HEAD", "GET"] {
            let (status, answer) = page(&doors, &format!("{method} {at}"), "").await;
            assert_eq!(status, 200, "{answer}");
        }
        let (_, shown) = page(&doors, &format!("GET {at}"), "").await;
        for part in [
            "<html lang=\"de\">",
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "Your visit",
            "When were you &lt;here&gt;?",
            "type=\"radio\" name=\"a.mood\" value=\"very_good\"",
            "type=\"radio\" name=\"a.again\" value=\"yes\" required",
            "type=\"date\"",
            "inputmode=\"decimal\"",
            "max=\"500\"",
            "<textarea",
            "Antwort senden",
            "(freiwillig)",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("<script"), "{shown}");
        assert_eq!(answers(&store, "long").await, [], "looking is no answer");

        let typed = "a.mood=very_good&a.day=soon&a.spent=3%2C50&a.words=%3Cb%3Egrand%3C%2Fb%3E";
        let (status, told) = page(&doors, &format!("POST {at}"), typed).await;
        assert_eq!(status, 422, "{told}");
        for part in [
            "Bitte wähle eine Antwort.",
            "Bitte gib ein Datum an, etwa 24.12.2026.",
            "value=\"soon\"",
            "value=\"very_good\" checked",
            "value=\"3,50\"",
            "&lt;b&gt;grand&lt;/b&gt;</textarea>",
            "aria-describedby=\"a.day.wrong\"",
            "role=\"alert\"",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(answers(&store, "long").await, []);

        let typed = "a.mood=very_good&a.again=no&a.day=2026-05-04&a.spent=3%2C50&a.words=%3Cb%3E&a.visits=";
        let (status, told) = page(&doors, &format!("POST {at}"), typed).await;
        assert!(status == 200 && told.contains("Danke!"), "{told}");
        let found = answers(&store, "long").await;
        let expected = json!({ "mood": "very_good", "again": false, "day": "2026-05-04", "spent": "3.50", "words": "<b>" });
        assert_eq!(found[0].as_json()["fields"], expected);
        // Kindly, not as a mistake of theirs.
        for request in ["POST", "GET"] {
            let (status, told) = page(&doors, &format!("{request} {at}"), "a.again=yes").await;
            assert_eq!(status, if request == "GET" { 200 } else { 409 });
            assert!(told.contains("Danke, wir haben deine Antwort schon"), "{told}");
        }
        assert_eq!(answers(&store, "long").await.len(), 1);

        // Links of other kinds, of messages that ask nothing, and forged ones lead nowhere.
        let delivery = message(&store, ada).await;
        let confirm = token(&store, Kind::Confirm, ada, delivery);
        let nothing = token(&store, Kind::Survey, ada, DeliveryId(7));
        for wrong in [confirm.as_str(), nothing.as_str(), "x", &at[3..at.len() - 1]] {
            for method in ["GET", "POST"] {
                assert_eq!(
                    page(&doors, &format!("{method} /s/{wrong}"), "a.again=yes").await.0,
                    404,
                    "{wrong}"
                );
            }
        }
        assert_eq!(page(&doors, &format!("POST /u/{}", &at[3..]), "").await.0, 404);
    });
}

#[test]
fn the_page_speaks_the_language_of_the_contact() {
    on_all(async |database| {
        let mut rules = rules();
        rules.attributes.push(Attribute {
            name: "locale".into(),
            ty: Type::Locale.optional(),
            default: fahrplan::value::Value::Unknown,
            unique: false,
            pii: false,
        });
        let journey = asks("by_mail", "signed_up", "nps", "email");
        let store = open(&database, &rules, &[&journey], machine_now()).await;
        let doors = Open::deployed(store.clone(), Limits::default(), None).await;
        let ada = happens(&store, "ada", 1, "signed_up").await;
        let values = fields(&[("locale", text("en-GB"))]);
        let input = Input::Attributes { values, at: machine_now() };
        let item = Incoming { to: To::Contact(ada), message_id: None, input };
        store.accept(vec![item], machine_now()).await.expect("accepted");
        advance(&store, machine_now()).await;
        let (status, shown) = page(&doors, &format!("GET {}", link(&store, ada).await), "").await;
        assert!(
            status == 200 && shown.contains("<html lang=\"en\">") && shown.contains("Send the answer"),
            "{shown}"
        );
        let mut conn = store.read().await.expect("a connection");
        assert!(contacts::load(&mut conn, ada).await.expect("read").is_some());
    });
}

#[test]
fn answers_are_forgotten_in_time() {
    on_all(async |database| {
        let store = shop(&database, "nps").await;
        let ada = happens(&store, "ada", 1, "signed_up").await;
        let fields = fields(&[("score", fahrplan::value::Value::Number(5))]);
        let delivery = message(&store, ada).await;
        let told = surveys::answer(&store, delivery, Way::Page, None, fields, machine_now()).await;
        assert_eq!(told.expect("written"), Ok(()));
        let bucket = bucket_of(ada, store.settings().buckets);
        let forget = async |before: Timestamp| {
            let mut tx = store.write().await.expect("a transaction");
            let gone =
                surveys::forget(&mut tx, bucket, fahrplan::id::at(before), 10).await.expect("forgotten");
            tx.commit().await.expect("committed");
            gone
        };
        assert_eq!(forget(machine_now().plus_ms(-DAY)).await, 0);
        assert_eq!(forget(machine_now().plus_ms(DAY)).await, 1);
        assert_eq!(answers(&store, "nps").await, []);
    });
}
