//! The pages about people and journeys, as somebody with a key of scope `read` meets them.

use fahrplan::clock::machine_now;
use fahrplan::engine::program::SlotKind;
use fahrplan::engine::world::{ConsentChange, Input};
use fahrplan::http::connections::Limits;
use fahrplan::id::ContactId;
use fahrplan::store::held::{Held, Part};
use fahrplan::store::keys::Scope;
use fahrplan::store::{Store, brakes, journeys, status, why};
use fahrplan::time::{MINUTE, Timestamp};

use crate::agents::Browser;
use crate::doors::Open;
use crate::engine::build::*;
use crate::store::{Database, accept, advance, event, on_all, open};

/// A mail, and a wait for its click.
fn welcome() -> J {
    let mut j = J::new("welcome");
    j.marketing().on("signed_up").send("hello");
    let hello = j.slot("hello", SlotKind::Message);
    j.wait_for("look", days(3), outcome(hello, "clicked")).exit("done");
    j
}

/// Who orders waits for thirty days.
fn patience() -> J {
    let mut j = J::new("patience");
    j.on("order").wait("rest", days(30)).exit("done");
    j
}

struct House {
    store: Store,
    doors: Open,
    ada: ContactId,
    start: Timestamp,
}

/// Ada has allowed mails, signed up and ordered; Ben has only signed up.
async fn house(database: &Database) -> House {
    let start = machine_now();
    let store = open(database, &catalog(), &[&welcome(), &patience()], start).await;
    let values = fields(&[
        ("email", text("ada@example.org")),
        ("phone", text("+49 30 123456")),
        ("first_name", text("Ada <b>&")),
    ]);
    accept(&store, "ada", Input::Attributes { values, at: start }, start).await;
    let allowed = ConsentChange {
        purpose: "marketing".into(),
        channel: "email".into(),
        permit: true,
        at: start.plus_ms(-MINUTE),
        source: "https://shop.example/join".into(),
        evidence: Some("{\"ip\":\"192.0.2.1\"}".into()),
    };
    accept(&store, "ada", Input::Consent(allowed), start).await;
    advance(&store, start).await;
    let ada = accept(&store, "ada", event("signed_up", start, &[]), start).await;
    accept(&store, "ada", event("order", start, &[("order_id", text("o1"))]), start).await;
    let values = fields(&[("email", text("ben@example.org"))]);
    accept(&store, "ben", Input::Attributes { values, at: start }, start).await;
    accept(&store, "ben", event("signed_up", start, &[]), start).await;
    advance(&store, start).await;
    let doors = Open::deployed(store.clone(), Limits::default(), None).await;
    House { store, doors, ada, start }
}

async fn reader(house: &House) -> Browser<'_> {
    let key = crate::doors::key(&house.store, &[Scope::Read]).await;
    Browser::log_in(&house.doors, &key).await
}

/// A text as it stands in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn the_page_of_a_person_says_what_contact_show_and_why_say() {
    on_all(async |database| {
        let house = house(&database).await;
        let browser = reader(&house).await;
        let page = browser.get("/people/ada").await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(
            page.header("content-security-policy").is_some_and(|value| value.contains("default-src 'none'"))
        );
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let has = |part: &str| assert!(page.body.contains(part), "{part} is missing: {}", page.body);

        let mut conn = house.store.read().await.expect("a connection");
        let held = Held::find(&mut conn, "ada", machine_now()).await.expect("read").expect("she is there");
        // What a line says apart from its moments, which each tells in its own way.
        for part in Part::ALL {
            for line in held.lines(part, &|_| "\u{0}".to_owned()) {
                has(escaped(&line.name).trim());
                for said in line.text.split('\u{0}') {
                    has(escaped(said).trim());
                }
                if let Some(id) = &line.id {
                    has(id);
                }
            }
        }
        let stories = why::stories(&mut conn, &held, None, machine_now()).await.expect("told");
        assert_eq!(stories.len(), 2);
        for story in &stories {
            has(&format!(
                "<strong>{}</strong>: <span lang=\"en\">{}.</span>",
                story.journey,
                escaped(&story.answer)
            ));
            for told in &story.told {
                has(&escaped(&told.text));
            }
        }
        for (part, lines) in
            [(Part::Consents, 1), (Part::Enrollments, 2), (Part::Deliveries, 1), (Part::Events, 2)]
        {
            assert_eq!(held.lines(part, &|at| at.to_string()).len(), lines, "{part:?}");
        }
        has("Ada &lt;b&gt;&amp;");
        assert!(!page.body.contains("Ada <b>") && !page.body.contains("<script"), "{}", page.body);
        // Where she stands: one waits for a click, one for time alone.
        has("at look since");
        has("waits for `hello.clicked`, at most until");
        has("at rest since");
        let program =
            journeys::deployed(&mut conn).await.expect("read").current["welcome"].hash().to_string();
        has(&format!("(version {})", &program[..12]));
        drop(conn);

        let json = house.doors.get("/v1/contacts/ada").await.1;
        let enrollment = json["enrollments"].as_array().expect("a list").iter();
        let enrollment = enrollment.clone().find(|one| one["journey"] == "welcome").expect("she is inside");
        assert_eq!(
            (&enrollment["step"], &enrollment["waits_for"]),
            (&"look".into(), &"`hello.clicked`".into())
        );
    });
}

#[test]
fn who_did_not_get_it_is_told_why() {
    on_all(async |database| {
        let house = house(&database).await;
        let page = reader(&house).await.get("/people/ben@example.org").await;
        for part in [
            "there never was consent to marketing by email",
            "never entered: it begins with the event `order`, and none ever came",
        ] {
            assert!(page.body.contains(part), "{part} is missing: {}", page.body);
        }
    });
}

#[test]
fn somebody_is_found_by_what_they_are_known_as_and_no_address_tells_it() {
    on_all(async |database| {
        let house = house(&database).await;
        let browser = reader(&house).await;
        let token = browser.get("/people").await.token().to_owned();
        let there = format!("/people/{}", house.ada);
        for key in ["ada", " ada ", "ADA@example.org", "+4930123456", &house.ada.to_string()] {
            let found = browser.post("/people", &[("token", &token), ("key", key)]).await;
            assert_eq!(
                (found.status, found.header("location")),
                (303, Some(&*there)),
                "{key}: {}",
                found.body
            );
        }
        for key in ["ad", "a%", "<i>", "", "ct_0000000000000"] {
            let found = browser.post("/people", &[("token", &token), ("key", key)]).await;
            assert_eq!(found.status, 404, "{key}: {}", found.body);
            assert!(!found.body.contains("<i>"), "{}", found.body);
        }
        assert_eq!(browser.post("/people", &[("key", "ada")]).await.status, 403, "not from our page");
        for path in ["/people/nobody", "/people/%00", "/people/ct_0000000000000", "/journeys/nothing"] {
            let page = browser.get(path).await;
            let kind = page.header("content-type").unwrap_or_default();
            assert!(
                page.status == 404 && kind.starts_with("text/html"),
                "{path}: {} {}",
                page.status,
                page.body
            );
        }
        assert_eq!(browser.get(&there).await.status, 200);
        assert_eq!(browser.get("/people/%2B4930123456").await.status, 200);
    });
}

#[test]
fn two_who_share_an_address_are_both_offered() {
    on_all(async |database| {
        let house = house(&database).await;
        for name in ["cleo", "dora"] {
            let values = fields(&[("phone", text("+4940999999"))]);
            accept(&house.store, name, Input::Attributes { values, at: house.start }, house.start).await;
        }
        advance(&house.store, house.start).await;
        let browser = reader(&house).await;
        let token = browser.get("/people").await.token().to_owned();
        let found = browser.post("/people", &[("token", &token), ("key", "+4940999999")]).await;
        assert_eq!(
            (found.status, found.body.matches("href=\"/people/ct_").count()),
            (200, 2),
            "{}",
            found.body
        );
    });
}

#[test]
fn only_who_has_logged_in_with_the_scope_sees_anything() {
    on_all(async |database| {
        let house = house(&database).await;
        let nobody = Browser::nobody(&house.doors);
        for (path, next) in [
            ("/people", "/people"),
            ("/people/ada@example.org", "/people/ada@example.org"),
            ("/people/%2B49301", "/people/%252B49301"),
            ("/people/ada?page=2", "/people/ada"),
            ("/journeys", "/journeys"),
            ("/journeys/welcome", "/journeys/welcome"),
        ] {
            let away = nobody.get(path).await;
            let to = format!("/login?next={next}");
            assert_eq!((away.status, away.header("location")), (303, Some(&*to)), "{path}");
            assert!(!away.body.contains("Ada"), "{path}: {}", away.body);
        }
        let agent = crate::doors::key(&house.store, &[Scope::Tasks, Scope::Ingest]).await;
        let agent = Browser::log_in(&house.doors, &agent).await;
        for path in ["/people", "/people/ada", "/journeys", "/journeys/welcome"] {
            let page = agent.get(path).await;
            assert_eq!(page.status, 403, "{path}");
            assert!(
                page.body.contains("It needs the scope read.") && !page.body.contains("ada@"),
                "{}",
                page.body
            );
            assert!(!page.body.contains("href=\"/people"), "no way there is shown: {}", page.body);
        }
        let both = crate::doors::key(&house.store, &[Scope::Tasks, Scope::Read]).await;
        let both = Browser::log_in(&house.doors, &both).await;
        let page = both.get("/agent").await;
        assert!(
            page.body.contains("href=\"/people\"") && page.body.contains("href=\"/journeys\""),
            "{}",
            page.body
        );
    });
}

#[test]
fn a_long_history_is_turned_page_by_page() {
    on_all(async |database| {
        let house = house(&database).await;
        for n in 0..120 {
            let at = house.start.plus_ms(MINUTE + n);
            accept(&house.store, "ada", event("complaint", at, &[("case_id", text(&format!("n{n}")))]), at)
                .await;
        }
        let end = house.start.plus_ms(2 * MINUTE);
        advance(&house.store, end).await;
        let browser = reader(&house).await;
        let mut seen = Vec::new();
        for page in 1..9 {
            let body = browser.get(&format!("/people/ada?page={page}")).await.body;
            let (_, happened) = body.split_once("id=\"happened\"").expect("a heading");
            seen.extend(happened.split("<li>").skip(1).map(str::to_owned));
            let is_first = page == 1;
            assert_eq!(body.contains("rel=\"prev\""), !is_first, "{page}");
            assert_eq!(body.contains("ada@example.org"), is_first, "the rest stands on the first page");
            if !body.contains("rel=\"next\"") {
                break;
            }
        }
        let numbers: Vec<usize> = (0..120)
            .rev()
            .map(|n| seen.iter().position(|line| line.contains(&format!("case id: n{n}<"))).expect("there"))
            .collect();
        assert!(numbers.is_sorted(), "newest first, none twice: {numbers:?}");
        let mut conn = house.store.read().await.expect("a connection");
        let held = Held::find(&mut conn, "ada", end).await.expect("read").expect("she is there");
        assert_eq!(seen.len(), held.events.len() + held.history.len());
        for odd in ["page=0", "page=99", "page=x", "page=-1", "page=18446744073709551615"] {
            assert_eq!(browser.get(&format!("/people/ada?{odd}")).await.status, 200, "{odd}");
        }
    });
}

#[test]
fn the_pages_of_journeys_show_the_numbers_of_status() {
    on_all(async |database| {
        let house = house(&database).await;
        // As it was before the advancing of the tests took it for sent.
        let mut tx = house.store.write().await.expect("a transaction");
        tx.exec("UPDATE deliveries SET state = 'queued'", Vec::new()).await.expect("queued again");
        tx.commit().await.expect("committed");
        let browser = reader(&house).await;
        let status = status::read(&house.store, machine_now()).await.expect("read");
        assert_eq!(status.journeys.len(), 2);
        let all = browser.get("/journeys").await;
        for journey in &status.journeys {
            let left: i64 = journey.exits.values().sum();
            let numbers = format!("{} inside · {} entered · {left} left", journey.active, journey.entered);
            assert!(all.body.contains(&numbers), "{numbers} is missing: {}", all.body);
            let page = browser.get(&format!("/journeys/{}", journey.name)).await;
            assert_eq!(page.status, 200, "{}", page.body);
            for (step, count) in &journey.waiting {
                let row = format!("<strong>{count}</strong></span><div lang=\"en\">");
                let (_, after) = page.body.split_once(&row).unwrap_or_else(|| panic!("{row}: {}", page.body));
                let row = after.split("</li>").next().expect("a row");
                assert!(row.contains(&**step), "{step}: {row}");
            }
            assert!(page.body.contains(journey.version.as_deref().expect("it is open")), "{}", page.body);
        }
        // Messages by result, from counters: as many as there are in the outbox.
        let counted: i64 =
            status.journeys.iter().flat_map(|j| j.deliveries.values().flat_map(|c| c.values())).sum();
        let of_all: i64 = status.deliveries.values().sum();
        assert_eq!((counted, of_all), (1, 1), "{status:#?}");
        let page = browser.get("/journeys/welcome").await;
        for part in [
            "send email hello",
            "wait up to 3 days for hello.clicked",
            "exit as done",
            "<th scope=\"row\">email</th><td class=\"number\">1</td>",
            "badge open",
        ] {
            assert!(page.body.contains(part), "{part} is missing: {}", page.body);
        }

        let mut tx = house.store.write().await.expect("a transaction");
        brakes::pause(&mut tx, &brakes::Brake::Journey("welcome".into()), "Ana", machine_now())
            .await
            .expect("paused");
        tx.commit().await.expect("committed");
        journeys::retire(&house.store, "patience", machine_now()).await.expect("retired");
        let all = browser.get("/journeys").await.body;
        assert!(
            all.contains("badge paused") && all.contains("badge retired") && !all.contains("badge open"),
            "{all}"
        );
        let page = browser.get("/journeys/welcome").await.body;
        assert!(page.contains("is paused") && page.contains("by Ana"), "{page}");
        let page = browser.get("/journeys/patience").await.body;
        assert!(
            page.contains("wait 30 days") && !page.contains("is paused"),
            "who is inside is still shown: {page}"
        );
        let json = house.doors.get("/v1/journeys/patience").await.1;
        assert_eq!((&json["state"], &json["active"]), (&"retired".into(), &1.into()), "{json}");
    });
}

#[test]
fn pages_speak_the_language_of_the_browser() {
    on_all(async |database| {
        let house = house(&database).await;
        let mut browser = reader(&house).await;
        browser.language = "de-DE,de;q=0.9";
        for (path, part) in [
            ("/people", "Suchen"),
            ("/people/ada", "Einwilligungen"),
            ("/journeys", "eingetreten"),
            ("/journeys/welcome", "Schritte, und wer gerade dort ist"),
            ("/journeys/nothing", "Diese Journey gibt es nicht"),
        ] {
            let body = browser.get(path).await.body;
            assert!(body.contains(part) && body.contains("<html lang=\"de\">"), "{path}: {body}");
        }
    });
}
