//! How many deliveries there are of each kind.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::program::Word;
use crate::store::names::{self, spelled};
use crate::store::{Arg, Conn, Result, Row, Rows};

/// The state under which everything that was ever queued is counted.
pub(super) const MADE: &str = "made";

/// New and settled deliveries to be added to the counters, in the order of their key, so that no two transactions wait for each other.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<(i64, i64, i64, i64, &'static str), i64>);

impl Counts {
    pub(super) fn add(
        &mut self,
        bucket: i64,
        journey: i64,
        channel: i64,
        template: i64,
        state: &'static str,
    ) {
        *self.0.entry((bucket, journey, channel, template, state)).or_default() += 1;
    }

    /// One that was settled is open again.
    pub(super) fn take_back(
        &mut self,
        bucket: i64,
        journey: i64,
        channel: i64,
        template: i64,
        state: &'static str,
    ) {
        *self.0.entry((bucket, journey, channel, template, state)).or_default() -= 1;
    }

    pub(super) async fn write(self, tx: &mut Conn) -> Result<()> {
        const ADD: &str = "INSERT INTO delivery_counts (bucket, journey, channel, template, state, count) {IIIITI} \
            ON CONFLICT (bucket, journey, channel, template, state) \
            DO UPDATE SET count = delivery_counts.count + excluded.count";
        let mut rows = Rows::with_capacity(self.0.len() * 6);
        for ((bucket, journey, channel, template, state), count) in self.0 {
            let state = Arg::from(state);
            rows.push([bucket.into(), journey.into(), channel.into(), template.into(), state, count.into()]);
        }
        tx.exec_rows(ADD, rows, &[]).await?;
        Ok(())
    }
}

/// How many deliveries were ever queued.
pub async fn made(conn: &mut Conn) -> Result<i64> {
    const MADE: &str =
        "SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT) FROM delivery_counts WHERE state = 'made'";
    conn.fetch_number(MADE, Vec::new()).await
}

/// How many deliveries of one kind there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub journey: Word,
    /// [`super::REQUEST`] for requests.
    pub channel: Word,
    pub template: Word,
    /// `queued leased deferred waiting batched accepted refused cancelled unknown`; `clicked` counts those accepted ones that were clicked.
    pub state: String,
    pub count: i64,
}

/// How many deliveries of a journey on a channel came to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub journey: Word,
    /// [`super::REQUEST`] for requests.
    pub channel: Word,
    /// `accepted refused cancelled`; `open`: nothing yet; `clicked` counts those accepted ones that were clicked.
    pub state: String,
    pub count: i64,
}

/// What came of all deliveries, from their counters alone: it takes no longer the more there are.
pub async fn results(conn: &mut Conn) -> Result<Vec<Outcome>> {
    const RESULTS: &str = "SELECT journey, channel, state, CAST(SUM(count) AS BIGINT) FROM delivery_counts \
        GROUP BY journey, channel, state";
    let (mut found, mut open) = (Vec::new(), BTreeMap::new());
    for row in conn.fetch(RESULTS, Vec::new()).await? {
        let (journey, channel, state, count) =
            (row.i64(0)?, row.i64(1)?, row.text(2)?.to_owned(), row.i64(3)?);
        match &*state {
            MADE => *open.entry((journey, channel)).or_default() += count,
            "clicked" => {}
            _ => *open.entry((journey, channel)).or_default() -= count,
        }
        if state != MADE {
            found.push((journey, channel, state, count));
        }
    }
    found.extend(
        open.into_iter().map(|((journey, channel), count)| (journey, channel, "open".to_owned(), count)),
    );
    found.retain(|(.., count)| *count != 0);
    let words =
        names::spell(conn, found.iter().flat_map(|(journey, channel, ..)| [*journey, *channel])).await?;
    let outcome = |(journey, channel, state, count): (i64, i64, String, i64)| {
        Ok(Outcome { journey: spelled(&words, journey)?, channel: spelled(&words, channel)?, state, count })
    };
    found.into_iter().map(outcome).collect()
}

/// All deliveries by journey, channel, template and state. Exact: unfinished ones are counted in their indexes, settled ones were
/// counted when they were.
pub async fn counts(conn: &mut Conn) -> Result<Vec<Count>> {
    const COUNTS: &str = "SELECT journey, channel, template, state, CAST(SUM(count) AS BIGINT) FROM ( \
        SELECT journey, channel, template, state, count FROM delivery_counts WHERE state <> 'made' \
        UNION ALL SELECT journey, channel, template, state, COUNT(*) FROM deliveries WHERE state = 'queued' \
            GROUP BY journey, channel, template, state \
        UNION ALL SELECT journey, channel, template, state, COUNT(*) FROM deliveries WHERE again_at IS NOT NULL \
            GROUP BY journey, channel, template, state \
        UNION ALL SELECT journey, channel, template, state, COUNT(*) FROM deliveries WHERE state = 'unknown' \
            GROUP BY journey, channel, template, state \
        UNION ALL SELECT journey, channel, template, state, COUNT(*) FROM deliveries \
            WHERE batch IS NOT NULL AND settled_at IS NULL GROUP BY journey, channel, template, state \
        ) AS counted GROUP BY journey, channel, template, state HAVING SUM(count) <> 0";
    let rows = conn.fetch(COUNTS, Vec::new()).await?;
    let mut words = BTreeSet::new();
    for row in &rows {
        words.extend([row.i64(0)?, row.i64(1)?, row.i64(2)?]);
    }
    let words = names::spell(conn, words).await?;
    let count = |row: Row| {
        Ok(Count {
            journey: spelled(&words, row.i64(0)?)?,
            channel: spelled(&words, row.i64(1)?)?,
            template: spelled(&words, row.i64(2)?)?,
            state: row.text(3)?.to_owned(),
            count: row.i64(4)?,
        })
    };
    let mut counts: Vec<Count> = rows.into_iter().map(count).collect::<Result<_>>()?;
    counts.sort_by(|a, b| {
        (&a.journey, &a.channel, &a.template, &a.state).cmp(&(&b.journey, &b.channel, &b.template, &b.state))
    });
    Ok(counts)
}
