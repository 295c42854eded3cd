//! The one integration test binary.

mod explain;
mod house;
mod mail;
mod parse;
mod store;
