//! `fahrplan import returns FILE`: letters that came back, by our id or by their code, and why.

use std::io::Read;

use super::super::check::counted;
use super::super::{Failure, world};
use super::rows::{Row, Rows};
use super::{Import, Report};
use crate::store::letters::{self, Told};

impl Import<'_> {
    /// Marks the addresses of the letters in a file.
    pub(super) async fn returns_csv(&self, file: impl Read, report: &mut Report) -> Result<(), Failure> {
        let (header, mut rows) = Rows::open(file)?;
        let place = |names: &[&str]| {
            let is_it = |name: &[u8]| {
                let name = String::from_utf8_lossy(name);
                names.contains(&name.trim_start_matches('\u{feff}').trim())
            };
            header.iter().position(is_it)
        };
        let Some(named) = place(&["id", "delivery"]).or_else(|| place(&["code"])) else {
            return Err(Failure::usage("no column says which letters came back")
                .help("the first line names the columns: `id` or `code`, and `reason` if there is one"));
        };
        let reason = place(&["reason"]);
        report.header = Some(header.clone());
        let mut marked = 0;
        while let Some(Row { line, record }) = rows.next(report)? {
            let cell = |at: Option<usize>| {
                let text = at
                    .and_then(|at| record.get(at))
                    .map(|cell| String::from_utf8_lossy(cell).trim().to_owned());
                text.filter(|text| !text.is_empty())
            };
            let (named, reason) = (cell(Some(named)).unwrap_or_default(), cell(reason));
            match letters::returned(self.store, &named, reason.as_deref(), self.now).await.map_err(world)? {
                Told::Taken => marked += 1,
                Told::Repeated => report.repeated += 1,
                Told::Unknown => report.reject_row(line, record, &format!("no letter is `{named}`"))?,
            }
        }
        report.note(&format!("{} marked as returned", counted(marked, "letter")));
        Ok(())
    }
}
