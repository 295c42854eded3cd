//! The rows of a CSV file, one after the other; what cannot be read is rejected with its line, and the rest goes on.

use std::io::{self, BufRead, BufReader, Read};

use csv::ByteRecord;

use super::super::{Failure, print};
use super::Report;

/// What is left of a file behind its header.
pub(super) struct Rows<R> {
    reader: csv::Reader<Quotes<BufReader<R>>>,
    record: ByteRecord,
}

/// A row, and the line of the file on which it begins.
pub(super) struct Row<'a> {
    pub(super) line: u64,
    pub(super) record: &'a ByteRecord,
}

impl<R: Read> Rows<R> {
    /// Reads the header; rows may be shorter or longer than it. What separates the columns is read from it.
    pub(super) fn open(file: R) -> Result<(ByteRecord, Rows<R>), Failure> {
        let broken = |error: String| Failure::usage(format!("the header cannot be read: {error}"));
        let mut file = BufReader::with_capacity(1 << 16, file);
        let delimiter = delimiter(file.fill_buf().map_err(|error| broken(error.to_string()))?);
        match delimiter {
            b';' => {
                print("the columns are separated by semicolons, as a German Excel writes them: read so\n")?
            }
            b'\t' => print("the columns are separated by tabs: read so\n")?,
            _ => {}
        }
        let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(Quotes {
            file,
            delimiter,
            at: At::Begin,
            ended: false,
        });
        let header = reader.byte_headers().map_err(|error| broken(error.to_string()))?.clone();
        Ok((header, Rows { reader, record: ByteRecord::new() }))
    }

    /// The next row that can be read.
    pub(super) fn next(&mut self, report: &mut Report) -> Result<Option<Row<'_>>, Failure> {
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    let line = self.record.position().map_or(0, csv::Position::line);
                    if self.reader.get_ref().is_open() {
                        let why = "a quote that opens here is never closed, so that everything to the end of the file \
                                   stands in one value; close it with `\"`, or write `\"\"` for one that is meant";
                        report.reject_row(line, &self.record, why)?;
                        continue;
                    }
                    return Ok(Some(Row { line, record: &self.record }));
                }
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    report.reject_row(line, &self.record, &error.to_string())?;
                }
            }
        }
    }
}

/// What separates the columns of a file: the comma, unless its first line holds none and semicolons or tabs instead.
fn delimiter(begin: &[u8]) -> u8 {
    let (mut counts, mut quoted) = ([0_usize; 3], false);
    for byte in begin {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            b',' if !quoted => counts[0] += 1,
            b';' if !quoted => counts[1] += 1,
            b'\t' if !quoted => counts[2] += 1,
            _ => {}
        }
    }
    match counts {
        [0, semicolons, 0] if semicolons > 0 => b';',
        [0, 0, tabs] if tabs > 0 => b'\t',
        _ => b',',
    }
}

/// A file on its way to the reader of CSV, which does not tell whether a quote was still open at the end.
struct Quotes<R> {
    file: R,
    delimiter: u8,
    at: At,
    ended: bool,
}

/// Where in a value the file stands.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Begin,
    Plain,
    Quoted,
    /// Behind a quote within a quoted value: the end of it, or the first of two.
    Behind,
}

impl<R> Quotes<R> {
    /// Whether the file has ended within quotes.
    fn is_open(&self) -> bool {
        self.ended && self.at == At::Quoted
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.ended |= count == 0 && !into.is_empty();
        for byte in &into[..count] {
            let ends = *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            self.at = match (self.at, byte) {
                (At::Quoted, b'"') => At::Behind,
                (At::Quoted, _) => At::Quoted,
                (At::Behind | At::Begin, b'"') => At::Quoted,
                _ if ends => At::Begin,
                _ => At::Plain,
            };
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_separates_the_columns() {
        assert_eq!(delimiter(b"email,name\na;b"), b',');
        assert_eq!(delimiter(b"email;name\r\na,b"), b';');
        assert_eq!(delimiter(b"\"email, private\";name"), b';');
        assert_eq!(delimiter(b"email\tname\n"), b'\t');
        assert_eq!(delimiter(b"code\nA;1"), b',');
        assert_eq!(delimiter(b"a,b;c"), b',');
        assert_eq!(delimiter(b""), b',');
    }

    #[test]
    fn only_a_quote_that_is_never_closed_is_open() {
        let open = |text: &str| {
            let mut quotes = Quotes { file: text.as_bytes(), delimiter: b',', at: At::Begin, ended: false };
            io::copy(&mut quotes, &mut io::sink()).expect("read");
            quotes.is_open()
        };
        for text in
            ["a,b\n1,2\n", "a\n\"1\n2\"\n", "a\n\"1\"\"2\"", "a\n5\" wide\n", "a\n\"x\"y\n", "a\n\"\"\n"]
        {
            assert!(!open(text), "{text}");
        }
        for text in ["a\n\"1\n2\n", "a,b\n1,\"2", "a\n\"1\"\"\n", "a\n1\n\"\"\"\n"] {
            assert!(open(text), "{text}");
        }
    }
}
