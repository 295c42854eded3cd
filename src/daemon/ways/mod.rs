//! Ways out other than mail: requests to endpoints and messages through gateways. The loop, the send point and what is recorded are
//! the same for all: see `deliver`.

pub(super) mod gateway;
pub(super) mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::channels::guard::Guard;
use crate::config::{self, Secrets};
use crate::daemon::audiences::Audiences;
use crate::daemon::letters::Letters;

/// Calls to other programs that are on their way beside the mails.
const ASIDE: usize = 64;

/// The other programs that are asked, and handed messages to.
pub struct Others {
    pub guard: Guard,
    pub secrets: Secrets,
    /// No endpoint is asked and no network told: for the demo, whose mailbox and gateway are its own.
    pub(super) rehearse: bool,
    /// Where letters go.
    pub letters: Letters,
    /// Where audiences go.
    pub audiences: Audiences,
    /// What gateways call things, by their channels.
    pub gateways: BTreeMap<String, config::Gateway>,
    room: Arc<Semaphore>,
}

impl Default for Others {
    fn default() -> Others {
        Others::new(Guard::default(), Secrets::default())
    }
}

impl Others {
    /// Those that the guard lets through, with the secrets that their addresses are.
    pub fn new(guard: Guard, secrets: Secrets) -> Others {
        Others {
            guard,
            secrets,
            rehearse: false,
            letters: Letters::default(),
            audiences: Audiences::default(),
            gateways: BTreeMap::new(),
            room: Arc::new(Semaphore::new(ASIDE)),
        }
    }

    /// Stand-ins: requests are answered with samples, and networks are told nothing. Messages leave for gateways as ever, so whoever
    /// rehearses names its own.
    pub fn rehearsing(guard: Guard, secrets: Secrets) -> Others {
        Others { rehearse: true, ..Others::new(guard, secrets) }
    }

    /// The same, and letters go there.
    pub fn with_letters(self, letters: Letters) -> Others {
        Others { letters, ..self }
    }

    /// The same, and audiences go there.
    pub fn with_audiences(self, audiences: Audiences) -> Others {
        Others { audiences, ..self }
    }

    /// The same, and gateways call things so.
    pub fn with_gateways(self, gateways: BTreeMap<String, config::Gateway>) -> Others {
        Others { gateways, ..self }
    }

    /// A place beside those of mail, as long as there is one.
    pub(super) fn aside(&self, permit: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        self.room.clone().try_acquire_owned().unwrap_or(permit)
    }
}
