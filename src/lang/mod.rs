//! The language: text to tree to checked program. Pure.

pub mod ast;
