//! The rules of the engine, one by one: journeys built in Rust, run in virtual time, told as lines of text.

pub(crate) mod build;
mod cron;
mod entry;
mod eval;
mod events;
mod flow;
mod fuzz;
mod gate;
mod props;
mod tables;
mod time;
mod work;
