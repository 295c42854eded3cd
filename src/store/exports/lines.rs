//! The lines of a batch to which no more come, in the order in which they are told: those who go, then those who come, each sorted by
//! their bytes, whatever buckets they are in. It tells nothing of the contacts behind them.
//!
//! They are read a page of each bucket at a time, so that an audience of any size takes little memory, and whoever has told some of them
//! reads on from there.

use std::collections::VecDeque;

use crate::store::sql::args;
use crate::store::{Conn, Result};

/// Lines of one list that are in memory, of all buckets together.
const READ: i64 = 4_000;
/// The fewest of one bucket that are read together.
const FEWEST: i64 = 16;

/// What a network is told of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub comes: bool,
    /// The hashes.
    pub text: String,
}

/// How much there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    pub added: usize,
    pub removed: usize,
    /// The last of those that are told already, if any is.
    pub after: Option<Line>,
}

/// Reads them.
pub struct Lines {
    going: List,
    /// Those who come, looked at beside those who go: whom another contact has brought back at once does not go.
    back: List,
    coming: List,
}

impl Lines {
    /// The lines of a batch, from the first on or behind that one.
    pub fn of(conn: &Conn, batch: i64, after: Option<&Line>) -> Lines {
        let buckets = conn.core.settings().buckets;
        let list = |added: i64, after: Option<&str>| List::new(buckets, (batch, added), after);
        match after {
            None => Lines { going: list(0, Some("")), back: list(1, Some("")), coming: list(1, Some("")) },
            Some(Line { comes: false, text }) => {
                Lines { going: list(0, Some(text)), back: list(1, Some(text)), coming: list(1, Some("")) }
            }
            Some(Line { comes: true, text }) => {
                Lines { going: list(0, None), back: list(1, None), coming: list(1, Some(text)) }
            }
        }
    }

    /// The next one; any connection will do.
    pub async fn next(&mut self, conn: &mut Conn) -> Result<Option<Line>> {
        while let Some(text) = self.going.next(conn).await? {
            if !self.back.has(conn, &text).await? {
                return Ok(Some(Line { comes: false, text }));
            }
        }
        Ok(self.coming.next(conn).await?.map(|text| Line { comes: true, text }))
    }
}

/// Counts the lines of a batch, of which so many are told.
pub async fn measure(conn: &mut Conn, batch: i64, told: usize) -> Result<Measure> {
    let mut lines = Lines::of(conn, batch, None);
    let mut measure = Measure { added: 0, removed: 0, after: None };
    while let Some(line) = lines.next(conn).await? {
        *if line.comes { &mut measure.added } else { &mut measure.removed } += 1;
        if measure.added + measure.removed == told {
            measure.after = Some(line);
        }
    }
    Ok(measure)
}

/// Those who go, or those who come, of all buckets.
struct List {
    /// The batch, and which of the two.
    of: (i64, i64),
    /// Lines that are read together of one bucket.
    page: i64,
    buckets: Vec<Bucket>,
}

struct Bucket {
    number: i64,
    /// What was read last.
    last: String,
    read: VecDeque<String>,
    is_over: bool,
}

impl List {
    /// Those behind that line; `None`: none of them.
    fn new(buckets: i64, of: (i64, i64), after: Option<&str>) -> List {
        let bucket = |number| Bucket {
            number,
            last: after.unwrap_or_default().to_owned(),
            read: VecDeque::new(),
            is_over: after.is_none(),
        };
        List { of, page: (READ / buckets.max(1)).max(FEWEST), buckets: (0..buckets).map(bucket).collect() }
    }

    /// The first one, which stays.
    async fn first(&mut self, conn: &mut Conn) -> Result<Option<&str>> {
        for bucket in &mut self.buckets {
            if bucket.read.is_empty() && !bucket.is_over {
                bucket.read(conn, self.of, self.page).await?;
            }
        }
        Ok(self.buckets.iter().filter_map(|bucket| bucket.read.front()).min().map(String::as_str))
    }

    /// Takes the first one out of all buckets that have it.
    async fn next(&mut self, conn: &mut Conn) -> Result<Option<String>> {
        let Some(first) = self.first(conn).await?.map(str::to_owned) else { return Ok(None) };
        for bucket in &mut self.buckets {
            if bucket.read.front() == Some(&first) {
                bucket.read.pop_front();
            }
        }
        Ok(Some(first))
    }

    /// Whether it is among them. Who asks for several begins with the first.
    async fn has(&mut self, conn: &mut Conn, text: &str) -> Result<bool> {
        while let Some(first) = self.first(conn).await? {
            if first >= text {
                return Ok(first == text);
            }
            self.next(conn).await?;
        }
        Ok(false)
    }
}

impl Bucket {
    async fn read(&mut self, conn: &mut Conn, (batch, added): (i64, i64), page: i64) -> Result<()> {
        const PAGE: &str = "SELECT line FROM audience_lines WHERE bucket = $1 AND batch = $2 AND added = $3 \
            AND line {in bytes} > $4 ORDER BY line {in bytes} LIMIT $5";
        let rows = conn.fetch(PAGE, args![self.number, batch, added, self.last.as_str(), page]).await?;
        self.is_over = i64::try_from(rows.len()).unwrap_or(i64::MAX) < page;
        for row in &rows {
            self.read.push_back(row.text(0)?.to_owned());
        }
        if let Some(last) = self.read.back() {
            self.last.clone_from(last);
        }
        Ok(())
    }
}
