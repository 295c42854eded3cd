//! The `read` doors, as a client knocks at them.

use std::sync::Arc;

use fahrplan::store::advance_bucket;
use fahrplan::store::keys::Scope;
use serde_json::Value as Json;

use crate::doors::{self, Open, SOON};

async fn get(open: &Open, path: &str, key: &str) -> (u16, Json) {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n");
    let answer = open.say(request.as_bytes()).await;
    let status = answer.get(9..12).and_then(|code| code.parse().ok()).expect("a status");
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

#[tokio::test]
async fn a_contact_its_timeline_and_the_journeys_are_there_to_read() {
    let open = Open::with(SOON).await;
    let body = r#"{"userId": "u1", "traits": {"email": "ada@example.com"}}"#;
    let head =
        format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    let said = open.say(format!("{}{body}", open.post("/v1/identify", &head)).as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    for bucket in open.store.buckets() {
        let now = fahrplan::clock::machine_now();
        while advance_bucket(&open.store, bucket, now, 100).await.expect("advanced").more {}
    }

    let (status, contact) = get(&open, "/v1/contacts/u1", &open.key).await;
    assert_eq!(status, 200, "{contact}");
    assert_eq!(contact["attributes"]["email"], "ada@example.com");
    for list in
        ["consents", "pauses", "suppressed", "slots", "enrollments", "deliveries", "tasks", "audiences"]
    {
        assert_eq!(contact[list], Json::Array(Vec::new()), "{list}");
    }
    assert!(contact.get("events").is_none() && contact.get("history").is_none());
    let id = contact["id"].as_str().expect("an id");
    assert_eq!(get(&open, &format!("/v1/contacts/{id}"), &open.key).await.1, contact);

    let (status, timeline) = get(&open, "/v1/contacts/u1/timeline?limit=5", &open.key).await;
    assert_eq!((status, timeline["contact"].as_str()), (200, Some(id)), "{timeline}");
    assert!(timeline["timeline"].is_array());
    assert_eq!(get(&open, "/v1/contacts/u1/timeline?before=soon", &open.key).await.0, 400);

    let (status, journeys) = get(&open, "/v1/journeys", &open.key).await;
    assert_eq!((status, journeys["journeys"].is_array()), (200, true), "{journeys}");

    for path in ["/v1/contacts/u2", "/v1/contacts/u2/timeline", "/v1/journeys/none"] {
        let (status, problem) = get(&open, path, &open.key).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not-found")), "{path}: {problem}");
    }
    let other = doors::key(&open.store, &[Scope::Ingest]).await;
    for path in ["/v1/contacts/u1", "/v1/contacts/u1/timeline", "/v1/journeys", "/v1/journeys/none"] {
        let (status, problem) = get(&open, path, &other).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("wrong-scope")), "{path}: {problem}");
        assert_eq!(get(&open, path, "fp_nobody").await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_journey_shows_its_people_and_its_steps_and_a_timeline_its_reasons() {
    use fahrplan::engine::world::{Event, Input};
    use fahrplan::intake::Who;
    use fahrplan::store::inbox::{Incoming, To};
    use fahrplan::store::{Store, journeys};
    use fahrplan::value::Value;

    const TEXT: &str = "contact { email: email? unique pii }\nevent signed_up { source: text }\n\
        channel email {\n  sends \"smtp\"\n  address contact.email\n  class message\n}\n\
        journey hello \"Hello\" {\n  purpose transactional because \"they asked\"\n  enter on signed_up\n  reenter never\n  \
        wait 3 days as patience\n  exit as done\n}\n";
    let directory = tempfile::tempdir().expect("a directory");
    let store =
        Store::open(&format!("sqlite:{}", directory.path().join("test.db").display())).await.expect("opened");
    let mut input = fahrplan::lang::Input::default();
    input.sources.add("all.journey".to_owned(), TEXT.to_owned());
    let compiled = fahrplan::lang::compile(&input);
    assert_eq!(compiled.programs.len(), 1, "{:?}", compiled.diagnostics);
    let now = fahrplan::clock::machine_now();
    journeys::deploy(&store, &compiled.catalog, &compiled.programs, now).await.expect("deployed");
    let open = Open::deployed(store, SOON, Some(directory)).await;
    let event = Event {
        id: 0,
        name: Arc::from("signed_up"),
        occurred_at: now,
        accepted_at: now,
        fields: [("source".into(), Value::text("web"))].into(),
        quiet: false,
    };
    let who = Who { user_id: Some("u1".to_owned()), ..Who::default() };
    let item = Incoming { to: To::Who(who), message_id: None, input: Input::Event(event) };
    open.store.accept(vec![item], now).await.expect("accepted");
    for bucket in open.store.buckets() {
        while advance_bucket(&open.store, bucket, now, 100).await.expect("advanced").more {}
    }
    let (status, journey) = get(&open, "/v1/journeys/hello", &open.key).await;
    assert_eq!(
        (status, &journey["active"], &journey["waiting"]["patience"]),
        (200, &1.into(), &1.into()),
        "{journey}"
    );
    let steps: Vec<&str> =
        journey["steps"].as_array().expect("steps").iter().filter_map(|step| step["id"].as_str()).collect();
    assert!(steps.contains(&"patience"), "{steps:?}");
    let (status, graph) = get(&open, "/v1/journeys/hello/graph", &open.key).await;
    assert_eq!((status, &graph["active"], &graph["state"]), (200, &1.into(), &"open".into()), "{graph}");
    let all = |part: &str| graph[part].as_array().expect("a list").clone();
    let resting: Vec<(&str, i64)> = graph["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| Some((step["id"].as_str()?, step["waiting"].as_i64().filter(|count| *count > 0)?)))
        .collect();
    assert_eq!(resting, [("patience", 1)], "{graph}");
    assert!(all("steps").iter().all(|step| step["text"].as_str().is_some_and(|text| !text.is_empty())));
    assert!(steps.contains(&graph["start"].as_str().expect("a step")));
    let (edges, known) =
        (all("edges"), |end: &serde_json::Value| steps.contains(&end.as_str().unwrap_or("")));
    assert!(edges.iter().all(|edge| known(&edge["from"]) && known(&edge["to"])), "{graph}");
    // From the start each exit can be reached.
    let mut reached = vec![graph["start"].clone()];
    let mut at = 0;
    while at < reached.len() {
        let from = reached[at].clone();
        for edge in edges.iter().filter(|edge| edge["from"] == from) {
            if !reached.contains(&edge["to"]) {
                reached.push(edge["to"].clone());
            }
        }
        at += 1;
    }
    let exits: Vec<_> = all("steps").into_iter().filter(|step| step["kind"] == "exit").collect();
    assert!(!exits.is_empty() && exits.iter().all(|step| reached.contains(&step["id"])), "{graph}");
    assert_eq!(get(&open, "/v1/journeys/none/graph", &open.key).await.0, 404);
    let (_, timeline) = get(&open, "/v1/contacts/u1/timeline", &open.key).await;
    let lines = timeline["timeline"].as_array().expect("lines");
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert!(
        texts.contains(&"entered") && texts.iter().any(|text| text.starts_with("waits at `patience`")),
        "{texts:?}"
    );
    assert!(lines.iter().any(|line| line["name"] == "signed_up" && line["kind"] == "event"), "{lines:?}");
}
