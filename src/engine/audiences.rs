//! Audiences: who is in one, and on whose behalf.
//!
//! An enrollment that adds its contact to an audience holds a place there until it takes the contact out again or ends. Whoever holds at
//! least one place is a member. A withdrawn consent and a suppressed address take all places at once; a place is only given to somebody
//! who has agreed to the audience's purpose, whatever the policies ask for, since an audience hands people to somebody else.

use super::contact::Call;
use super::eval::Scope;
use super::facts::{Effects, Facts};
use super::policy::{self, Ask};
use super::program::{Audience, Catalog, StepIx, Word, audience_attribute, audience_of};
use super::programs::Programs;
use super::run::{Walk, word};
use super::world::{Fields, Need, Permissions, Place, Suppression, What, World};
use crate::time::Timestamp;
use crate::value::Value;

impl Walk<'_, '_, '_> {
    /// Gives the contact a place, if nothing speaks against it; whether it has one now.
    pub(super) fn join(&mut self, here: StepIx, audience: &str) -> Result<bool, Need> {
        let facts = self.turn.facts;
        let Some((name, declared)) = facts.catalog.audiences.get_key_value(audience) else {
            facts.odd(format!("nobody was added to `{audience}`: there is no such audience any more"));
            return Ok(false);
        };
        if let Some(why) = objection(facts, self.turn.effects, declared)? {
            let ask =
                Ask { channel: &declared.channel, purpose: &declared.purpose, address: None, held: None };
            let because = policy::because(&self.scope(), ask, why)?;
            let channel = declared.channel.clone();
            self.note(Some(here), What::Skipped { why: why.into(), channel, because });
            return Ok(false);
        }
        let undo = (audience_attribute(name), Value::Bool(true));
        if !self.state.undo.contains(&undo) {
            self.state.undo.push(undo);
        }
        let (audience, enrollment, at) = (name.clone(), Some(self.id), facts.now);
        self.turn.effects.places.push(Place { audience, enrollment, joins: true, at });
        Ok(true)
    }

    /// Gives back the place that the enrollment holds, if that is one of an audience.
    pub(super) fn give_back(&mut self, attribute: &str) -> bool {
        let Some(audience) = audience_of(attribute) else { return false };
        let (enrollment, at) = (Some(self.id), self.turn.facts.now);
        self.turn.effects.places.push(Place { audience: audience.into(), enrollment, joins: false, at });
        true
    }

    /// Takes the contact out of an audience, whoever has put it there.
    pub(super) fn take_out_of(&mut self, audience: &str) {
        self.state.undo.retain(|(attribute, _)| audience_of(attribute) != Some(audience));
        self.turn.effects.places.push(all_of(audience, self.turn.facts.now));
    }
}

impl Call<'_, '_> {
    /// Who has withdrawn consent is in no audience that needs it.
    pub(super) fn leave_audiences(&mut self, purpose: &Word) -> Result<(), Need> {
        let facts = self.turn.facts;
        for (name, audience) in &facts.catalog.audiences {
            let concerned = facts.catalog.lineage(&audience.purpose).any(|p| p == purpose);
            let effects = &*self.turn.effects;
            if concerned && !policy::permitted(facts, effects, &audience.purpose, &audience.channel)? {
                self.turn.effects.places.push(all_of(name, facts.now));
            }
        }
        Ok(())
    }

    /// An address that is not used any more is not handed to others either.
    pub(super) fn suppressed(&mut self, suppression: &Suppression) {
        let facts = self.turn.facts;
        for (name, audience) in &facts.catalog.audiences {
            let is_it = |attribute| {
                facts.attribute(self.turn.effects, attribute).as_text() == Some(&*suppression.address)
            };
            if audience.matches.iter().any(|attribute| is_it(attribute)) {
                self.turn.effects.places.push(all_of(name, facts.now));
            }
        }
        self.turn.effects.suppressions.push(suppression.clone());
    }
}

fn all_of(audience: &str, at: Timestamp) -> Place {
    Place { audience: audience.into(), enrollment: None, joins: false, at }
}

/// What keeps somebody out of an audience: `consent` or `suppressed`.
fn objection(facts: &Facts, effects: &Effects, audience: &Audience) -> Result<Option<&'static str>, Need> {
    if !policy::permitted(facts, effects, &audience.purpose, &audience.channel)? {
        return Ok(Some("consent"));
    }
    let suppressed = &facts.permissions()?.suppressed;
    let own = effects.suppressions.iter().map(|row| &row.address);
    let all: Vec<_> = suppressed.iter().map(|(_, address)| address).chain(own).collect();
    if all.is_empty() {
        return Ok(None);
    }
    let scope = Scope::contact(facts, effects);
    let is_one = |attribute: &Word| {
        let value = scope.facts.attribute(effects, attribute);
        value.as_text().is_some_and(|text| all.iter().any(|address| ***address == *text))
    };
    Ok(audience.matches.iter().any(is_one).then_some("suppressed"))
}

/// The same question, asked for the last time before somebody is handed to others: consents may have come by a quiet import.
pub fn keeps_out(
    catalog: &Catalog,
    audience: &Audience,
    attributes: &Fields,
    permissions: Permissions,
    now: Timestamp,
) -> Option<Word> {
    let world = World { attributes: attributes.clone(), permissions: Some(permissions), ..World::default() };
    let programs = Programs::default();
    let facts = Facts::new(catalog, &programs, &world, now);
    let why = objection(&facts, &Effects::default(), audience);
    why.unwrap_or(Some("consent"))
        .map(|why| if why == "consent" { word!("consent") } else { word!("suppressed") })
}
