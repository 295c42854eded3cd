//! The one integration test binary.

mod cli;
mod engine;
mod explain;
mod house;
mod journeys;
mod lang;
mod mail;
mod parse;
mod store;
