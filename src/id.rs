//! Ids: 63-bit, time-ordered, made by us; one newtype per noun.
//!
//! 41 bits of milliseconds since 2024-01-01, 10 of worker, 12 of a counter. Outside they are a prefix and 13 characters of
//! Crockford's base32, such as `ct_0d4kq3v8m1z2a`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Milliseconds at 2024-01-01T00:00:00Z, where our time begins.
const EPOCH_MS: i64 = 1_704_067_200_000;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes ids for one worker: strictly increasing, also when the clock stands still or goes back.
#[derive(Debug)]
pub struct Ids {
    worker: i64,
    last: i64,
}

impl Ids {
    /// A maker for the worker of that number, 0 to 1023.
    pub fn new(worker: u16) -> Ids {
        Ids { worker: i64::from(worker & 0x3ff), last: 0 }
    }

    /// The number of the worker.
    pub fn worker(&self) -> i64 {
        self.worker
    }

    /// From now on the ids are those of another number, and still grow.
    pub fn renumber(&mut self, worker: u16) {
        self.worker = i64::from(worker & 0x3ff);
    }

    /// The next raw id at that instant of the machine's clock.
    pub fn next(&mut self, now: Timestamp) -> i64 {
        // The counter is the low half of `last`: when it runs over, the id borrows from the next millisecond.
        let wanted = (now.0 - EPOCH_MS).clamp(0, (1 << 41) - 1) << 12;
        self.last = wanted.max(self.last + 1);
        let (ms, counter) = (self.last >> 12, self.last & 0xfff);
        (ms << 22) | (self.worker << 12) | counter
    }
}

/// What is smaller than every id that is made from that instant on, and larger than all before.
pub fn at(instant: Timestamp) -> i64 {
    (instant.0 - EPOCH_MS).clamp(0, (1 << 41) - 1) << 22
}

/// The number of the worker that made an id.
pub fn worker_of(id: i64) -> i64 {
    id >> 12 & 0x3ff
}

/// The text is no id of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoId;

/// The 13 characters of an id.
pub fn to_base32(id: i64) -> String {
    let id = id.unsigned_abs();
    (0..13).rev().map(|i| ALPHABET[(id >> (i * 5) & 31) as usize] as char).collect()
}

/// Reads 13 characters of base32.
pub fn from_base32(text: &str) -> Result<i64, NoId> {
    if text.len() != 13 {
        return Err(NoId);
    }
    let digit = |b: u8| ALPHABET.iter().position(|a| *a == b.to_ascii_lowercase()).ok_or(NoId);
    let mut id: u64 = 0;
    for byte in text.bytes() {
        id = (id << 5) | digit(byte)? as u64;
    }
    i64::try_from(id).map_err(|_| NoId)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), to_base32(self.0))
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                from_base32(text.strip_prefix(concat!($prefix, "_")).ok_or(NoId)?).map($name)
            }
        }
    )*};
}

ids! {
    /// A person we may address.
    ContactId "ct",
    /// One contact's way through one journey.
    EnrollmentId "en",
    /// A message owed to an address.
    DeliveryId "dl",
    /// Work for a person.
    TaskId "tk",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_and_read_back() {
        let mut ids = Ids::new(7);
        let now = Timestamp(EPOCH_MS + 1_000);
        let made: Vec<i64> = (0..10_000).map(|_| ids.next(now)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        let shown = ContactId(made[9]).to_string();
        assert_eq!(shown.parse(), Ok(ContactId(made[9])));
        assert_eq!(shown.len(), 16);
        assert!("dl_0000000000000".parse::<ContactId>().is_err());
    }
}
