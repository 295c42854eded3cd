//! `fahrplan import codes FILE --pool NAME`: single-use codes into a pool, a column for each of its fields.

use std::io::Read;
use std::sync::Arc;

use csv::ByteRecord;

use super::super::{Failure, world};
use super::rows::{Row, Rows};
use super::{Import, Report, TOGETHER};
use crate::engine::program::{Catalog, pool_endpoint};
use crate::engine::world::Fields;
use crate::store::pools::{self, Code};
use crate::time::{Timestamp, Zone};
use crate::value::{self, FieldType, Value};

/// A field of this name says until when a code is good.
const EXPIRES: &str = "expires";

/// What a column of the file is: a field of the pool, if it has such a one.
type Columns = Vec<Option<FieldType>>;

impl Import<'_> {
    /// Adds the codes of a file to a pool; what it holds already is counted and left as it is.
    pub(super) async fn codes_csv(
        &self,
        file: impl Read,
        pool: Option<&str>,
        report: &mut Report,
    ) -> Result<String, Failure> {
        let catalog = self.catalog().await?;
        let (pool, fields) = declared(&catalog, pool)?;
        let (header, mut rows) = Rows::open(file)?;
        let columns = columns(&header, &pool, &fields)?;
        report.header = Some(header);
        let zone = Zone::named(&catalog.zone).unwrap_or_else(Zone::utc);
        let mut codes = Vec::with_capacity(TOGETHER);
        while let Some(Row { line, record }) = rows.next(report)? {
            match code(&columns, &fields, record, &zone) {
                Ok(code) => codes.push(code),
                Err(why) => report.reject_row(line, record, &why)?,
            }
            if codes.len() >= TOGETHER {
                self.fill(&pool, std::mem::take(&mut codes), report).await?;
            }
        }
        self.fill(&pool, codes, report).await?;
        let mut conn = self.store.read().await.map_err(world)?;
        let left = pools::left(&mut conn, &pool, self.now).await.map_err(world)?;
        Ok(format!("`{pool}` has {left} codes to give"))
    }

    async fn fill(&self, pool: &Arc<str>, codes: Vec<Code>, report: &mut Report) -> Result<(), Failure> {
        if codes.is_empty() {
            return Ok(());
        }
        let new = pools::fill(self.store, pool, &codes).await.map_err(world)?;
        let new_ones = new.iter().filter(|new| **new).count();
        report.codes += new_ones;
        report.repeated += codes.len() - new_ones;
        Ok(())
    }
}

/// The pool that is meant, and its fields.
fn declared(catalog: &Catalog, pool: Option<&str>) -> Result<(Arc<str>, Vec<FieldType>), Failure> {
    let known: Vec<&str> = catalog.pools().map(|(name, _)| name).collect();
    let all = match known.as_slice() {
        [] => "no pool is deployed; declare one with `pool NAME { code: text }`".to_owned(),
        known => format!("there are {}", known.join(", ")),
    };
    let Some(pool) = pool else {
        return Err(Failure::usage("nothing says into which pool the codes go")
            .help(format!("add --pool NAME; {all}")));
    };
    match catalog.endpoints.get(&pool_endpoint(pool)) {
        Some(declared) => Ok((pool.into(), declared.returns.clone())),
        None => Err(Failure::usage(format!("no pool is called `{pool}`")).help(all)),
    }
}

fn columns(header: &ByteRecord, pool: &str, fields: &[FieldType]) -> Result<Columns, Failure> {
    let all: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
    let mut columns = Columns::new();
    for name in header {
        let name = std::str::from_utf8(name).map_err(|_| Failure::usage("the header is not UTF-8"))?;
        let name = name.trim_start_matches('\u{feff}').trim();
        columns.push(fields.iter().find(|field| &*field.name == name).cloned());
    }
    let wanted =
        fields.iter().find(|field| !field.ty.is_optional() && !columns.contains(&Some((*field).clone())));
    match wanted {
        None => Ok(columns),
        Some(field) => Err(Failure::usage(format!("no column is called `{}`", field.name))
            .help(format!("the first line names the fields of `{pool}`: {}", all.join(", ")))),
    }
}

fn code(columns: &Columns, fields: &[FieldType], record: &ByteRecord, zone: &Zone) -> Result<Code, String> {
    if record.len() != columns.len() {
        return Err(format!("{} fields where the header has {}", record.len(), columns.len()));
    }
    let mut values = Fields::new();
    for (field, cell) in columns.iter().zip(record) {
        let Some(FieldType { name, ty }) = field else { continue };
        let cell = std::str::from_utf8(cell)
            .map_err(|_| format!("`{name}` is not UTF-8; save the file as UTF-8"))?;
        let text = cell.trim();
        if text.is_empty() {
            continue;
        }
        let value = value::from_text(ty, text).map_err(|misfit| format!("`{name}`: {}", misfit.message))?;
        values.insert(name.clone(), value);
    }
    let missing = fields.iter().find(|field| !field.ty.is_optional() && !values.contains_key(&field.name));
    if let Some(field) = missing {
        return Err(format!("`{}` is empty", field.name));
    }
    Ok(Code { expires_at: expiry(&values, zone), fields: values })
}

/// The end of the day, or the moment, until which a code is good.
fn expiry(values: &Fields, zone: &Zone) -> Timestamp {
    match values.get(EXPIRES) {
        Some(Value::Date(day)) => zone.start_of(day.plus_days(1)),
        Some(Value::Moment(at)) => *at,
        _ => Timestamp::NEVER,
    }
}
