//! The file of holidays.

use std::collections::BTreeSet;

use super::Problem;
use crate::time::{Date, Holidays};

/// Reads a CSV of holidays with the columns `date` and `region`; other columns and the order do not matter. With a region, its
/// days and those without one count; a region that no row of a file with regions has is a mistake.
pub fn holidays(text: &str, region: Option<&str>) -> Result<Holidays, Vec<Problem>> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let column = |headers: &csv::StringRecord, name: &str| headers.iter().position(|header| header == name);
    let whole =
        |message: String| vec![Problem { place: Some(0..text.find('\n').unwrap_or(0)), message, help: None }];
    let headers = reader.headers().map_err(|error| whole(error.to_string()))?;
    let Some(date_at) = column(headers, "date") else {
        return Err(whole("the first line must name a column `date`, as in `date,region`".to_owned()));
    };
    let region_at = column(headers, "region");
    let (mut days, mut problems, mut regions) = (Holidays::default(), Vec::new(), BTreeSet::new());
    for record in reader.records() {
        let record = record.map_err(|error| whole(error.to_string()))?;
        let cell = record.get(date_at).unwrap_or_default();
        let own = region_at.and_then(|at| record.get(at)).unwrap_or_default();
        if !own.is_empty() {
            regions.insert(own.to_owned());
        }
        let counts = own.is_empty() || region.is_none_or(|region| region == own);
        match cell.parse::<Date>() {
            Ok(date) if counts => drop(days.0.insert(date)),
            Ok(_) => {}
            Err(_) => {
                let start = record.position().map_or(0, |place| place.byte() as usize);
                let message = format!("`{cell}` is no date; write one such as 2026-12-25");
                problems.push(Problem { place: Some(start..start + cell.len()), message, help: None });
            }
        }
    }
    if let Some(region) = region.filter(|region| !regions.is_empty() && !regions.contains(*region)) {
        let known = regions.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        let mut problem = whole(format!("no holiday has the region `{region}`")).remove(0);
        problem.help = Some(format!("the file has {known}; say one of them as `region` of `[calendar]`"));
        problems.push(problem);
    }
    if problems.is_empty() { Ok(days) } else { Err(problems) }
}
