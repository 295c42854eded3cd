//! Rows that are only inserted, few and many: what was put in is what is there, on both databases and in both ways.

use fahrplan::store::{Arg, Rows, Store};

use super::on_all;

const INSERT: &str = "INSERT INTO keys (prefix, hash, name, scopes, created_at, expires_at) {TBTTII}";

/// Texts and bytes that mean something to those who carry them.
fn awkward(number: i64) -> [Arg; 6] {
    let texts = ["", "\\N", "\\.", "a\tb\nc\r\\", "\"quoted\", 'too'", "Grüße, 世界 🎂", "{1,2}", "NULL"];
    let place = usize::try_from(number).expect("not negative");
    let bytes = [vec![], vec![0], vec![255, 0, 92, 10, 9], b"PGCOPY\n\xff\r\n\0".to_vec()];
    [
        format!("{number}").into(),
        bytes[place % bytes.len()].clone().into(),
        texts[place % texts.len()].into(),
        std::sync::Arc::<str>::from(texts[(place + 3) % texts.len()]).into(),
        [0, -1, i64::MAX, i64::MIN, number][place % 5].into(),
        if place.is_multiple_of(2) { Arg::NoI64 } else { number.into() },
    ]
}

async fn put(store: &Store, numbers: std::ops::Range<i64>) -> Result<u64, fahrplan::store::Error> {
    let mut rows = Rows::default();
    numbers.for_each(|number| rows.push(awkward(number)));
    let mut tx = store.write().await.expect("a transaction");
    let changed = tx.exec_rows(INSERT, rows, &[]).await?;
    tx.commit().await.map(|()| changed)
}

#[test]
fn what_is_put_in_is_there_however_many_rows_go_together() {
    on_all(async |database| {
        let store = database.open().await;
        let (few, many) = (0..7_i64, 7..6_007_i64);
        assert_eq!(put(&store, few).await.expect("written"), 7);
        assert_eq!(put(&store, many).await.expect("written"), 6_000);
        assert_eq!(put(&store, 0..0).await.expect("nothing to write"), 0);
        let mut conn = store.read().await.expect("a connection");
        const ALL: &str = "SELECT prefix, hash, name, scopes, created_at, expires_at FROM keys";
        let rows = conn.fetch(ALL, Vec::new()).await.expect("read");
        assert_eq!(rows.len(), 6_007);
        for row in &rows {
            let number = row.text(0).expect("a text").parse().expect("a number");
            let found: [Arg; 6] = [
                row.text(0).expect("a text").into(),
                row.blob(1).expect("bytes").to_vec().into(),
                row.text(2).expect("a text").into(),
                std::sync::Arc::<str>::from(row.text(3).expect("a text")).into(),
                row.i64(4).expect("a number").into(),
                row.opt_i64(5).expect("a number or none").into(),
            ];
            assert_eq!(format!("{found:?}"), format!("{:?}", awkward(number)));
        }
    });
}

#[test]
fn one_row_that_is_there_already_keeps_all_out() {
    on_all(async |database| {
        let store = database.open().await;
        put(&store, 100..101).await.expect("written");
        put(&store, 0..6_000).await.expect_err("one of them is there");
        let mut conn = store.read().await.expect("a connection");
        let count = conn.fetch_number("SELECT COUNT(*) FROM keys", Vec::new()).await.expect("counted");
        assert_eq!(count, 1);
    });
}
