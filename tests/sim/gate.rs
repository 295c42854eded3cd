//! Where the workers of a simulation stand still until they are told to go on: the boundary of the store, and a stand-in for the relay.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fahrplan::channels::smtp::SendResult;
use fahrplan::channels::{Prepared, StandIn};
use fahrplan::store::Error;
use fahrplan::store::boundary::{Boundary, Point};
use tokio::sync::{mpsc, oneshot};

/// Where somebody stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    Store(Point),
    /// Between two steps of a loop.
    Gap(&'static str),
    /// A mail is about to leave: its Message-ID, and how long its sender will wait.
    Send {
        message_id: String,
        left: Duration,
    },
}

/// What he is told.
#[derive(Debug)]
pub(crate) enum Verdict {
    Go,
    /// The database fails here.
    Fail,
    Sent(SendResult),
}

/// Somebody who stands, and the way to tell him.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stop: Stop,
    pub(crate) tell: oneshot::Sender<Verdict>,
}

/// The gate of one process. Whoever runs when somebody arrives is who arrived: one worker runs at a time.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    arrivals: mpsc::UnboundedSender<Arrival>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Everybody passes: the process starts.
    open: AtomicBool,
    /// Nobody passes: the process is dead.
    dead: AtomicBool,
}

impl Gate {
    pub(crate) fn new(arrivals: mpsc::UnboundedSender<Arrival>) -> Gate {
        Gate { arrivals, state: Arc::default() }
    }

    pub(crate) fn open(&self, open: bool) {
        self.state.open.store(open, Ordering::Relaxed);
    }

    pub(crate) fn die(&self) {
        self.state.dead.store(true, Ordering::Relaxed);
    }

    /// Stands at that stop; fails as a database does that is gone.
    pub(crate) async fn stand(&self, stop: Stop) -> Result<Verdict, Error> {
        let gone = || Error::Database(sqlx::Error::WorkerCrashed);
        if self.state.dead.load(Ordering::Relaxed) {
            return Err(gone());
        }
        if self.state.open.load(Ordering::Relaxed) {
            return Ok(Verdict::Go);
        }
        let (tell, told) = oneshot::channel();
        self.arrivals.send(Arrival { stop, tell }).map_err(|_| gone())?;
        match told.await {
            Ok(Verdict::Fail) | Err(_) => Err(gone()),
            Ok(verdict) => Ok(verdict),
        }
    }
}

impl Boundary for Gate {
    fn reached(&self, point: Point) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + '_>> {
        Box::pin(async move { self.stand(Stop::Store(point)).await.map(|_| ()) })
    }
}

/// The relay as a process sees it: what becomes of a mail is decided by whoever runs the simulation.
pub(crate) struct Relay(pub(crate) Gate);

impl StandIn for Relay {
    fn take<'a>(
        &'a self,
        prepared: &'a Prepared,
        left: Duration,
    ) -> Pin<Box<dyn Future<Output = SendResult> + Send + 'a>> {
        Box::pin(async move {
            let message_id = message_id(prepared.bytes());
            // What little passes on the real clock until here is nothing on ours.
            let left = Duration::from_secs(left.as_secs_f64().round() as u64);
            match self.0.stand(Stop::Send { message_id, left }).await {
                Ok(Verdict::Sent(result)) => result,
                _ => SendResult::Unknown { reason: "the process is gone".to_owned() },
            }
        })
    }
}

/// The local part of the Message-ID: the delivery.
fn message_id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
    let id = line.and_then(|line| line.split_once('<')?.1.split_once('@'));
    id.expect("every mail has a Message-ID").0.to_owned()
}
