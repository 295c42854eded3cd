//! The ways out: what turns a delivery into something that reaches a person.

pub mod mailbox;
pub mod message;
pub mod smtp;
pub mod template;
