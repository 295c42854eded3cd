//! The fault simulator.
