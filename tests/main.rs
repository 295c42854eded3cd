//! The one integration test binary.

mod house;
