//! Fahrplan: customer journeys as code.

pub mod diagnostic;
