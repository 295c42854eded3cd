//! The engine: program x state x input x facts x now -> effects. Pure, total, deterministic.

pub mod hash;
pub mod index;
pub mod program;
pub mod state;
pub mod world;
