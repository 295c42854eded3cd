//! Contacts on their way into the database: one list of them is written while the next is read and made ready. One at a time, since
//! later rows win.

use tokio::task::JoinHandle;

use super::super::{Failure, world};
use super::report::Report;
use super::{Import, TOGETHER};
use crate::store::Result;
use crate::store::import::{Imported, List, Person};

/// Contacts that share a transaction, of which most is made ready before it begins.
const MANY_TOGETHER: usize = 5_000;
/// For how many lists nobody is taken for new any more after somebody was not: what was made ready was in vain.
const CAUTION: usize = 16;

pub(super) struct Lists<'a> {
    import: &'a Import<'a>,
    people: Vec<Person>,
    writing: Option<JoinHandle<Result<(Imported, bool)>>>,
    /// What is being written was taken for new.
    hopeful: bool,
    caution: usize,
}

impl<'a> Lists<'a> {
    pub(super) fn new(import: &'a Import<'a>) -> Lists<'a> {
        Lists { import, people: Vec::new(), writing: None, hopeful: false, caution: 0 }
    }

    pub(super) async fn push(&mut self, person: Person, report: &mut Report) -> Result<(), Failure> {
        self.people.push(person);
        let together = if self.import.live { TOGETHER } else { MANY_TOGETHER };
        if self.people.len() < together { Ok(()) } else { self.write(report).await }
    }

    /// Writes what is left, and waits for it.
    pub(super) async fn finish(mut self, report: &mut Report) -> Result<(), Failure> {
        self.write(report).await?;
        self.written(report).await
    }

    async fn write(&mut self, report: &mut Report) -> Result<(), Failure> {
        if self.people.is_empty() {
            return Ok(());
        }
        let room = Vec::with_capacity(self.people.len());
        let people = std::mem::replace(&mut self.people, room);
        if self.import.live {
            return self.import.accept_all(people, report).await;
        }
        let store = self.import.store.clone();
        let hopeful = self.caution == 0;
        let list = List::new(&store, people, hopeful, self.import.now).await.map_err(world)?;
        self.written(report).await?;
        self.caution = self.caution.saturating_sub(1);
        self.hopeful = hopeful;
        self.writing = Some(tokio::spawn(async move { list.write(&store).await }));
        Ok(())
    }

    async fn written(&mut self, report: &mut Report) -> Result<(), Failure> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let (imported, as_new) = writing.await.map_err(world)?.map_err(world)?;
        if self.hopeful && !as_new {
            self.caution = CAUTION;
        }
        report.add(imported);
        Ok(())
    }
}
