//! Counts for each step of each program: how many rest there, entered, left, reached a goal. Kept as transitions happen, so that
//! showing them costs nothing.

use std::collections::BTreeMap;

use super::{Arg, Conn, Result, Rows, names};
use crate::engine::program::{Program, StepIx, Word};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Rest at the step of that name, at present.
    Resting = 0,
    /// Entered, ever; without a name.
    Entered = 1,
    /// Left with that reason, ever.
    Exited = 2,
    /// Reached the goal of that name, ever.
    Goal = 3,
}

impl Counted {
    const ALL: [Counted; 4] = [Counted::Resting, Counted::Entered, Counted::Exited, Counted::Goal];
}

/// What a batch of transitions adds.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<(i64, Counted, i64), i64>);

impl Counts {
    pub(super) fn entered(&mut self, program: i64) {
        self.add(program, Counted::Entered, 0, 1);
    }

    pub(super) fn exited(&mut self, program: i64, reason: i64) {
        self.add(program, Counted::Exited, reason, 1);
    }

    pub(super) fn goal(&mut self, program: i64, name: i64) {
        self.add(program, Counted::Goal, name, 1);
    }

    /// One enrollment rests elsewhere than before.
    pub(super) async fn rest(
        &mut self,
        tx: &mut Conn,
        number: i64,
        program: &Program,
        before: Option<StepIx>,
        after: Option<StepIx>,
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        for (step, by) in [(before, -1), (after, 1)] {
            if let Some(step) = step.and_then(|step| program.steps.get(usize::from(step))) {
                let name = names::intern(tx, &step.id).await?;
                self.add(number, Counted::Resting, name, by);
            }
        }
        Ok(())
    }

    fn add(&mut self, program: i64, what: Counted, name: i64, by: i64) {
        *self.0.entry((program, what, name)).or_default() += by;
    }

    /// Writes them.
    pub(super) async fn write(self, tx: &mut Conn, bucket: i64) -> Result<()> {
        const ADD: &str = "INSERT INTO step_counts (bucket, program, kind, name, count) {IIIII} \
            ON CONFLICT (bucket, program, kind, name) DO UPDATE SET count = step_counts.count + excluded.count";
        let mut rows = Rows::with_capacity(self.0.len() * 5);
        for ((program, what, name), by) in self.0.into_iter().filter(|(_, by)| *by != 0) {
            rows.push([bucket.into(), program.into(), Arg::I64(what as i64), name.into(), by.into()]);
        }
        tx.exec_rows(ADD, rows, &[]).await?;
        Ok(())
    }
}

/// One number that `status` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The number of the program.
    pub program: i64,
    pub what: Counted,
    /// The step, reason or goal; empty for entries.
    pub name: Word,
    pub count: i64,
}

/// How many rest in each program, by its number.
pub(super) async fn resting(conn: &mut Conn) -> Result<Vec<(i64, i64)>> {
    const RESTING: &str =
        "SELECT program, CAST(SUM(count) AS BIGINT) FROM step_counts WHERE kind = $1 GROUP BY program";
    let rows = conn.fetch(RESTING, vec![Arg::I64(Counted::Resting as i64)]).await?;
    rows.iter().map(|row| Ok((row.i64(0)?, row.i64(1)?))).collect()
}

/// All counts over all buckets, by program.
pub async fn all(conn: &mut Conn) -> Result<Vec<Count>> {
    const ALL: &str = "SELECT program, kind, name, CAST(SUM(count) AS BIGINT) FROM step_counts \
        GROUP BY program, kind, name ORDER BY program, kind, name";
    let rows = conn.fetch(ALL, Vec::new()).await?;
    let mut ids = Vec::new();
    for row in &rows {
        ids.push(row.i64(2)?);
    }
    let words = names::spell(conn, ids.into_iter().filter(|id| *id != 0)).await?;
    let mut counts = Vec::with_capacity(rows.len());
    for row in &rows {
        let kind = row.i64(1)?;
        let Some(what) = Counted::ALL.into_iter().find(|what| *what as i64 == kind) else { continue };
        let name = if row.i64(2)? == 0 { "".into() } else { names::spelled(&words, row.i64(2)?)? };
        counts.push(Count { program: row.i64(0)?, what, name, count: row.i64(3)? });
    }
    Ok(counts)
}
