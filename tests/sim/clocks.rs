//! Clocks that are put back, where a seed would seldom come.

use fahrplan::clock;
use fahrplan::intake::Who;
use fahrplan::store::Store;
use fahrplan::store::inbox::{Accepted, Incoming, To};
use fahrplan::time::{SECOND, Timestamp};

use crate::gate::Gate;
use crate::place::{self, Place};
use crate::plan::{Item, What};

async fn send(store: &Store, now: Timestamp) -> Accepted {
    let item =
        Item { at: now, who: 0, number: 1, what: What::Event { name: "ping", order: None, before: 0 } };
    clock::stand_at(Some(now));
    let who = Who { user_id: Some("u0".to_owned()), ..Who::default() };
    let incoming =
        Incoming { to: To::Who(who), message_id: Some(item.message_id()), input: item.input(0, now) };
    store.accept(vec![incoming], now).await.expect("accepted")[0]
}

#[test]
fn a_message_id_is_known_to_a_clock_that_is_behind_the_end_of_its_week() {
    let runtime = crate::runtime();
    runtime.block_on(async {
        let mut place = Place::files();
        let url = place.fresh(0, 1).await;
        let gate = Gate::new(tokio::sync::mpsc::unbounded_channel().0);
        gate.open(true);
        let store = place::open(&url, gate).await;
        // Weeks of message ids begin on Thursday, at midnight UTC.
        let midnight: Timestamp = "2026-05-07T00:00:00Z".parse().expect("a moment");
        assert!(matches!(send(&store, midnight.plus_ms(SECOND)).await, Accepted::Taken(_)));
        assert_eq!(send(&store, midnight.plus_ms(-SECOND)).await, Accepted::Repeated);
        store.close().await;
        clock::stand_at(None);
    });
}
