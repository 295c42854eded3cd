//! Fahrplan: customer journeys as code.

pub mod diagnostic;
pub mod engine;
pub mod id;
pub mod lang;
pub mod time;
pub mod value;
