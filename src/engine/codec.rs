//! The bytes of a state: about sixty, and what its slots hold. Numbers are written as short as they are, so a moment takes
//! six bytes and one that never comes ten.

use super::state::{State, Stays};

/// The first byte of what we write; bytes of another layout are refused.
const LAYOUT: u8 = 2;

/// The layout without `stays`, which is the last field.
const WITHOUT_STAYS: u8 = 1;

/// Bytes that are no state of this layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoState;

/// The state as bytes.
pub fn encode(state: &State) -> Vec<u8> {
    postcard::to_extend(state, vec![LAYOUT]).expect("a state holds nothing that postcard refuses")
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<State, NoState> {
    match bytes.split_first() {
        Some((&LAYOUT, rest)) => postcard::from_bytes(rest).map_err(|_| NoState),
        Some((&WITHOUT_STAYS, rest)) => {
            let unsaid = postcard::to_allocvec(&Stays::Unsaid).map_err(|_| NoState)?;
            postcard::from_bytes(&[rest, &unsaid].concat()).map_err(|_| NoState)
        }
        _ => Err(NoState),
    }
}
