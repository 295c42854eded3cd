//! The queue of tasks over many buckets: what comes first, first, however unevenly it is spread.

use fahrplan::engine::world::NewTask;
use fahrplan::id::{ContactId, EnrollmentId, TaskId};
use fahrplan::store::Store;
use fahrplan::store::tasks::{self, Now};
use fahrplan::time::{DAY, Timestamp};

use super::on_all;

const TASKS: i64 = 120;

/// Tasks that expire one after the other: the first quarter in one bucket, the others over all; every third is of another team.
async fn fill(store: &Store, now: Timestamp) -> Vec<(TaskId, &'static str)> {
    let buckets = store.settings().buckets;
    let mut tx = store.write().await.expect("a transaction");
    let mut all = Vec::new();
    for number in 0..TASKS {
        let team = if number % 3 == 0 { "sales" } else { "service" };
        let task = NewTask {
            id: TaskId(store.new_id()),
            enrollment: EnrollmentId(number),
            journey: "j".into(),
            step: "talk".into(),
            round: 0,
            verb: "call".into(),
            task: "call".into(),
            team: team.into(),
            with: Default::default(),
            due_at: now,
            // Some in the same moment.
            expires_at: now.plus_ms(DAY + number / 2),
        };
        let bucket = if number < TASKS / 4 { buckets - 1 } else { number * 7 % buckets };
        tasks::insert(&mut tx, bucket, &[(ContactId(number), &task)]).await.expect("there");
        all.push((task.id, team));
    }
    tx.commit().await.expect("committed");
    all
}

#[test]
fn the_first_tasks_of_all_buckets_come_first() {
    on_all(async |database| {
        let store = database.open().await;
        let now = Now::at("2026-05-04T10:00:00Z".parse().expect("a moment"));
        let all = fill(&store, now.journey).await;
        for team in [None, Some("sales"), Some("service")] {
            let of_team: Vec<TaskId> =
                all.iter().filter(|(_, of)| team.is_none_or(|team| team == *of)).map(|(id, _)| *id).collect();
            for limit in [1_u32, 7, 20, 31, 60, 119, 120, 500] {
                let mut conn = store.read().await.expect("a connection");
                let found = tasks::queue(&mut conn, team, "Ana", now, limit).await.expect("listed");
                let found: Vec<TaskId> = found.iter().map(|task| task.work.id).collect();
                let wanted = &of_team[..of_team.len().min(limit as usize)];
                assert_eq!(found, wanted, "{limit} of {team:?}");
            }
        }
    });
}
