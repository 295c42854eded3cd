//! What a worker does at a time, with the code of the daemon.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use fahrplan::clock::{JourneyClock, machine_now};
use fahrplan::daemon::{Desk, Outlet};
use fahrplan::id::DeliveryId;
use fahrplan::intake::Who;
use fahrplan::store::deliveries::{self, Decision, Finished};
use fahrplan::store::inbox::{Accepted, Incoming, To};
use fahrplan::store::{Advanced, Error, Store, advance_bucket};
use rusqlite::ErrorCode;

use crate::gate::{Gate, Stop};
use crate::ledger::Ledger;
use crate::plan::Plan;

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Advance {
        bucket: i64,
        limit: i64,
    },
    Deliver {
        limit: usize,
    },
    /// An operator says what is to become of a mail of which nobody knows.
    Decide {
        id: DeliveryId,
        decision: Decision,
    },
    /// A client sends these items of the plan in one call.
    Accept {
        items: Vec<usize>,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    Advanced(Advanced),
    Delivered(usize),
    Decided,
    Accepted {
        items: Vec<usize>,
        answer: Option<Vec<Accepted>>,
    },
    /// The database failed; later again.
    Failed,
    /// A law was broken.
    Broken(String),
}

/// A job under way.
pub(crate) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a worker has in his hands.
pub(crate) struct Tools {
    pub(crate) store: Store,
    pub(crate) gate: Gate,
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) clock: JourneyClock,
    pub(crate) worker: usize,
}

impl Done {
    /// Without ids, which differ between databases.
    pub(crate) fn told(&self) -> String {
        match self {
            Done::Advanced(Advanced { taken, transitions, owed, more, locked, .. }) => {
                format!("advanced {taken} {transitions} {owed} {more} {locked}")
            }
            Done::Delivered(count) => format!("delivered {count}"),
            Done::Accepted { items, answer } => {
                let taken = |accepted: &Accepted| matches!(accepted, Accepted::Taken(_));
                let taken = answer.as_ref().map(|all| all.iter().filter(|one| taken(one)).count());
                format!("accepted {items:?} {taken:?}")
            }
            Done::Decided => "decided".to_owned(),
            Done::Failed => "failed".to_owned(),
            Done::Broken(why) => why.clone(),
        }
    }
}

impl Tools {
    pub(crate) fn work(self, job: Job, plan: &Plan) -> Work {
        match job {
            Job::Advance { bucket, limit } => Box::pin(async move {
                let now = self.clock.now();
                match advance_bucket(&self.store, bucket, now, limit).await {
                    Ok(advanced) => Done::Advanced(advanced),
                    Err(error) => failed(&error),
                }
            }),
            Job::Deliver { limit } => Box::pin(async move {
                match self.deliver(limit).await {
                    Ok(count) => Done::Delivered(count),
                    Err(done) => done,
                }
            }),
            Job::Decide { id, decision } => Box::pin(async move {
                match deliveries::decide(&self.store, decision, &[id], "operator", self.clock.now()).await {
                    Ok(_) => Done::Decided,
                    Err(error) => failed(&error),
                }
            }),
            Job::Accept { items } => {
                // The door says when it was accepted.
                let chosen: Vec<_> = items.iter().map(|item| plan.items[*item].clone()).collect();
                Box::pin(async move {
                    let now = self.clock.now();
                    let incoming = chosen.iter().map(|item| Incoming {
                        to: To::Who(Who { user_id: Some(Plan::name(item.who)), ..Who::default() }),
                        message_id: Some(item.message_id()),
                        input: item.input(0, now),
                    });
                    match self.store.accept(incoming.collect(), now).await {
                        Ok(answer) => Done::Accepted { items, answer: Some(answer) },
                        // The door tells its clients so when a commit is in doubt.
                        Err(error) => match failed(&error) {
                            Done::Failed => Done::Accepted { items, answer: None },
                            done => done,
                        },
                    }
                })
            }
        }
    }

    /// Claims, sends one after another, records: the steps of the delivering loop.
    async fn deliver(&self, limit: usize) -> Result<usize, Done> {
        let claiming = Desk::claim(&self.store, &self.clock, &self.outlet, limit).await;
        let (desk, claimed) = claiming.map_err(|error| failed(&error))?;
        for claimed in &claimed {
            let law = self.ledger.lock().expect("whole").claimed(self.worker, claimed, machine_now());
            law.map_err(Done::Broken)?;
        }
        if claimed.is_empty() {
            return Ok(0);
        }
        self.gap("claimed").await?;
        let count = claimed.len();
        let mut finished = Vec::new();
        for claimed in claimed {
            finished.push(match desk.decided(&claimed) {
                Some(finished) => finished,
                None => desk.delivered(&claimed).await,
            });
            // Results are recorded together, or as they come.
            if claimed.delivery.round == 0 && limit != 8 {
                self.record(&mut finished).await?;
            }
        }
        self.record(&mut finished).await?;
        Ok(count)
    }

    /// Tries until the database takes them, as the recorder of the daemon does.
    async fn record(&self, finished: &mut Vec<Finished>) -> Result<(), Done> {
        if finished.is_empty() {
            return Ok(());
        }
        self.gap("sent").await?;
        self.ledger.lock().expect("whole").recording(self.worker, finished);
        loop {
            match deliveries::record(&self.store, finished.clone(), self.clock.now()).await {
                Ok(recorded) => {
                    let law = self.ledger.lock().expect("whole").recorded(self.worker, recorded);
                    law.map_err(Done::Broken)?;
                    finished.clear();
                    return Ok(());
                }
                Err(error) => {
                    if let broken @ Done::Broken(_) = failed(&error) {
                        return Err(broken);
                    }
                    self.gap("recording failed").await?;
                }
            }
        }
    }

    async fn gap(&self, name: &'static str) -> Result<(), Done> {
        self.gate.stand(Stop::Gap(name)).await.map(|_| ()).map_err(|_| Done::Failed)
    }
}

/// The database may fail for a while; it must never say that we did something wrong.
fn failed(error: &Error) -> Done {
    match error {
        // One at a time is let into a transaction.
        Error::Sqlite(busy) if busy.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            Done::Broken("somebody stands elsewhere with a transaction in his hands".to_owned())
        }
        error if error.is_passing() => Done::Failed,
        error => Done::Broken(format!("an error that does not pass: {error}")),
    }
}
