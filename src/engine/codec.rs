//! The bytes of a state: a few dozen, since moments are written relative to the entry.

use serde::{Deserialize, Serialize};

use super::state::State;

/// The first byte of what we write; bytes of another layout are refused.
const LAYOUT: u8 = 1;

/// Bytes that are no state of this layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoState;

#[derive(Serialize, Deserialize)]
struct Stored(State);

/// The state as bytes.
pub fn encode(state: &State) -> Vec<u8> {
    let mut bytes = vec![LAYOUT];
    bytes.extend(
        postcard::to_allocvec(&Stored(state.clone())).expect("a state holds nothing that postcard refuses"),
    );
    bytes
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<State, NoState> {
    match bytes.split_first() {
        Some((&LAYOUT, rest)) => {
            postcard::from_bytes::<Stored>(rest).map(|stored| stored.0).map_err(|_| NoState)
        }
        _ => Err(NoState),
    }
}
