//! Fahrplan: customer journeys as code. This page is the map of the house; whoever moves a wall redraws it.
//!
//! # The one corridor
//!
//! An event only makes things due; so does time. After that there is one way for everything:
//!
//! ```text
//! event in  -> inbox                                one insert; only then 2xx
//! due       -> lock bucket, load, advance, commit   one short transaction for a batch of contacts
//! delivery  -> lease, re-check, render, send, record   the only place where the world is touched
//! outcome   -> is an input, and begins again
//! ```
//!
//! Everything that can happen to a contact is an [`engine::world::Input`] and goes through the inbox. The advancing transaction
//! locks one bucket, takes inbox rows and due timers, and calls the pure [`engine::contact::advance`] for each contact; what
//! is not loaded is asked for and loaded for the whole batch at once. The [`engine::world::Changes`] are written in the same
//! transaction. The daemon, `test` and the tests of the engine run this same function.
//!
//! # Floors
//!
//! A file uses its own floor and those below; `tests/house.rs` holds it to that.
//!
//! ```text
//! 7  cli                  reads arguments and files, prints, chooses the exit code
//! 6  daemon    http       loops that run; doors that listen (they meet in the store: a commit wakes the loops)
//! 5  store     channels   SQL on two databases; the outside world (they do not know each other)
//! 4  clock config         the two clocks; fahrplan.toml, environment, secrets
//!    intake link          items from outside read against the schema; signed links
//!    story                notes to sentences: why somebody got something or did not     (pure)
//! 3  lang                 text -> tree -> checked -> program, and test blocks      (pure)
//! 2  engine               program x world x input x now -> changes                 (pure)
//! 1  diagnostic           what we tell authors                                     (pure)
//! 0  value time id        words everybody uses                                     (pure)
//! ```
//!
//! The engine is below the language: it owns [`engine::program::Program`], the instruction set that the compiler targets, so it can
//! be read, tested and fuzzed without a parser. Effects are data: the engine never sends, it returns what shall be sent.
//!
//! Outside `src`: `grammar/` holds the pest grammar in a crate of its own (it is slow to derive) and the language reference,
//! `journeys/` a living project that the demo runs, `migrations/` the tables of both databases.

pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod diagnostic;
pub mod engine;
pub mod http;
pub mod id;
pub mod intake;
pub mod lang;
pub mod link;
pub mod store;
pub mod story;
pub mod time;
pub mod value;
