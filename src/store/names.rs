//! Names of events, steps, journeys, channels and purposes as small integers.
//!
//! Rows carry the integer. A name gets its number when it is first written and keeps it for ever; every process remembers all that
//! it has met. A number given inside a transaction is remembered only after its commit.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::sql::args;
use super::{Arg, Conn, Error, Result, Rows};

/// What this process knows of the table `names`, both ways.
#[derive(Default)]
pub(super) struct Names {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    ids: HashMap<Arc<str>, i64>,
    names: HashMap<i64, Arc<str>>,
}

impl Names {
    /// The number of a name that this process has met.
    pub(super) fn id(&self, name: &str) -> Option<i64> {
        self.known.read().expect("nothing panics while holding it").ids.get(name).copied()
    }

    fn name(&self, id: i64) -> Option<Arc<str>> {
        self.known.read().expect("nothing panics while holding it").names.get(&id).cloned()
    }

    /// Remembers what is committed.
    pub(super) fn learn(&self, fresh: Vec<(Arc<str>, i64)>) {
        if fresh.is_empty() {
            return;
        }
        let mut known = self.known.write().expect("nothing panics while holding it");
        for (name, id) in fresh {
            known.names.insert(id, name.clone());
            known.ids.insert(name, id);
        }
    }
}

/// The number of a name, if it has one.
pub async fn find(conn: &mut Conn, name: &str) -> Result<Option<i64>> {
    if let Some(id) = known(conn, name) {
        return Ok(Some(id));
    }
    let row = conn.fetch_first("SELECT id FROM names WHERE name = $1", args![name]).await?;
    let Some(row) = row else { return Ok(None) };
    let id = row.i64(0)?;
    conn.core.names.learn(vec![(name.into(), id)]);
    Ok(Some(id))
}

/// The number of a name; a new name gets the next one.
pub async fn intern(conn: &mut Conn, name: &Arc<str>) -> Result<i64> {
    const GIVE: &str = "INSERT INTO names (id, name) SELECT COALESCE(MAX(id), 0) + 1, $1 FROM names WHERE true \
        ON CONFLICT DO NOTHING RETURNING id";
    loop {
        if let Some(id) = find(conn, name).await? {
            return Ok(id);
        }
        // No row: somebody else gave this name a number, or took the number, in the same moment.
        if let Some(row) = conn.fetch_first(GIVE, args![name]).await? {
            let id = row.i64(0)?;
            conn.fresh_names.push((name.clone(), id));
            return Ok(id);
        }
    }
}

/// The name of each number.
pub async fn spell(conn: &mut Conn, ids: impl IntoIterator<Item = i64>) -> Result<HashMap<i64, Arc<str>>> {
    let mut spelled = HashMap::new();
    let mut unknown = Rows::default();
    for id in ids {
        match conn.core.names.name(id) {
            Some(name) => _ = spelled.insert(id, name),
            None => unknown.push([Arg::I64(id)]),
        }
    }
    const SPELL: &str =
        "WITH n(id) AS ({I}) SELECT names.id, names.name FROM n CROSS JOIN names WHERE names.id = n.id";
    for row in conn.fetch_rows(SPELL, unknown, &[]).await? {
        spelled.insert(row.i64(0)?, row.text(1)?.into());
    }
    Ok(spelled)
}

/// The name of a number that must have one.
pub(super) fn spelled(names: &HashMap<i64, Arc<str>>, id: i64) -> Result<Arc<str>> {
    let missing = || Error::Unreadable { what: "name", why: format!("number {id} has none") };
    names.get(&id).cloned().ok_or_else(missing)
}

fn known(conn: &Conn, name: &str) -> Option<i64> {
    let fresh = || conn.fresh_names.iter().find(|(fresh, _)| &**fresh == name).map(|(_, id)| *id);
    conn.core.names.id(name).or_else(fresh)
}
