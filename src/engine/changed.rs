//! What follows from a changed attribute, a grant or a withdrawal.

use super::contact::Call;
use super::facts::Caused;
use super::policy;
use super::program::Word;
use super::run::word;
use super::world::{ConsentChange, Need, signal};
use super::{StepInput, logical};
use crate::id::EnrollmentId;
use crate::value::Value;

impl Call<'_, '_> {
    pub(super) fn changed(&mut self, attribute: &Word, old: Value, new: Value) -> Result<(), Need> {
        let facts = self.turn.facts;
        let name = signal::attribute(attribute);
        self.listeners(&name)?;
        let zone = facts.catalog.zone_attribute() == Some(attribute);
        if zone {
            self.everybody()?;
        }
        for id in self.ids() {
            self.show_change(id, &name)?;
            if zone {
                self.step(id, StepInput::Moved { at: facts.now })?;
            }
        }
        self.watchers(&name, false)?;
        if zone {
            self.zone_changed(&old)?;
        }
        for key in facts.programs.on_change(attribute) {
            let fields = [(word!("old"), old.clone()), (word!("new"), new.clone())].into();
            self.enter(key, fields, facts.now, None)?;
        }
        Ok(())
    }

    /// Shows an enrollment that something it may watch has changed.
    fn show_change(&mut self, id: EnrollmentId, signal: &Word) -> Result<(), Need> {
        if self.hears(id, signal) {
            self.catch_up(id, self.accepted_at)?;
            let at = logical(self.accepted_at, self.turn.facts.now);
            self.step(id, StepInput::Changed { signal, at })?;
        }
        Ok(())
    }

    pub(super) fn consent(&mut self, change: ConsentChange) {
        let (purpose, permit) = (change.purpose.clone(), change.permit);
        self.turn.effects.consents.push(change);
        self.turn.effects.caused.push_back(Caused::Consent { purpose, permit });
    }

    /// A withdrawal ends the enrollments that it leaves without any channel they may use.
    pub(super) fn consent_changed(&mut self, purpose: &Word, permit: bool) -> Result<(), Need> {
        let facts = self.turn.facts;
        if !permit {
            self.leave_audiences(purpose)?;
            self.everybody()?;
            for id in self.ids() {
                let Some(enrollment) = self.enrollment(id).filter(|e| !e.state.ended) else { continue };
                let program = enrollment.program.clone();
                let concerned = facts.catalog.lineage(&program.purpose).any(|p| p == purpose);
                if concerned && !self.has_consent(&program)? {
                    let reason = &word!("consent_withdrawn");
                    self.step(id, StepInput::Leave { reason, at: facts.now })?;
                }
            }
        }
        let name = signal::consent(purpose);
        self.listeners(&name)?;
        for id in self.ids() {
            self.show_change(id, &name)?;
        }
        self.watchers(&name, false)?;
        if permit { self.retry_members() } else { Ok(()) }
    }

    /// Whether the contact may be in a journey at all, by its purpose and channels.
    pub(super) fn has_consent(&self, program: &super::program::Program) -> Result<bool, Need> {
        let (facts, effects) = (self.turn.facts, &*self.turn.effects);
        let purpose = &program.purpose;
        if policy::is_transactional(facts.catalog, purpose) || program.channels.is_empty() {
            return Ok(true);
        }
        for channel in &program.channels {
            if !policy::needs_consent(facts.catalog, purpose, channel)
                || policy::permitted(facts, effects, purpose, channel)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
