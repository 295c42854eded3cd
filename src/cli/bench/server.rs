//! A PostgreSQL server under measurement: a schema for each run, so that runs do not meet, and what its processes have cost.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::super::{Failure, world};
use super::engine::ticks;
use crate::clock::machine_now;

/// A schema of its own on a server.
pub(super) struct Server {
    base: String,
    schema: String,
    /// The first process of the server, if it runs on this machine.
    first: Option<u64>,
}

impl Server {
    /// Makes the schema; `None`: the URL is not one of PostgreSQL.
    pub(super) async fn prepare(url: &str) -> Result<Option<Server>, Failure> {
        if !url.starts_with("postgres") {
            return Ok(None);
        }
        let schema = format!("bench_{}_{}", std::process::id(), machine_now().0);
        let mut conn = PgConnection::connect(url).await.map_err(world)?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .execute(&mut conn)
            .await
            .map_err(world)?;
        let own: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut conn).await.map_err(world)?;
        let name = std::fs::read_to_string(format!("/proc/{own}/comm")).unwrap_or_default();
        let first = stat(&own.to_string()).filter(|_| name.starts_with("postgres")).map(|stat| stat.parent);
        let _ = conn.close().await;
        Ok(Some(Server { base: url.to_owned(), schema, first }))
    }

    /// The URL of the schema.
    pub(super) fn url(&self) -> String {
        let mark = if self.base.contains('?') { '&' } else { '?' };
        format!("{}{mark}options=-c%20search_path%3D{}", self.base, self.schema)
    }

    /// CPU of all processes of the server since it was started.
    pub(super) fn cpu_ms(&self) -> Option<u64> {
        let first = self.first?;
        let running = std::fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            stat(name.to_str()?).filter(|stat| stat.parent == first).map(|stat| stat.own)
        });
        let running: u64 = running.sum();
        let stat = stat(&first.to_string())?;
        Some(stat.own + stat.children + running)
    }

    /// Removes what the run has left.
    pub(super) async fn remove(&self) -> Result<(), Failure> {
        let mut conn = PgConnection::connect(&self.base).await.map_err(world)?;
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut conn).await.map_err(world)?;
        let _ = conn.close().await;
        Ok(())
    }
}

struct Stat {
    parent: u64,
    /// CPU in milliseconds, own and of children that have ended.
    own: u64,
    children: u64,
}

fn stat(pid: &str) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(Stat { parent, own: ticks(&stat, 11), children: ticks(&stat, 13) })
}
