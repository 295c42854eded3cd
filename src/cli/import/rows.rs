//! The rows of a CSV file, one after the other; what cannot be read is rejected with its line, and the rest goes on.

use std::io::Read;

use csv::ByteRecord;

use super::super::Failure;
use super::Report;

/// What is left of a file behind its header.
pub(super) struct Rows<R> {
    reader: csv::Reader<R>,
    record: ByteRecord,
}

/// A row, and the line of the file on which it begins.
pub(super) struct Row<'a> {
    pub(super) line: u64,
    pub(super) record: &'a ByteRecord,
}

impl<R: Read> Rows<R> {
    /// Reads the header; rows may be shorter or longer than it.
    pub(super) fn open(file: R) -> Result<(ByteRecord, Rows<R>), Failure> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader
            .byte_headers()
            .map_err(|error| Failure::usage(format!("the header cannot be read: {error}")))?
            .clone();
        Ok((header, Rows { reader, record: ByteRecord::new() }))
    }

    /// The next row that can be read.
    pub(super) fn next(&mut self, report: &mut Report) -> Result<Option<Row<'_>>, Failure> {
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    let line = self.record.position().map_or(0, csv::Position::line);
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
