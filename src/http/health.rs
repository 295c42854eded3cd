//! Whether it lives, whether it can work, and what it counts.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Doors;
use super::problem::Problem;
use crate::store::{backlog, jobs, schedules};
use crate::time::Timestamp;

/// `GET /healthz`: the process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers too.
pub async fn ready(State(doors): State<Doors>) -> Result<&'static str, Problem> {
    let mut conn = doors.store.read().await?;
    backlog::backlog(&mut conn, doors.clock.now()).await?;
    Ok("ready\n")
}

/// `GET /metrics`: counters of this process, and the backlog as the database knows it at this moment.
pub async fn metrics(State(doors): State<Doors>) -> Response {
    let now = doors.clock.now();
    let look = async {
        let schedule = schedules::look(&doors.store, now).await?;
        let mut conn = doors.store.read().await?;
        let jobs = jobs::unfinished(&mut conn).await?;
        Ok::<_, crate::store::Error>((backlog::backlog(&mut conn, now).await?, schedule, jobs))
    };
    match look.await {
        Ok((backlog, schedule, jobs)) => {
            let firings = i64::try_from(schedule.due.len()).unwrap_or(i64::MAX);
            for (kind, count) in [
                ("inbox", backlog.inbox),
                ("due", backlog.due),
                ("queued", backlog.queued),
                ("leased", backlog.leased),
                ("jobs", jobs),
                ("firings", firings),
            ] {
                metrics::gauge!("fahrplan_backlog", "kind" => kind).set(as_f64(count));
            }
            let next = backlog.next_due.unwrap_or(Timestamp::NEVER).min(schedule.next);
            metrics::gauge!("fahrplan_next_due_ms").set(if next == Timestamp::NEVER {
                0.0
            } else {
                as_f64(next.0)
            });
            metrics::gauge!("fahrplan_journey_time_ms").set(as_f64(now.0));
        }
        Err(error) => tracing::warn!(error = %error, "the backlog cannot be read"),
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
