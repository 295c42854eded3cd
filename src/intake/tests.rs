use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::segment::occurred_at;
use super::*;
use crate::engine::program::{Attribute, Catalog, Event};
use crate::time::Calendar;
use crate::value::{FieldType, Type};

fn catalog() -> Catalog {
    let field = |name: &str, ty: Type| FieldType { name: name.into(), ty };
    let event = Event {
        fields: vec![field("order_id", Type::Id), field("value", Type::Decimal(None))],
        dedupe: None,
        aliases: vec!["Order Completed".into()],
        keep: Calendar::days(400),
        late_after: Calendar::days(3),
    };
    let attribute = |name: &str, ty: Type| Attribute {
        name: name.into(),
        ty,
        default: Value::Unknown,
        unique: false,
        pii: false,
    };
    Catalog {
        zone: "Europe/Berlin".into(),
        locale: "de".into(),
        attributes: vec![
            attribute("email", Type::Email.optional()),
            attribute("first_name", Type::Text.optional()),
            attribute("last_name", Type::Text.optional()),
            attribute("age", Type::Optional(Arc::new(Type::Number(None)))),
        ],
        events: [(Word::from("order_placed"), event)].into(),
        ..Catalog::empty()
    }
}

fn read(json: Json) -> Result<Read, Rejected> {
    let clocks = Clocks { sent_at: None, received_at: Timestamp(1_000_000_000) };
    read_item(&catalog(), &json, None, clocks)
}

#[test]
fn an_event_is_known_by_its_alias_and_its_money_is_exact() {
    let json = json!({ "type": "track", "userId": 7, "event": "Order Completed", "properties": { "order_id": "o", "value": 19.9 } });
    let item = read(json).expect("reads").item;
    assert_eq!(item.who.user_id.as_deref(), Some("7"));
    let Act::Event { name, fields, .. } = item.what else { panic!("an event") };
    assert_eq!((&*name, fields["value"].to_json()), ("order_placed", json!("19.90")));
}

#[test]
fn bad_items_say_what_is_wrong() {
    let cases = [
        (json!([1]), "not-an-object"),
        (json!({ "userId": "a" }), "no-type"),
        (json!({ "type": "track", "event": "order_placed" }), "missing-field"),
        (json!({ "type": "track", "userId": "a", "event": "order_plced" }), "unknown-event"),
        (
            json!({ "type": "track", "userId": "a", "event": "order_placed", "properties": { "order_id": "o", "value": "x" } }),
            "wrong-type",
        ),
        (
            json!({ "type": "track", "event": "order_placed", "properties": { "order_id": "o", "value": 1 } }),
            "no-identity",
        ),
        (json!({ "type": "track", "userId": "a\r\nBcc: x", "event": "order_placed" }), "bad-identity"),
        (json!({ "type": "pages", "userId": "a" }), "unknown-type"),
        (json!({ "type": "identify", "userId": "a", "traits": [{ "firstName": "Ada" }] }), "wrong-type"),
        (json!({ "type": "identify", "userId": "a", "traits": "firstName" }), "wrong-type"),
        (json!({ "type": "group", "userId": "a", "groupId": "g", "traits": ["gold"] }), "wrong-type"),
        (json!({ "type": "alias", "userId": "a" }), "no-previous-id"),
        (json!({ "type": "alias", "previousId": "a" }), "no-identity"),
    ];
    for (json, code) in cases {
        assert_eq!(read(json.clone()).expect_err("is refused").code, code, "{json}");
    }
}

#[test]
fn a_bad_trait_does_not_lose_the_others() {
    let json = json!({ "type": "identify", "anonymousId": "x", "traits":
        { "firstName": "Ada", "last_name": "Love\r\nBcc: x@example.org", "age": "old", "email": "ada@example.org" } });
    let read = read(json).expect("reads");
    assert_eq!(read.rejected.iter().map(|(_, r)| r.code).collect::<Vec<_>>(), ["wrong-type", "bad-text"]);
    assert_eq!(read.item.who.email.as_deref(), Some("ada@example.org"));
    let Act::Attributes(values) = read.item.what else { panic!("attributes") };
    assert_eq!(values["first_name"], Value::text("Ada"));
}

#[test]
fn a_client_clock_that_is_wrong_is_mended_and_the_future_is_clamped() {
    let clocks = Clocks { sent_at: Some(Timestamp(0)), received_at: Timestamp(10_000_000) };
    let item = json!({ "timestamp": "1970-01-01T00:00:00Z" });
    assert_eq!(occurred_at(item.as_object().expect("object"), clocks), Ok(Timestamp(10_000_000)));
    let item = json!({ "timestamp": "2070-01-01T00:00:00Z" });
    let clocks = Clocks { sent_at: None, received_at: Timestamp(10_000_000) };
    assert_eq!(occurred_at(item.as_object().expect("object"), clocks), Ok(Timestamp(10_300_000)));
}

#[test]
fn views_are_events_where_the_schema_says_so() {
    let mut catalog = catalog();
    let viewed = Event {
        fields: vec![
            FieldType { name: "name".into(), ty: Type::Text },
            FieldType { name: "path".into(), ty: Type::Text.optional() },
        ],
        dedupe: None,
        aliases: vec!["Viewed Prices Page".into()],
        keep: Calendar::days(30),
        late_after: Calendar::days(3),
    };
    catalog.events.insert("prices_viewed".into(), viewed.clone());
    let clocks = Clocks { sent_at: None, received_at: Timestamp(1_000_000_000) };
    let read = |catalog: &Catalog, json: Json| read_item(catalog, &json, None, clocks).expect("reads").item;
    let page =
        |name: &str| json!({ "type": "page", "userId": "a", "name": name, "properties": { "path": "/p" } });
    let Act::Event { name, fields, .. } = read(&catalog, page("Prices")).what else { panic!("an event") };
    assert_eq!(
        (&*name, &fields["name"], &fields["path"]),
        ("prices_viewed", &Value::text("Prices"), &Value::text("/p"))
    );
    // A page that is called as an event is called is a page all the same: whoever sees the thanks has not ordered again.
    assert_eq!(read(&catalog, page("Order Completed")).what, Act::Nothing);
    let screen = json!({ "type": "screen", "userId": "a", "name": "Prices" });
    assert_eq!(read(&catalog, screen.clone()).what, Act::Nothing);
    catalog.events.insert("screen".into(), Event { aliases: Vec::new(), ..viewed });
    assert!(matches!(read(&catalog, screen).what, Act::Event { name, .. } if &*name == "screen"));
}

#[test]
fn a_group_sets_only_what_the_schema_keeps_of_groups() {
    let mut catalog = catalog();
    let clocks = Clocks { sent_at: None, received_at: Timestamp(1_000_000_000) };
    let json = json!({ "type": "group", "userId": "a", "groupId": 17,
        "traits": { "email": "office@example.org", "planName": "gold", "first_name": "Ltd" } });
    let read = |catalog: &Catalog| read_item(catalog, &json, None, clocks).expect("reads").item;
    assert_eq!(read(&catalog).what, Act::Nothing);
    for name in ["group_id", "group_plan_name"] {
        let ty = Type::Text.optional();
        catalog.attributes.push(Attribute {
            name: name.into(),
            ty,
            default: Value::Unknown,
            unique: false,
            pii: false,
        });
    }
    let item = read(&catalog);
    let expected: Fields =
        [("group_id".into(), Value::text("17")), ("group_plan_name".into(), Value::text("gold"))].into();
    assert_eq!((item.what, item.who.email), (Act::Attributes(expected), None), "an office is not a person");
}
