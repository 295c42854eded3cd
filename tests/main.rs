//! The one integration test binary.

mod agents;
mod brakes;
mod cli;
mod commands;
mod daemon;
mod doors;
mod doubts;
mod engine;
mod explain;
mod format;
mod house;
mod http;
mod ingest;
mod journeys;
mod lang;
mod lowering;
mod mail;
mod measuring;
mod openapi;
mod operating;
mod parse;
mod reading;
mod serving;
mod store;
mod testing;
mod why;
