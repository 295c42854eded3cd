//! What is in the folder of a batch of letters: a file each, and the list of addresses.

use super::super::folder::{Put, Result};
use super::Sheet;
use crate::channels::letter::LONGEST_ADDRESS;

/// The list of what is in the folder.
const LIST: &str = "addresses.csv";

/// The letters that were put in.
#[derive(Default)]
pub(super) struct Printed {
    rows: Vec<Vec<String>>,
}

impl Printed {
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Puts a letter in.
    pub(super) fn add(&mut self, put: &mut Put, sheet: &Sheet) -> Result<()> {
        let name = format!("{:06}-{}.pdf", self.rows.len() + 1, sheet.id);
        put.add(&name, &sheet.pdf)?;
        let mut row = vec![name, sheet.id.to_string(), sheet.code.clone(), sheet.locale.clone()];
        row.extend(sheet.lines.iter().cloned());
        row.resize(4 + LONGEST_ADDRESS, String::new());
        self.rows.push(row);
        Ok(())
    }

    /// Puts the list in, and ends it; whether it was there already. Another one of that name is kept: somebody may have printed it.
    pub(super) fn end(&self, mut put: Put) -> Result<bool> {
        put.add(LIST, &addresses(&self.rows))?;
        put.end()
    }
}

/// The list as CSV: file, delivery, code, language, lines of the address.
fn addresses(rows: &[Vec<String>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut head = ["file", "delivery", "code", "locale"].map(str::to_owned).to_vec();
    head.extend((1..=LONGEST_ADDRESS).map(|line| format!("line_{line}")));
    let mut writer = csv::Writer::from_writer(&mut out);
    let written = std::iter::once(&head)
        .chain(rows)
        .try_for_each(|row| writer.write_record(row.iter().map(|cell| harmless(cell))));
    written.and_then(|()| writer.flush().map_err(Into::into)).expect("a list in memory takes everything");
    drop(writer);
    out
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> String {
    match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_its_row() {
        let row = [
            "a.pdf",
            "dl_1",
            "K7QM",
            "de",
            "=HYPERLINK(\"x\")",
            "+49",
            "-1",
            "@a",
            "Weg \"7\", Hof",
            "",
            "",
            "",
        ];
        let csv = String::from_utf8(addresses(&[row.map(str::to_owned).to_vec()])).expect("text");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let read: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(&read[0][4], "'=HYPERLINK(\"x\")");
        assert_eq!([&read[0][5], &read[0][6], &read[0][7]], ["'+49", "'-1", "'@a"]);
        assert_eq!(&read[0][8], "Weg \"7\", Hof");
    }
}
