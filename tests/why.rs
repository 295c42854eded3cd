//! `fahrplan why`: ten people who got something and ten who did not, and what a marketer reads about each of them.

use std::path::Path;

use fahrplan::cli::load::Project;
use fahrplan::clock::machine_now;
use fahrplan::engine::world::{ConsentChange, Event, Fields, Input, Suppression};
use fahrplan::intake::Who;
use fahrplan::store::inbox::{Incoming, To};
use fahrplan::store::{Store, advance_bucket, jobs, journeys};
use fahrplan::time::Timestamp;
use fahrplan::value::Value;

use crate::cli::{empty_dir, fahrplan};

const SCHEMA: &str = r#"contact {
  email: email? unique pii
  country: text = ""
  points: number = 0
  birthday: date?
  tier: one of [gold, silver] = silver
}

event signed_up { source: text }

event moved_house { to: text }

event asked { what: text }

event order_placed { order_id: id dedupe, value: decimal }

channel email {
  sends "smtp"
  address contact.email
  class message
  cost 0.60
  abilities [clicks]
}
"#;

const POLICIES: &str = r#"policy house_rules {
  consent marketing on email
  quiet hours 21:00 to 08:00 project time for marketing on email then wait
  cap email marketing at 2 per 7 days then skip
}
"#;

const JOURNEYS: &str = r#"journey hello "Hello" {
  purpose marketing
  enter on signed_up where signed_up.source is "web" and contact.country is "DE"
  reenter never

  send email hello as greeting
  wait up to 3 days for greeting.clicked as look
  exit as done
}

journey receipt "Receipt" {
  purpose transactional because "it belongs to the order"
  enter on order_placed where order_placed.value > 10.00
  reenter always

  send email receipt as paper
  exit as done
}

journey news "News" {
  purpose marketing
  enter on order_placed
  reenter always

  send email news as letter
  exit as done
}

journey spring "Spring" {
  purpose marketing
  enter on signed_up
  runs from 2024-03-01 to 2024-03-31
  reenter never

  send email spring as leaf
  exit as done
}

journey gifts "Gifts" {
  purpose transactional because "they asked for it"
  enter when contact.points >= 100
  reenter never

  send email gift as present
  wait 30 days as patience
  exit as done
}

journey flowers "Flowers" {
  purpose transactional because "they asked for it"
  enter on moved_house
  reenter never
  budget 1.10 per calendar month then skip

  send email gift as bunch
  exit as done
}

journey tiers "Tiers" {
  purpose transactional because "they asked for it"
  enter on asked
  reenter always

  if asked.what is "gift" and contact.points >= 100 and contact.email is known {
    send email gift as token
  }
  if contact.points > 10 {
    switch contact.tier {
      case gold { wait 1 day }
      else { wait 2 days }
    }
  }
  exit as done
}

journey party "Party" {
  purpose transactional because "they asked for it"
  enter by start
  reenter never

  send email gift as card
  wait 30 days as patience
  exit as done
}
"#;

/// Tuesday, 4 March 2025, 10:00 in Berlin.
const TUESDAY: &str = "2025-03-04T09:00:00Z";

struct House {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl House {
    fn build() -> House {
        let dir = empty_dir();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(
            "fahrplan.toml",
            "[project]\nname = \"test\"\nzone = \"Europe/Berlin\"\nlocale = \"en\"\n[database]\nurl = \"sqlite:test.db\"\n",
        );
        write("schema.journey", SCHEMA);
        write("policies.journey", POLICIES);
        write("all.journey", JOURNEYS);
        for name in ["hello", "receipt", "news", "spring", "gift"] {
            write(&format!("templates/{name}/email.en.subject.hbs"), "Hello\n");
            let link = "<html><body><p>Hello <a href=\"{{links.unsubscribe}}\">Stop</a></p></body></html>\n";
            write(&format!("templates/{name}/email.en.html.hbs"), link);
        }
        let project = Project::at(dir.path().to_path_buf()).expect("a project");
        let compiled = fahrplan::lang::compile(&project.input);
        let found: Vec<_> = compiled.diagnostics.iter().map(|one| one.message.clone()).collect();
        assert_eq!(compiled.programs.len(), 8, "{found:?}");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let store = runtime.block_on(async {
            let store = Store::open(&project.database_url()).await.expect("opened");
            journeys::deploy(&store, &compiled.catalog, &compiled.programs, at("2025-01-01T00:00:00Z"))
                .await
                .expect("deployed");
            store
        });
        House { dir, runtime, store }
    }

    fn person(&self, id: &str, values: &[(&str, Value)]) {
        let mut all: Fields = values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        let email = format!("{id}@example.com");
        all.entry("email".into()).or_insert_with(|| Value::text(&email));
        all.retain(|_, value| value.is_known());
        let values = all;
        self.take(id, "2025-02-01T09:00:00Z", Input::Attributes { values, at: at("2025-02-01T09:00:00Z") });
    }

    fn consent(&self, id: &str, permit: bool, when: &str) {
        let change = ConsentChange {
            purpose: "marketing".into(),
            channel: "email".into(),
            permit,
            at: at(when),
            source: "api".into(),
            evidence: None,
        };
        self.take(id, when, Input::Consent(change));
    }

    fn event(&self, id: &str, name: &str, fields: &[(&str, Value)], when: &str) {
        self.event_of(id, name, fields, when, when, false);
    }

    fn event_of(
        &self,
        id: &str,
        name: &str,
        fields: &[(&str, Value)],
        occurred: &str,
        accepted: &str,
        quiet: bool,
    ) {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        let event = Event {
            id: 0,
            name: name.into(),
            occurred_at: at(occurred),
            accepted_at: at(accepted),
            fields,
            quiet,
        };
        self.take(id, accepted, Input::Event(event));
    }

    fn take(&self, id: &str, when: &str, input: Input) {
        let who = Who { user_id: Some(id.to_owned()), ..Who::default() };
        let item = Incoming { to: To::Who(who), message_id: None, input };
        self.runtime.block_on(async {
            self.store.accept(vec![item], at(when)).await.expect("accepted");
        });
        self.advance(when);
    }

    fn advance(&self, when: &str) {
        self.runtime.block_on(async {
            for bucket in self.store.buckets() {
                while advance_bucket(&self.store, bucket, at(when), 100).await.expect("advanced").more {}
            }
        });
    }

    fn signed_up(&self, id: &str, source: &str, when: &str) {
        self.event(id, "signed_up", &[("source", Value::text(source))], when);
    }

    fn ordered(&self, id: &str, order: &str, value: &str, when: &str) {
        let value = Value::Decimal(value.parse().expect("a decimal"));
        self.event(id, "order_placed", &[("order_id", Value::text(order)), ("value", value)], when);
    }

    /// Somebody in Germany who agreed to mail.
    fn agreed(&self, id: &str) {
        self.person(id, &german());
        self.consent(id, true, "2025-02-02T09:00:00Z");
    }

    /// What `why` says of one person in one journey, to the letter.
    fn tells(&self, id: &str, journey: &str, expected: &str) {
        assert_eq!(self.why(id, journey), expected, "{id} in {journey}");
    }

    /// The same without the last line, which names the zone.
    fn why(&self, id: &str, journey: &str) -> String {
        let told = why(self.dir.path(), &["why", id, journey]);
        told.strip_suffix("\nTimes are in Europe/Berlin.\n").expect("the zone, once").to_owned()
    }
}

fn why(dir: &Path, args: &[&str]) -> String {
    let ran = fahrplan(dir, args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn german() -> Vec<(&'static str, Value)> {
    vec![("country", Value::text("DE"))]
}

#[test]
fn ten_people_who_got_something() {
    let house = House::build();

    // 1: everything as it should be.
    house.agreed("p1");
    house.signed_up("p1", "web", TUESDAY);
    house.tells(
        "p1",
        "hello",
        "hello: entered on Tue 4 Mar 2025, 10:00, and is inside.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `hello` by email is queued, due Tue 4 Mar 2025, 10:00\n  \
         Tue 4 Mar 2025, 10:00  waits at `look`, at most until Fri 7 Mar 2025, 10:00\n",
    );
    // 2: and three days later.
    house.agreed("p2");
    house.signed_up("p2", "web", TUESDAY);
    house.advance("2025-03-07T09:00:00Z");
    house.tells(
        "p2",
        "hello",
        "hello: entered on Tue 4 Mar 2025, 10:00, and left as `done` on Fri 7 Mar 2025, 10:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `hello` by email is queued, due Tue 4 Mar 2025, 10:00\n  \
         Tue 4 Mar 2025, 10:00  waits at `look`, at most until Fri 7 Mar 2025, 10:00\n  \
         Fri 7 Mar 2025, 10:00  `look` is over: nothing came in time\n  \
         Fri 7 Mar 2025, 10:00  left as `done`\n",
    );
    // 3: at night it waits for the morning.
    house.agreed("p3");
    house.signed_up("p3", "web", "2025-03-04T21:30:00Z");
    house.tells(
        "p3",
        "hello",
        "hello: entered on Tue 4 Mar 2025, 22:30, and is inside.\n  \
         Tue 4 Mar 2025, 22:30  entered\n  \
         Tue 4 Mar 2025, 22:30  `hello` waits until Wed 5 Mar 2025, 08:00: quiet hours from 21:00 to 08:00\n  \
         Tue 4 Mar 2025, 22:30  waits at `greeting`, at most until Wed 5 Mar 2025, 08:00\n",
    );
    // 4: what belongs to an order needs no consent.
    house.person("p4", &[]);
    house.ordered("p4", "o4", "20", TUESDAY);
    house.tells(
        "p4",
        "receipt",
        "receipt: entered on Tue 4 Mar 2025, 10:00, and left as `done` on Tue 4 Mar 2025, 10:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `receipt` by email is queued, due Tue 4 Mar 2025, 10:00\n  \
         Tue 4 Mar 2025, 10:00  left as `done`\n",
    );
    // 5: twice is allowed.
    house.person("p5", &[]);
    house.ordered("p5", "o5", "20", TUESDAY);
    house.ordered("p5", "o6", "30", "2025-03-05T09:00:00Z");
    let twice = house.why("p5", "receipt");
    assert_eq!(twice.matches("`receipt` by email is queued").count(), 2, "{twice}");
    // 6: while the journey ran.
    house.person("p6", &[("points", Value::Number(150))]);
    house.tells(
        "p6",
        "gifts",
        "gifts: entered on Sat 1 Feb 2025, 10:00, and is inside.\n  \
         Sat 1 Feb 2025, 10:00  entered\n  \
         Sat 1 Feb 2025, 10:00  `gift` by email is queued, due Sat 1 Feb 2025, 10:00\n  \
         Sat 1 Feb 2025, 10:00  waits at `patience`, at most until Mon 3 Mar 2025, 10:00\n",
    );
    // 7: taken out by hand.
    house.agreed("p7");
    house.signed_up("p7", "web", TUESDAY);
    let leave = Input::Leave { journey: "hello".into(), reason: "exited".into() };
    house.take("p7", "2025-03-04T10:00:00Z", leave);
    house.tells(
        "p7",
        "hello",
        "hello: entered on Tue 4 Mar 2025, 10:00, and left as `exited` on Tue 4 Mar 2025, 11:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `hello` by email was not sent: the journey was left before it went out, on Tue 4 Mar 2025, 11:00\n  \
         Tue 4 Mar 2025, 10:00  waits at `look`, at most until Fri 7 Mar 2025, 10:00\n  \
         Tue 4 Mar 2025, 11:00  left as `exited`: somebody took them out by hand\n",
    );
    // 8: started by hand.
    house.person("p8", &[]);
    let start = Input::Start { journey: "party".into(), arguments: Fields::new(), at: at(TUESDAY) };
    house.take("p8", TUESDAY, start.clone());
    house.take("p8", "2025-03-05T09:00:00Z", start);
    house.tells(
        "p8",
        "party",
        "party: entered on Tue 4 Mar 2025, 10:00, and is inside.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `gift` by email is queued, due Tue 4 Mar 2025, 10:00\n  \
         Tue 4 Mar 2025, 10:00  waits at `patience`, at most until Thu 3 Apr 2025, 10:00\n  \
         Wed 5 Mar 2025, 10:00  did not enter: was inside before, from Tue 4 Mar 2025, 10:00 on, and the journey takes everybody once\n",
    );
    // 9: consent was withdrawn while inside.
    house.agreed("p9");
    house.signed_up("p9", "web", TUESDAY);
    house.consent("p9", false, "2025-03-04T10:00:00Z");
    house.tells(
        "p9",
        "hello",
        "hello: entered on Tue 4 Mar 2025, 10:00, and left as `consent_withdrawn` on Tue 4 Mar 2025, 11:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `hello` by email was not sent: the journey was left before it went out, on Tue 4 Mar 2025, 11:00\n  \
         Tue 4 Mar 2025, 10:00  waits at `look`, at most until Fri 7 Mar 2025, 10:00\n  \
         Tue 4 Mar 2025, 11:00  left as `consent_withdrawn`: the consent was withdrawn\n",
    );
    // 10: the journey is paused.
    house.agreed("p10");
    house.signed_up("p10", "web", TUESDAY);
    let paused = fahrplan(house.dir.path(), &["pause", "journey", "hello"]);
    assert_eq!(paused.code, 0, "{}", paused.err);
    let told = house.why("p10", "hello");
    assert!(
        told.starts_with(
            "hello: entered on Tue 4 Mar 2025, 10:00, and is inside; journey `hello` is paused by somebody@"
        ),
        "{told}"
    );
    assert!(
        told.contains("`hello` by email is queued and does not leave: journey `hello` is paused by"),
        "{told}"
    );

    // The same for one message, and for machines.
    let json = why(house.dir.path(), &["contact", "show", "p1", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let id = json["deliveries"][0]["id"].as_str().expect("an id");
    let one = why(house.dir.path(), &["why", "p1", id]);
    assert!(one.starts_with("hello: `hello` by email is queued"), "{one}");
    let json = why(house.dir.path(), &["why", "p2", "hello", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["journeys"][0]["decisions"][4]["text"], "left as `done`");
}

#[test]
fn ten_people_who_did_not() {
    let house = House::build();

    // 1: the event never came.
    house.person("n1", &german());
    house.tells(
        "n1",
        "hello",
        "hello: never entered: it begins with the event `signed_up`, and none ever came.\n",
    );
    // 2: one part of the condition was false.
    house.person("n2", &[("country", Value::text("AT"))]);
    house.consent("n2", true, "2025-02-02T09:00:00Z");
    house.signed_up("n2", "web", TUESDAY);
    house.tells(
        "n2",
        "hello",
        "hello: never entered: `signed_up` came on Tue 4 Mar 2025, 10:00, but `contact.country is \"DE\"` does not hold: \
         `contact.country` is \"AT\".\n",
    );
    // 3: both were.
    house.person("n3", &[]);
    house.signed_up("n3", "shop", TUESDAY);
    house.tells(
        "n3",
        "hello",
        "hello: never entered: `signed_up` came on Tue 4 Mar 2025, 10:00, but `signed_up.source is \"web\"` does not hold: \
         `signed_up.source` is \"shop\"; `contact.country is \"DE\"` does not hold: `contact.country` is \"\".\n",
    );
    // 4: there never was consent.
    house.person("n4", &german());
    house.signed_up("n4", "web", TUESDAY);
    house.tells(
        "n4",
        "hello",
        "hello: never entered: on Tue 4 Mar 2025, 10:00 the person did not enter: there never was consent to marketing by email.\n  \
         Tue 4 Mar 2025, 10:00  did not enter: there never was consent to marketing by email\n",
    );
    // 5: it was withdrawn.
    house.agreed("n5");
    house.consent("n5", false, "2025-02-20T09:00:00Z");
    house.signed_up("n5", "web", TUESDAY);
    house.tells(
        "n5",
        "hello",
        "hello: never entered: on Tue 4 Mar 2025, 10:00 the person did not enter: consent to marketing by email was \
         withdrawn on Thu 20 Feb 2025, 10:00.\n  \
         Tue 4 Mar 2025, 10:00  did not enter: consent to marketing by email was withdrawn on Thu 20 Feb 2025, 10:00\n",
    );
    // 6: the journey was over.
    house.tells(
        "n5",
        "spring",
        "spring: never entered: the journey took people in until Mon 1 Apr 2024, 00:00, and not since.\n",
    );
    // 7: inside, but without an address.
    house.person("n7", &[("email", Value::Unknown)]);
    house.ordered("n7", "o7", "20", TUESDAY);
    house.tells(
        "n7",
        "receipt",
        "receipt: entered on Tue 4 Mar 2025, 10:00, and left as `done` on Tue 4 Mar 2025, 10:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `receipt` by email was not sent: there is no `email`\n  \
         Tue 4 Mar 2025, 10:00  left as `done`\n",
    );
    // 8: the limit was used up.
    house.person("n8", &[]);
    house.consent("n8", true, "2025-02-02T09:00:00Z");
    house.ordered("n8", "a", "20", "2025-03-01T09:00:00Z");
    house.ordered("n8", "b", "20", "2025-03-02T09:00:00Z");
    house.ordered("n8", "c", "20", TUESDAY);
    let told = house.why("n8", "news");
    let last = told.lines().rev().nth(1).expect("lines");
    assert_eq!(
        last,
        "  Tue 4 Mar 2025, 10:00  `news` by email was not sent: the limit of 2 marketing messages by email in 7 days is \
         used up by those of Sat 1 Mar 2025, 10:00 and Sun 2 Mar 2025, 10:00"
    );
    // 9: mail to the address came back.
    house.person("n9", &[]);
    let bounced = Suppression {
        channel: "email".into(),
        address: "n9@example.com".into(),
        reason: "bounce".into(),
        at: at("2025-02-20T09:00:00Z"),
    };
    house.take("n9", "2025-02-20T09:00:00Z", Input::Suppress(bounced));
    house.ordered("n9", "o9", "20", TUESDAY);
    house.tells(
        "n9",
        "receipt",
        "receipt: entered on Tue 4 Mar 2025, 10:00, and left as `done` on Tue 4 Mar 2025, 10:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `receipt` by email was not sent: the address is not used any more: mail to it came back on Thu 20 Feb 2025, 10:00\n  \
         Tue 4 Mar 2025, 10:00  left as `done`\n",
    );
    // 10: the condition does not hold.
    house.person("n10", &[("points", Value::Number(30))]);
    house.tells(
        "n10",
        "gifts",
        "gifts: never entered: `contact.points >= 100` does not hold: `contact.points` is 30.\n",
    );
    // And more: imported, retired, by hand.
    house.person("n11", &german());
    let web = [("source", Value::text("web"))];
    house.event_of("n11", "signed_up", &web, TUESDAY, TUESDAY, true);
    house.tells(
        "n11",
        "hello",
        "hello: never entered: `signed_up` came on Tue 4 Mar 2025, 10:00, and would bring them in now: it was imported, which \
         starts nothing, or something was different then.\n",
    );
    house.tells(
        "n11",
        "party",
        "party: never entered: it begins only by hand (`fahrplan enroll`), over HTTP, or from another journey.\n",
    );
    let ran = fahrplan(house.dir.path(), &["why", "n11", "helo"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("there is no journey or message `helo`, did you mean `hello`?"), "{}", ran.err);
    assert_eq!(fahrplan(house.dir.path(), &["why", "nobody"]).code, 2);
    // All journeys at once, each with its answer.
    let all = why(house.dir.path(), &["why", "n11"]);
    // There is no money for a second one this month.
    for key in ["n11", "n12"] {
        if key == "n12" {
            house.person(key, &german());
        }
        house.event_of(key, "moved_house", &[("to", Value::text("Graz"))], TUESDAY, TUESDAY, false);
    }
    house.tells(
        "n12",
        "flowers",
        "flowers: entered on Tue 4 Mar 2025, 10:00, and left as `done` on Tue 4 Mar 2025, 10:00.\n  \
         Tue 4 Mar 2025, 10:00  entered\n  \
         Tue 4 Mar 2025, 10:00  `gift` by email was not sent: the budget of the journey is spent: 1.10 per calendar month, and this would cost 0.60\n  \
         Tue 4 Mar 2025, 10:00  left as `done`\n",
    );
    for journey in ["gifts", "hello", "news", "party", "receipt", "spring"] {
        assert!(all.lines().any(|line| line.starts_with(&format!("{journey}: never entered"))), "{all}");
    }
}

#[test]
fn everything_on_one_person_is_told_by_the_clocks_of_the_project() {
    let house = House::build();
    house.agreed("u1");
    house.signed_up("u1", "web", TUESDAY);
    let shown = why(house.dir.path(), &["contact", "show", "u1"]);
    let head = shown.lines().next().expect("a head");
    assert!(head.starts_with("ct_") && head.ends_with("; times are in Europe/Berlin"), "{head}");
    assert_eq!(shown.matches("Europe/Berlin").count(), 1, "{shown}");
    // Nothing in UTC is among it, in whatever form; all that happened then has the same beginning.
    assert!(!shown.contains("2025-0") && !shown.contains("09:00") && !shown.contains('Z'), "{shown}");
    for line in [
        "  Tue 4 Mar 2025, 10:00   signed_up  {\"source\":\"web\"}",
        "  Tue 4 Mar 2025, 10:00   hello  entered",
        "  Sun 2 Feb 2025, 10:00   granted    marketing on email  by api",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is missing: {shown}");
    }
    let inside = shown.lines().find(|line| line.contains("  hello  inside")).expect("an enrollment");
    assert!(
        inside.starts_with("  Tue 4 Mar 2025, 10:00   en_") && inside.contains("since Tue 4 Mar 2025, 10:00"),
        "{inside}"
    );
    // For machines it stays what it is.
    let json = why(house.dir.path(), &["contact", "show", "u1", "--format", "json"]);
    assert!(json.contains("\"2025-03-04T09:00:00Z\""), "{json}");
}

#[test]
fn who_was_there_at_the_deploy_is_told_so_though_what_came_for_them_waited() {
    const MOVERS: &str = r#"journey movers "Movers" {
  purpose transactional because "they asked for it"
  enter when any(moved_house ever) including existing
  reenter never

  send email gift as vase
  wait 30 days as patience
  exit as done
}
"#;
    let house = House::build();
    let write = |name: &str, text: &str| std::fs::write(house.dir.path().join(name), text).expect("written");
    let fine = |args: &[&str]| {
        let ran = fahrplan(house.dir.path(), args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
    };
    let import = |id: &str| {
        let (item, moved) =
            (r#""type": "track", "event": "moved_house""#, r#""properties": {"to": "Bremen"}"#);
        write("moves.jsonl", &format!("{{{item}, \"userId\": \"{id}\", {moved}}}\n"));
        fine(&["import", "events", "moves.jsonl"]);
    };
    let jobs = || {
        house.runtime.block_on(async {
            for bucket in house.store.buckets() {
                while jobs::work(&house.store, bucket, machine_now()).await.expect("worked").is_some() {}
            }
        });
    };
    import("m1");
    write("movers.journey", MOVERS);
    fine(&["deploy", "--yes"]);
    // What came for m1 is taken, and the deploy has not looked yet.
    let now = || machine_now().to_string();
    house.advance(&now());
    house.tells(
        "m1",
        "movers",
        "movers: never entered: its condition holds now, and nobody has looked since: `fahrplan serve` does soon after a \
         deploy.\n",
    );
    jobs();
    house.advance(&now());
    let told = house.why("m1", "movers");
    assert!(told.starts_with("movers: entered on ") && told.contains(", and is inside."), "{told}");
    // Whoever comes after it is new, and what is imported brings in nobody.
    import("m2");
    jobs();
    house.advance(&now());
    house.tells(
        "m2",
        "movers",
        "movers: never entered: its condition holds now, but what made it so was imported or came too late, which starts \
         nothing; or it was so before the line that begins the journey was written as it is.\n",
    );
}

#[test]
fn a_branch_is_told_with_what_decided() {
    let house = House::build();
    let points = |id: &str, points: i64| {
        let mut values = german();
        values.push(("points", Value::Number(points)));
        house.person(id, &values);
        house.event(id, "asked", &[("what", Value::text("gift"))], TUESDAY);
    };
    points("few", 7);
    let at = "  Tue 4 Mar 2025, 10:00  ";
    house.tells(
        "few",
        "tiers",
        &format!(
            "tiers: entered on Tue 4 Mar 2025, 10:00, and left as `done` on Tue 4 Mar 2025, 10:00.\n\
             {at}entered\n\
             {at}took `no` at `entry/if`: `asked.what is \"gift\" and contact.points >= 100 and contact.email is known` did not \
             hold: `asked.what` was \"gift\", `contact.points` was 7\n\
             {at}took `no` at `entry/if#2`: `contact.points > 10` did not hold: `contact.points` was 7\n\
             {at}left as `done`\n"
        ),
    );
    points("many", 150);
    // What was decided stays as it was then.
    house.person("many", &[("points", Value::Number(0))]);
    let told = house.why("many", "tiers");
    for line in [
        "took `yes` at `entry/if`: `asked.what is \"gift\" and contact.points >= 100 and contact.email is known` held: \
         `asked.what` was \"gift\", `contact.points` was 150",
        "took `yes` at `entry/if#2`: `contact.points > 10` held: `contact.points` was 150",
        "took `silver` at `entry/switch` by `contact.tier`",
    ] {
        assert!(told.contains(&format!("{at}{line}\n")), "{line} is missing: {told}");
    }
    // Nor does the history tell who somebody is.
    let json = why(house.dir.path(), &["contact", "show", "many", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(!json["history"].to_string().contains("many@example.com"), "{json}");
}
