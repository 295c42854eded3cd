//! The canonical bytes of programs and catalogs, and the content hash that names a version.
//!
//! Field order is fixed, maps are sorted and there are no floats, so equal content gives equal bytes on every machine.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::program::{Catalog, FORMAT, Program};

/// The content hash of a program or a catalog: BLAKE3 of its canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    /// 64 hexadecimal digits; `{:.8}` gives the first eight.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lists and maps at the end of a catalog that came later: rates, limits, surveys, headers, budgets, two of costs, audiences, doubts.
const LATER: usize = 9;

/// Stored bytes that are no program or catalog of a format that this engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was written by another release, in a format that this one cannot read")
    }
}

impl Program {
    /// The canonical bytes: what is stored and hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads [`Program::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, UnknownFormat> {
        decode(bytes, |program: &Program| program.format)
    }

    /// Names the version.
    pub fn hash(&self) -> Hash {
        hash(&self.to_bytes())
    }
}

impl Catalog {
    /// The canonical bytes: what is stored and hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads [`Catalog::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Catalog, UnknownFormat> {
        let read = |bytes: &[u8]| decode(bytes, |catalog: &Catalog| catalog.format);
        // Written before there was this or that at its end: what is missing is empty.
        (0..=LATER)
            .find_map(|missing| read(&[bytes, &[0; LATER][..missing]].concat()).ok())
            .ok_or(UnknownFormat)
    }

    /// Names the state of schema and policies.
    pub fn hash(&self) -> Hash {
        hash(&self.to_bytes())
    }
}

fn encode<T: Serialize>(content: &T) -> Vec<u8> {
    postcard::to_allocvec(content).expect("a vector grows, and the types have only lengths that are known")
}

fn decode<T: DeserializeOwned>(bytes: &[u8], format: impl Fn(&T) -> u16) -> Result<T, UnknownFormat> {
    // The format is the first field of both, so it is read before anything that may have changed.
    let (first, _) = postcard::take_from_bytes::<u16>(bytes).map_err(|_| UnknownFormat)?;
    if first != FORMAT {
        return Err(UnknownFormat);
    }
    postcard::from_bytes(bytes).ok().filter(|content| format(content) == FORMAT).ok_or(UnknownFormat)
}

fn hash(bytes: &[u8]) -> Hash {
    Hash(*blake3::hash(bytes).as_bytes())
}
