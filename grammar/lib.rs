//! The grammar of the journey language, derived by pest from `journey.pest`.
//!
//! It stands in a crate of its own because deriving some three hundred rules takes half a minute of CPU, which nobody
//! should pay again for a change elsewhere. Only `lang::parse` in the main crate may use it: the tree it builds knows
//! nothing of pest.

use pest_derive::Parser;

/// The parser; its rules are the variants of [`Rule`].
#[derive(Parser)]
#[grammar = "journey.pest"]
pub struct JourneyParser;
