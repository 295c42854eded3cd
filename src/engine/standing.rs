//! Standing entries of a contact: memberships (`when`, `while`), anniversaries, offsets of a date, and schedules in contact
//! time. Each has a row and, where time matters, a timer.

use super::StepInput;
use super::contact::Call;
use super::entry::reentry_at;
use super::eval::Scope;
use super::program::{Entry, EntryHow, Expr, Program, Reenter, Word, ZoneRef};
use super::recheck;
use super::run::word;
use super::schedule;
use super::state::Stays;
use super::world::{Cause, Fields, Need, Past, Standing};
use crate::id::EnrollmentId;
use crate::time::{Timestamp, Zone};
use crate::value::Value;

/// What a look at a membership may lead to.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    /// Something changed, or time passed.
    Live,
    /// Only the flag is brought up to date: import, late events.
    Quiet,
    /// The row is set up.
    Settle(Cause),
}

type Key = (Word, u16);

impl<'a> Call<'_, 'a> {
    /// Sets up or refreshes all standing entries.
    pub(super) fn settle(&mut self, cause: Cause) -> Result<(), Need> {
        for key in self.turn.facts.programs.standing() {
            self.look(key, Look::Settle(cause))?;
        }
        Ok(())
    }

    /// Looks at the standing entries that a signal concerns.
    pub(super) fn watchers(&mut self, signal: &Word, quiet: bool) -> Result<(), Need> {
        let look = if quiet { Look::Quiet } else { Look::Live };
        for key in self.turn.facts.programs.watching(signal) {
            self.look(key, look)?;
        }
        Ok(())
    }

    /// Clock times of the contact are others now.
    pub(super) fn zone_changed(&mut self, before: &Value) -> Result<(), Need> {
        let project = || self.turn.facts.project_zone().clone();
        let before = before.as_text().and_then(Zone::named).unwrap_or_else(project);
        for key in self.turn.facts.programs.standing() {
            let Some((_, entry)) = self.turn.facts.programs.entry(key) else { continue };
            match (membership(&entry.how), self.row(key)?) {
                (None, Some(row)) => self.moved(key, entry, row, &before),
                _ => self.look(key, Look::Live)?,
            }
        }
        Ok(())
    }

    /// A schedule by the clocks of a contact that has moved: what it waits for comes when the new clocks show that time. So it
    /// comes neither twice nor, where the new clocks have shown it already, never: then it comes now.
    fn moved(&mut self, key: &Key, entry: &Entry, mut row: Standing, before: &Zone) {
        let now = self.turn.facts.now;
        if zone_of(&entry.how) != &ZoneRef::Contact || row.wake_at <= now {
            return;
        }
        let mut wake_at = match &entry.how {
            _ if row.wake_at == Timestamp::NEVER => Timestamp::NEVER,
            EntryHow::Offset { .. } => self.next(entry, Timestamp(i64::MIN)).max(now),
            _ => {
                let zone = self.turn.facts.contact_zone(self.turn.effects);
                zone.at(before.date(row.wake_at), before.time(row.wake_at)).max(now)
            }
        };
        if !row.member {
            wake_at = wake_at.min(self.next(entry, now.plus_ms(-1)));
        }
        if wake_at != row.wake_at {
            row.wake_at = wake_at;
            self.standing.insert(key.clone(), row);
        }
    }

    /// Consent was given: who is in a `while` segment may enter now.
    pub(super) fn retry_members(&mut self) -> Result<(), Need> {
        for key in self.turn.facts.programs.standing() {
            let how = self.turn.facts.programs.entry(key).map(|(_, entry)| &entry.how);
            if matches!(how, Some(EntryHow::While { .. })) {
                self.look(key, Look::Live)?;
            }
        }
        Ok(())
    }

    /// A timer of a standing entry is due.
    pub(super) fn standing_due(&mut self, key: &Key) -> Result<(), Need> {
        let Some((_, entry)) = self.turn.facts.programs.entry(key) else {
            // The journey is gone: so is its timer.
            if let Some(mut row) = self.row(key)? {
                row.wake_at = Timestamp::NEVER;
                self.standing.insert(key.clone(), row);
            }
            return Ok(());
        };
        if membership(&entry.how).is_some() {
            return self.look(key, Look::Live);
        }
        let Some(mut row) = self.row(key)? else { return Ok(()) };
        let fired_at = row.wake_at;
        row.wake_at = self.next(entry, self.turn.facts.now);
        row.member = true;
        self.standing.insert(key.clone(), row);
        self.fire(key, fired_at)
    }

    /// An enrollment ended: who is still in a `while` segment may enter again after a while.
    pub(super) fn ended(&mut self, journey: &Word) -> Result<(), Need> {
        let programs = self.turn.facts.programs;
        let Some(program) = programs.get(journey) else { return Ok(()) };
        if !matches!(program.reenter, Reenter::AfterExit(_) | Reenter::AfterEntry(_)) {
            return Ok(());
        }
        for (number, entry) in (0_u16..).zip(&program.entries) {
            let EntryHow::While { condition, .. } = &entry.how else { continue };
            let key = (journey.clone(), number);
            if let Some(mut row) = self.row(&key)?.filter(|row| row.member) {
                row.wake_at = self.member_wake(program, condition)?;
                self.standing.insert(key, row);
            }
        }
        Ok(())
    }

    /// The row as it is now.
    fn row(&self, key: &Key) -> Result<Option<Standing>, Need> {
        if let Some(row) = self.standing.get(key) {
            return Ok(Some(row.clone()));
        }
        Ok(self.turn.facts.world.standing.as_ref().ok_or(Need::Standing)?.get(key).cloned())
    }

    fn look(&mut self, key: &Key, look: Look) -> Result<(), Need> {
        let Some((program, entry)) = self.turn.facts.programs.entry(key) else { return Ok(()) };
        let row = self.row(key)?;
        let is_new = row.is_none();
        let look = match is_new && entry.is_membership() {
            true => self.first_look(&key.0, look),
            false => Some(look),
        };
        let Some(look) = look else { return Ok(()) };
        let mut row = match row {
            Some(row) => row,
            None => {
                let id = EnrollmentId((self.turn.ids)());
                let (journey, entry) = key.clone();
                Standing { id, journey, entry, member: false, wake_at: Timestamp::NEVER }
            }
        };
        let before = row.clone();
        let Some((condition, stays)) = membership(&entry.how) else {
            // One that is due already fires all the same.
            if row.wake_at > self.turn.facts.now {
                row.wake_at = self.next(entry, self.turn.facts.now.plus_ms(-1));
                row.member &= row.wake_at == before.wake_at;
            }
            if row != before || is_new {
                self.standing.insert(key.clone(), row);
            }
            return Ok(());
        };
        let scope = Scope::contact(self.turn.facts, self.turn.effects);
        row.member = scope.holds(condition)?;
        row.wake_at = recheck::next_change(&scope, condition)?;
        let (was, is) = (before.member, row.member);
        if row != before || is_new {
            self.standing.insert(key.clone(), row);
        }
        let invited = match look {
            Look::Live | Look::Settle(Cause::New) => stays || !was,
            Look::Settle(Cause::Deploy) => stays || (is_new && entry.including_existing),
            Look::Quiet | Look::Settle(Cause::Import) => false,
        };
        if is && invited {
            self.enter_member(key, program, stays)?;
        }
        if was && !is && stays && look != Look::Quiet {
            self.left(key)?;
        }
        if is && stays {
            let wake_at = self.member_wake(program, condition)?;
            if let Some(mut row) = self.row(key)?
                && row.wake_at != wake_at
            {
                row.wake_at = wake_at;
                self.standing.insert(key.clone(), row);
            }
        }
        Ok(())
    }

    /// What it means to look at a membership for the first time. Who is in then has not just come in, unless the contact is new. `None`:
    /// not yet. What was accepted before the journey opened says how it was when it did, so the look of the deploy comes after all of it.
    fn first_look(&self, journey: &Word, look: Look) -> Option<Look> {
        let (world, programs) = (self.turn.facts.world, self.turn.facts.programs);
        if world.came.is_some_and(|came| programs.precedes(came, journey)) {
            return None;
        }
        let was_there = programs.precedes(world.contact.0, journey);
        Some(if was_there || look == Look::Live { Look::Settle(Cause::Deploy) } else { look })
    }

    fn enter_member(&mut self, key: &Key, program: &Program, stays: bool) -> Result<(), Need> {
        if stays && self.runs_already(program)? {
            return Ok(());
        }
        self.enter(key, Fields::new(), self.turn.facts.now, None).map(|_| ())
    }

    fn runs_already(&self, program: &Program) -> Result<bool, Need> {
        self.everybody()?;
        Ok(!self.active(&program.journey).is_empty())
    }

    /// The contact has left a `while` segment: what it brought in ends, and what came another way goes on.
    fn left(&mut self, (journey, entry): &Key) -> Result<(), Need> {
        self.everybody()?;
        let at = self.turn.facts.now;
        for id in self.active(journey) {
            let stays = self.enrollment(id).map(|enrollment| enrollment.state.stays);
            if !matches!(stays, Some(Stays::Unsaid)) && stays != Some(Stays::While(*entry)) {
                continue;
            }
            self.step(id, StepInput::Leave { reason: &word!("left_segment"), at })?;
        }
        Ok(())
    }

    /// When a member is to be looked at again: the segment may change, or the re-entry rule lets it in again.
    fn member_wake(&self, program: &Program, condition: &Expr) -> Result<Timestamp, Need> {
        let scope = Scope::contact(self.turn.facts, self.turn.effects);
        let change = recheck::next_change(&scope, condition)?;
        if !matches!(program.reenter, Reenter::AfterExit(_) | Reenter::AfterEntry(_)) {
            return Ok(change);
        }
        let past = self.past(program)?;
        if past.iter().any(|past| past.ended_at.is_none()) {
            return Ok(change);
        }
        let past: Vec<&Past> = past.iter().collect();
        let again = reentry_at(&scope, program.reenter, &past).filter(|at| *at > self.turn.facts.now);
        Ok(change.min(again.unwrap_or(Timestamp::NEVER)))
    }

    /// The next fire of a dated entry.
    fn next(&self, entry: &Entry, after: Timestamp) -> Timestamp {
        let scope = Scope::contact(self.turn.facts, self.turn.effects);
        let value = match &entry.how {
            EntryHow::Anniversary { attribute, .. } | EntryHow::Offset { attribute, .. } => {
                self.turn.facts.attribute(self.turn.effects, attribute)
            }
            _ => Value::Unknown,
        };
        let (zone, holidays) = (scope.zone(zone_of(&entry.how)), &self.turn.facts.catalog.holidays);
        schedule::next(&entry.how, after, &zone, holidays, &value).unwrap_or(Timestamp::NEVER)
    }
}

/// By whose clocks the entry goes.
fn zone_of(how: &EntryHow) -> &ZoneRef {
    match how {
        EntryHow::At { zone, .. }
        | EntryHow::Weekday { zone, .. }
        | EntryHow::Cron { zone, .. }
        | EntryHow::Anniversary { zone, .. }
        | EntryHow::Offset { zone, .. } => zone,
        EntryHow::Event(_)
        | EntryHow::FirstEvent(_)
        | EntryHow::Change { .. }
        | EntryHow::When { .. }
        | EntryHow::While { .. }
        | EntryHow::Start { .. } => &ZoneRef::Contact,
    }
}

/// The condition of a membership, and whether the enrollment lasts only as long as it.
fn membership(how: &EntryHow) -> Option<(&Expr, bool)> {
    match how {
        EntryHow::When { condition, .. } => Some((condition, false)),
        EntryHow::While { condition, .. } => Some((condition, true)),
        _ => None,
    }
}
