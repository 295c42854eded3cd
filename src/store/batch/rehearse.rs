//! What an input would do to contacts, without doing it: whom it would take into which journey.

use super::{Batch, Needs, ROUNDS};
use crate::engine::facts::Facts;
use crate::engine::program::Word;
use crate::engine::world::{Fields, Input, Need, What};
use crate::id::ContactId;
use crate::store::{Conn, Result};

impl Batch {
    /// The journeys into which the input would take these contacts of the bucket, one for each entrance. Reads, and writes nothing.
    pub(in crate::store) async fn would_enter(
        mut self,
        conn: &mut Conn,
        contacts: Vec<(ContactId, Fields)>,
        input: &Input,
    ) -> Result<Vec<Word>> {
        for (contact, attributes) in contacts {
            self.begin(contact, false);
            self.give(contact, attributes, [super::Queued::Input(None, input.clone())].into());
        }
        let core = conn.core.clone();
        for _ in 0..ROUNDS {
            let (needs, waiting) = self.advance_all(&core);
            // Who has entered, or did something else, is decided about; what comes after it is nobody's business here.
            for contact in &waiting {
                let member = self.member(*contact);
                if !member.changes.history.is_empty() {
                    member.inputs.clear();
                }
            }
            if waiting.is_empty() {
                break;
            }
            self.load(conn, needs).await?;
        }
        let notes = self.contacts.values().flat_map(|member| &member.changes.history);
        let entered = notes.filter(|note| matches!(note.what, What::Entered));
        Ok(entered.filter_map(|note| note.journey.clone()).collect())
    }

    /// A contact of the bucket is to be looked at.
    pub(in crate::store) fn regard(&mut self, contact: ContactId, attributes: Fields) {
        self.begin(contact, false);
        self.give(contact, attributes, [].into());
    }

    /// Looks at a contact that is regarded; what the look asks for is loaded, and kept for the next look. `None`: it asked for too much.
    /// Reads, and writes nothing.
    pub(in crate::store) async fn look<T>(
        &mut self,
        conn: &mut Conn,
        contact: ContactId,
        look: impl Fn(&Facts<'_>) -> std::result::Result<T, Need>,
    ) -> Result<Option<T>> {
        for _ in 0..ROUNDS {
            let need = {
                let world = &self.contacts[&contact].world;
                let (catalog, programs) = (&self.deployed.catalog, &self.deployed.engine);
                match look(&Facts::new(catalog, programs, world, self.now)) {
                    Ok(seen) => return Ok(Some(seen)),
                    Err(need) => need,
                }
            };
            let mut needs = Needs::default();
            needs.add(contact, need);
            self.load(conn, needs).await?;
        }
        Ok(None)
    }
}
