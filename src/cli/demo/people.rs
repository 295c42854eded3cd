//! The built-in people: they read their mail and their text messages, confirm, click, answer, buy and sometimes unsubscribe, over the
//! same public doors as everybody else. What each does with a mail is decided by a hash of the seed, the person and the mail, so that a run can be repeated.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde_json::{Value, json};

use super::texts::{self, Text};
use super::{FRIENDS, Stage};
use crate::channels::mailbox::Stored;
use crate::time::{DAY, HOUR, MINUTE, Timestamp};

/// Who confirms, clicks, buys after a click, and unsubscribes: so many in a thousand.
const CONFIRM: u64 = 720;
const CLICK: u64 = 330;
const BUY: u64 = 350;
const UNSUBSCRIBE: u64 = 12;
/// Who comes to a tasting, first says so and then does; and who finds a friend for the code.
const COME: u64 = 650;
const STAY: u64 = 850;
const FRIEND: u64 = 550;
/// Who answers a survey by mail, and by text message.
const ANSWER: u64 = 480;
const TEXT: u64 = 700;

/// Something a person will do at a moment of journey time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deed {
    pub at: Timestamp,
    what: Doing,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    /// Presses the button of a page.
    Press { url: String, body: &'static str },
    /// Answers the questions of a page.
    Answer { url: String, form: String },
    /// Texts back.
    Reply { text: Text, said: String },
    /// Follows a link.
    Follow { url: String },
    /// Orders something in the shop.
    Order { person: String, number: u64, cents: u64 },
    /// Does something that the shop hears of; with the code that was in the mail.
    Appear { person: String, number: u64, event: &'static str, code: Option<String> },
}

/// What people will still do, soonest first.
#[derive(Default)]
pub(super) struct Plans {
    heap: BinaryHeap<Reverse<Deed>>,
    seen: u64,
    /// How many text messages were read.
    read: usize,
}

impl Plans {
    /// Reads the mails and text messages that came in since and plans what their readers do.
    pub(super) fn read(&mut self, stage: &Stage, now: Timestamp) {
        for stored in stage.mailbox.messages() {
            if stored.number > self.seen {
                self.seen = stored.number;
                self.plan(stage.seed, &stage.people, &stored, now);
            }
        }
        for text in stage.gateway.since(self.read) {
            self.read += 1;
            self.plan_reply(stage.seed, text, now);
        }
    }

    /// The deeds that are due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Deed> {
        let mut due = Vec::new();
        while self.heap.peek().is_some_and(|Reverse(deed)| deed.at <= now) {
            due.extend(self.heap.pop().map(|Reverse(deed)| deed));
        }
        due
    }

    fn plan(&mut self, seed: u64, people: &HashMap<String, String>, stored: &Stored, now: Timestamp) {
        let reader = stored.to.as_str();
        let message = stored.letter.header("Message-ID").unwrap_or_default();
        let chance = |what: &str| chance(seed, &[reader, message, what]);
        let after = |what: &str, least: i64, most: i64| between(now, chance(what), least, most);
        let template =
            stored.letter.header("Feedback-ID").and_then(|id| id.split(':').next()).unwrap_or_default();
        if let Some(person) = people.get(reader) {
            let appear = |event, code| Doing::Appear {
                person: person.clone(),
                number: chance("appear") % 100_000_000,
                event,
                code,
            };
            match template {
                "tasting_invitation" if chance("come") % 1_000 < COME => {
                    self.push(after("come when", HOUR, 6 * DAY), appear("Seat Wanted", None));
                }
                // The mail leaves at ten on the day before.
                "tasting_tomorrow" if chance("stay") % 1_000 < STAY => {
                    self.push(now.plus_ms(33 * HOUR), appear("Tasting Visited", None));
                }
                "friends_code" if chance("friend") % 1_000 < FRIEND => {
                    let word = stored.letter.text.split_whitespace().find(|word| word.starts_with(FRIENDS));
                    self.push(
                        after("friend when", DAY, 25 * DAY),
                        appear("Friend Ordered", word.map(str::to_owned)),
                    );
                }
                _ => {}
            }
        }
        let links = stored.letter.links();
        let link = |door: &str| links.iter().find(|link| link.contains(door)).cloned();
        if let Some(url) = link("/c/") {
            if chance("confirm") % 1_000 < CONFIRM {
                self.push(after("confirm when", 5 * MINUTE, 40 * HOUR), Doing::Press { url, body: "" });
            }
            return;
        }
        if let Some(url) = link("/s/") {
            if chance("answer") % 1_000 < ANSWER {
                let form = answers(template, |question| chance(question));
                self.push(after("answer when", HOUR, 70 * HOUR), Doing::Answer { url, form });
            }
            return;
        }
        if let Some(url) = link("/u/")
            && chance("unsubscribe") % 1_000 < UNSUBSCRIBE
        {
            self.push(
                after("leave when", HOUR, 20 * HOUR),
                Doing::Press { url, body: "List-Unsubscribe=One-Click" },
            );
            return;
        }
        let Some(url) = link("/r/") else { return };
        if chance("click") % 1_000 < CLICK {
            let clicked = after("click when", 10 * MINUTE, 20 * HOUR);
            self.push(clicked, Doing::Follow { url });
            if chance("buy") % 1_000 < BUY {
                let Some(person) = people.get(reader) else { return };
                let (number, cents) = (chance("order") % 10_000_000, 1_190 + chance("cents") % 90 * 100);
                self.push(
                    clicked.plus_ms(20 * MINUTE),
                    Doing::Order { person: person.clone(), number, cents },
                );
            }
        }
    }

    /// Whoever is asked for a number by a text message may text one back, with a word or two.
    fn plan_reply(&mut self, seed: u64, text: Text, now: Timestamp) {
        let chance = |what: &str| chance(seed, &[&text.to, &text.text, what]);
        let Some((low, high, words)) = texts::scale(&text.text) else { return };
        if chance("answer") % 1_000 >= TEXT {
            return;
        }
        let number = low + (mark(chance, "text") - 1) * (high - low) / 4;
        let word = words[usize::try_from(chance("word")).unwrap_or(0) % words.len()];
        let said = if word.is_empty() { number.to_string() } else { format!("{number}, {word}") };
        let at = between(now, chance("answer when"), 5 * MINUTE, 20 * HOUR);
        self.push(at, Doing::Reply { text, said });
    }

    fn push(&mut self, at: Timestamp, what: Doing) {
        self.heap.push(Reverse(Deed { at, what }));
    }
}

impl Deed {
    /// Does it, over HTTP. A door that is shut is tried by nobody twice: people do not.
    pub(super) async fn act(self, stage: &Stage) {
        let done = match self.what {
            Doing::Press { url, body } => {
                let form = stage.client.post(url).header("content-type", "application/x-www-form-urlencoded");
                form.body(body).send().await.map(drop)
            }
            Doing::Answer { url, form } => {
                let page = stage.client.post(url).header("content-type", "application/x-www-form-urlencoded");
                page.body(form).send().await.map(drop)
            }
            Doing::Reply { text, said } => stage.gateway.reply(&stage.client, &text, &said).await,
            Doing::Follow { url } => stage.client.get(url).send().await.map(drop),
            Doing::Order { person, number, cents } => {
                let order = order(&person, number, cents, self.at);
                stage.post("/v1/track", &order).await.map(drop)
            }
            Doing::Appear { person, number, event, code } => {
                let mut properties = json!({});
                if let Some(code) = code {
                    properties = json!({ "code": code, "order_id": format!("demo-friend-{number}") });
                }
                let item = json!({
                    "messageId": format!("demo-appear-{number}"),
                    "userId": person,
                    "event": event,
                    "timestamp": self.at.to_string(),
                    "properties": properties,
                });
                stage.post("/v1/track", &item).await.map(drop)
            }
        };
        if let Err(error) = done {
            tracing::debug!(error = %error, "a person of the demo found the door shut");
        }
    }
}

/// What somebody fills in: a mood, and for each question a mark near it.
fn answers(survey: &str, chance: impl Fn(&str) -> u64) -> String {
    let questions: &[&str] = match survey {
        "fan_scan" => &["taste", "service", "fits_me", "would_miss"],
        _ => &["rating"],
    };
    let field = |question: &&str| format!("a.{question}={}", mark(&chance, question));
    questions.iter().map(field).collect::<Vec<_>>().join("&")
}

/// A mark from 1 to 5, near the mood: of ten people five are content, three so-so, two are not.
fn mark(chance: impl Fn(&str) -> u64, question: &str) -> u64 {
    let mood = [5, 5, 5, 4, 4, 3, 3, 3, 2, 1][usize::try_from(chance("mood") % 10).unwrap_or(0)];
    (mood + chance(question) % 3).clamp(2, 6) - 1
}

/// A moment after that one, by chance at least and at most so many milliseconds later.
fn between(now: Timestamp, chance: u64, least: i64, most: i64) -> Timestamp {
    let spread = u64::try_from((most - least).max(1)).unwrap_or(1);
    now.plus_ms(least + i64::try_from(chance % spread).unwrap_or(0))
}

fn order(person: &str, number: u64, cents: u64, at: Timestamp) -> Value {
    json!({
        "messageId": format!("demo-order-{number}"),
        "userId": person,
        "event": "Order Completed",
        "timestamp": at.to_string(),
        "properties": { "order_id": format!("demo-{number}"), "value": format!("{}.{:02}", cents / 100, cents % 100) },
    })
}

/// A number that hangs on the seed and on these words alone.
pub(super) fn chance(seed: u64, parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for part in parts {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let mut eight = [0; 8];
    hasher.finalize_xof().fill(&mut eight);
    u64::from_le_bytes(eight)
}
