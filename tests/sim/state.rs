//! What stands in a database after a run: read once, looked at by the laws, and told in lines that can be compared.

use std::collections::{BTreeMap, HashMap};

use fahrplan::engine::world::{Note, What};
use fahrplan::id::{ContactId, EnrollmentId};
use fahrplan::store::{Conn, Error, Row, Store, history};
use fahrplan::time::Timestamp;

/// Everything that contacts have.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What was decided, by contact.
    pub(crate) notes: Vec<(usize, Note)>,
    pub(crate) enrollments: Vec<Enrollment>,
    pub(crate) timers: Vec<Timer>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Contact, moment, channel, purpose, delivery.
    pub(crate) slots: Vec<(usize, Timestamp, String, String, i64)>,
    /// Contact, name, number of the item, order.
    pub(crate) events: Vec<(usize, String, Option<i64>, Option<String>)>,
    /// Journey, kind, name, count.
    pub(crate) counts: Vec<(String, i64, String, i64)>,
    /// State and count of settled deliveries, by template.
    pub(crate) settled: Vec<(String, String, i64)>,
    pub(crate) inbox: i64,
}

#[derive(Debug)]
pub(crate) struct Enrollment {
    pub(crate) id: EnrollmentId,
    pub(crate) who: usize,
    pub(crate) journey: String,
    pub(crate) key: String,
    pub(crate) entered_at: Timestamp,
    pub(crate) tracked: bool,
    pub(crate) wake_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct Timer {
    pub(crate) wake_at: Timestamp,
    pub(crate) id: EnrollmentId,
    pub(crate) who: usize,
    pub(crate) kind: i64,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) who: usize,
    pub(crate) name: String,
    pub(crate) id: EnrollmentId,
    pub(crate) is_wait: bool,
    pub(crate) wake_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) who: usize,
    pub(crate) enrollment: EnrollmentId,
    pub(crate) journey: String,
    pub(crate) step: String,
    pub(crate) round: i64,
    pub(crate) arm: i64,
    pub(crate) template: String,
    pub(crate) transactional: bool,
    pub(crate) state: String,
}

/// Names by number, contacts by id.
struct Reader {
    names: HashMap<i64, String>,
    contacts: BTreeMap<ContactId, usize>,
}

impl Reader {
    fn word(&self, row: &Row, column: usize) -> Result<String, Error> {
        Ok(row.opt_i64(column)?.and_then(|id| self.names.get(&id).cloned()).unwrap_or_default())
    }

    fn who(&self, row: &Row, column: usize) -> Result<usize, Error> {
        Ok(self.contacts.get(&ContactId(row.i64(column)?)).copied().unwrap_or(usize::MAX))
    }
}

impl State {
    pub(crate) async fn read(store: &Store) -> Result<State, Error> {
        let mut conn = store.read().await?;
        let mut names = HashMap::new();
        for row in all(&mut conn, "SELECT id, name FROM names").await? {
            names.insert(row.i64(0)?, row.text(1)?.to_owned());
        }
        let mut contacts = BTreeMap::new();
        for row in all(&mut conn, "SELECT value, contact FROM identities").await? {
            if let Some(who) = row.text(0)?.strip_prefix('u').and_then(|number| number.parse().ok()) {
                contacts.insert(ContactId(row.i64(1)?), who);
            }
        }
        let reader = Reader { names, contacts };
        let mut state = State::default();
        for (contact, who) in &reader.contacts {
            let notes = history::of_contact(&mut conn, *contact).await?;
            state.notes.extend(notes.into_iter().map(|note| (*who, note)));
        }
        state.read_enrollments(&mut conn, &reader).await?;
        state.read_deliveries(&mut conn, &reader).await?;
        state.read_facts(&mut conn, &reader).await?;
        Ok(state)
    }

    async fn read_enrollments(&mut self, conn: &mut Conn, reader: &Reader) -> Result<(), Error> {
        const ENROLLMENTS: &str = "SELECT id, contact, journey, key, entered_at, tracked, wake_at, ended_at, reason \
            FROM enrollments ORDER BY id";
        const TIMERS: &str = "SELECT wake_at, id, contact, kind FROM timers";
        const LISTENERS: &str = "SELECT contact, name, id, kind, wake_at FROM listeners";
        for row in all(conn, ENROLLMENTS).await? {
            self.enrollments.push(Enrollment {
                id: EnrollmentId(row.i64(0)?),
                who: reader.who(&row, 1)?,
                journey: reader.word(&row, 2)?,
                key: row.text(3)?.to_owned(),
                entered_at: row.at(4)?,
                tracked: row.i64(5)? == 1,
                wake_at: row.at(6)?,
                ended_at: row.opt_at(7)?,
                reason: reader.word(&row, 8)?,
            });
        }
        for row in all(conn, TIMERS).await? {
            let (id, who) = (EnrollmentId(row.i64(1)?), reader.who(&row, 2)?);
            self.timers.push(Timer { wake_at: row.at(0)?, id, who, kind: row.i64(3)? });
        }
        for row in all(conn, LISTENERS).await? {
            self.listeners.push(Listener {
                who: reader.who(&row, 0)?,
                name: reader.word(&row, 1)?,
                id: EnrollmentId(row.i64(2)?),
                is_wait: row.i64(3)? == 1,
                wake_at: row.at(4)?,
            });
        }
        Ok(())
    }

    async fn read_deliveries(&mut self, conn: &mut Conn, reader: &Reader) -> Result<(), Error> {
        const DELIVERIES: &str = "SELECT id, contact, enrollment, journey, step, round, arm, template, transactional, \
            state FROM deliveries ORDER BY id";
        const SETTLED: &str = "SELECT template, state, CAST(SUM(count) AS BIGINT) FROM delivery_counts \
            GROUP BY template, state ORDER BY 1, 2";
        for row in all(conn, DELIVERIES).await? {
            self.deliveries.push(Delivery {
                id: row.i64(0)?,
                who: reader.who(&row, 1)?,
                enrollment: EnrollmentId(row.i64(2)?),
                journey: reader.word(&row, 3)?,
                step: reader.word(&row, 4)?,
                round: row.i64(5)?,
                arm: row.i64(6)?,
                template: reader.word(&row, 7)?,
                transactional: row.i64(8)? == 1,
                state: row.text(9)?.to_owned(),
            });
        }
        for row in all(conn, SETTLED).await? {
            self.settled.push((reader.word(&row, 0)?, row.text(1)?.to_owned(), row.i64(2)?));
        }
        Ok(())
    }

    async fn read_facts(&mut self, conn: &mut Conn, reader: &Reader) -> Result<(), Error> {
        const SLOTS: &str =
            "SELECT contact, at, channel, purpose, delivery FROM cap_slots ORDER BY at, delivery";
        const EVENTS: &str = "SELECT contact, name, fields FROM events ORDER BY id";
        const COUNTS: &str = "SELECT p.journey, c.kind, c.name, CAST(SUM(c.count) AS BIGINT) FROM step_counts c \
            JOIN programs p ON p.id = c.program GROUP BY p.journey, c.kind, c.name ORDER BY 1, 2, 3";
        for row in all(conn, SLOTS).await? {
            let (channel, purpose) = (reader.word(&row, 2)?, reader.word(&row, 3)?);
            self.slots.push((reader.who(&row, 0)?, row.at(1)?, channel, purpose, row.i64(4)?));
        }
        for row in all(conn, EVENTS).await? {
            let fields: serde_json::Value = serde_json::from_str(row.text(2)?).expect("JSON");
            let order = fields.get("order_id").and_then(|id| id.as_str()).map(str::to_owned);
            // Reports of messages are kept only where a journey asks for them.
            if reader.word(&row, 1)?.starts_with("message_") {
                continue;
            }
            let number = fields.get("n").and_then(serde_json::Value::as_i64);
            self.events.push((reader.who(&row, 0)?, reader.word(&row, 1)?, number, order));
        }
        for row in all(conn, COUNTS).await? {
            self.counts.push((reader.word(&row, 0)?, row.i64(1)?, reader.word(&row, 2)?, row.i64(3)?));
        }
        let rows = all(conn, "SELECT COUNT(*) FROM inbox").await?;
        self.inbox = rows[0].i64(0)?;
        Ok(())
    }

    /// The journey of an enrollment.
    pub(crate) fn journey(&self, id: EnrollmentId) -> &str {
        self.enrollments.iter().find(|one| one.id == id).map_or("-", |one| &one.journey)
    }

    /// All of it that must be as in a world without faults, a line each, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let told = self.notes.iter().filter(|(_, note)| !matches!(note.what, What::Decided { .. }));
        let mut lines: Vec<String> = told.map(|(who, note)| story(*who, note)).collect();
        lines.extend(self.enrollments.iter().map(|e| {
            let Enrollment { who, journey, key, entered_at, reason, .. } = e;
            format!("enrollment {who} {journey} {key:?} {entered_at} {reason}")
        }));
        for Timer { wake_at, id, who, kind } in &self.timers {
            let of = if *kind == 0 { self.journey(*id) } else { "standing" };
            lines.push(format!("timer {who} {of} {}", moment(*wake_at)));
        }
        for Listener { who, name, id, is_wait, .. } in &self.listeners {
            lines.push(format!("listens {who} {} {name} {is_wait}", self.journey(*id)));
        }
        lines.extend(self.deliveries.iter().map(|d| {
            let Delivery { who, journey, step, round, arm, template, state, .. } = d;
            format!("delivery {who} {journey} {step} {round} {arm} {template} {state}")
        }));
        for (who, at, channel, purpose, _) in &self.slots {
            lines.push(format!("slot {who} {at} {channel} {purpose}"));
        }
        for (journey, kind, name, count) in self.counts.iter().filter(|count| count.3 != 0) {
            lines.push(format!("count {journey} {kind} {name} {count}"));
        }
        lines.extend(self.events.iter().map(|(who, name, number, order)| event(*who, name, *number, order)));
        lines.sort();
        lines
    }
}

async fn all(conn: &mut Conn, sql: &'static str) -> Result<Vec<Row>, Error> {
    conn.fetch(sql, Vec::new()).await
}

/// One line of a contact's story, without ids.
pub(crate) fn story(who: usize, note: &Note) -> String {
    let what = match &note.what {
        What::Queued { channel, template, .. } => format!("queued {channel} {template}"),
        other => format!("{other:?}"),
    };
    let (journey, step) = (note.journey.as_deref().unwrap_or("-"), note.step.as_deref().unwrap_or("-"));
    format!("story {who} {} {journey} {step} {} {what}", note.at, note.round)
}

pub(crate) fn event(who: usize, name: &str, number: Option<i64>, order: &Option<String>) -> String {
    format!("event {who} {name} {number:?} {order:?}")
}

pub(crate) fn moment(at: Timestamp) -> String {
    if at == Timestamp::NEVER { "never".to_owned() } else { at.to_string() }
}
