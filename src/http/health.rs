//! Whether it lives, whether it can work, and what it counts.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Doors;
use super::problem::Problem;
use crate::store::{Error, backlog, jobs, schedules};
use crate::time::Timestamp;

/// What may wait.
const BACKLOG: [&str; 6] = ["inbox", "due", "queued", "leased", "jobs", "firings"];

/// `GET /healthz`: the process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whoever asks how we are gives up after a few seconds, so the answer comes before.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /readyz`: the database answers and takes what is written, and this machine's clock is the database's.
pub async fn ready(State(doors): State<Doors>) -> Result<&'static str, Problem> {
    doors.store.answers(PATIENCE).await.map_err(|error| away(&error))?;
    if let Some(ahead_ms) = doors.store.clock_error() {
        let why = Error::Clock { ahead_ms }.to_string();
        return Err(unready("clock-wrong", why));
    }
    if let Some(why) = doors.store.refuses_writes() {
        return Err(unready("database-full", why));
    }
    Ok("ready\n")
}

fn away(error: &Error) -> Problem {
    unready("database-away", error.to_string())
}

fn unready(code: &'static str, why: String) -> Problem {
    tracing::warn!(why, "not ready");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, why);
    Problem { retry_after: Some(1), ..problem }
}

/// `GET /metrics`: counters of this process, and the backlog as the database knows it at this moment. They are readable without a
/// database too: then is when they are needed, and `fahrplan_database_up` says so.
pub async fn metrics(State(doors): State<Doors>) -> Response {
    let now = doors.clock.now();
    let look = async {
        let schedule = schedules::look(&doors.store, now).await?;
        let mut conn = doors.store.read().await?;
        let jobs = jobs::unfinished(&mut conn).await?;
        Ok::<_, Error>((backlog::backlog(&mut conn, now).await?, schedule, jobs))
    };
    let looked = tokio::time::timeout(PATIENCE, look).await;
    let looked = looked.unwrap_or(Err(Error::Silent(PATIENCE)));
    metrics::gauge!("fahrplan_database_up").set(if looked.is_ok() { 1.0 } else { 0.0 });
    match looked {
        Ok((backlog, schedule, jobs)) => {
            let firings = i64::try_from(schedule.due.len()).unwrap_or(i64::MAX);
            let counts = [backlog.inbox, backlog.due, backlog.queued, backlog.leased, jobs, firings];
            for (kind, count) in BACKLOG.into_iter().zip(counts) {
                metrics::gauge!("fahrplan_backlog", "kind" => kind).set(as_f64(count));
            }
            let next = backlog.next_due.unwrap_or(Timestamp::NEVER).min(schedule.next);
            metrics::gauge!("fahrplan_next_due_ms").set(if next == Timestamp::NEVER {
                0.0
            } else {
                as_f64(next.0)
            });
            metrics::gauge!("fahrplan_journey_time_ms").set(as_f64(now.0));
            let late = [
                ("fahrplan_lateness_seconds", backlog.next_timer),
                ("fahrplan_oldest_queued_seconds", backlog.next_message),
            ];
            for (name, oldest) in late {
                let ms = oldest.filter(|at| *at < now).map_or(0, |at| now.0 - at.0);
                metrics::gauge!(name).set(as_f64(ms) / 1_000.0);
            }
        }
        Err(error) => {
            tracing::warn!(error = %error, "the backlog cannot be read");
            // What nobody knows is not what it was.
            for kind in BACKLOG {
                metrics::gauge!("fahrplan_backlog", "kind" => kind).set(f64::NAN);
            }
            for name in
                ["fahrplan_next_due_ms", "fahrplan_lateness_seconds", "fahrplan_oldest_queued_seconds"]
            {
                metrics::gauge!(name).set(f64::NAN);
            }
        }
    }
    let body = doors.metrics.render();
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body)
        .into_response()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; 53 bits hold every count and time we have"
)]
fn as_f64(n: i64) -> f64 {
    n as f64
}
