//! The document of the doors and the doors themselves: each says what the other does, with methods, scopes and answers.

use std::collections::BTreeSet;

use fahrplan::http::connections::Limits;
use fahrplan::store::keys::Scope;
use serde_json::Value;

use crate::doors::{Open, key, split};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The paths of a router, as it shows them to whoever debugs it.
fn paths(router: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Behind them stands what answers where there is no door.
    let (router, _) = router.split_once("fallback_router").expect("a router has both");
    for part in router.split("RouteId(").skip(1) {
        let path = part
            .split_once("): \"")
            .and_then(|(id, rest)| id.bytes().all(|b| b.is_ascii_digit()).then(|| rest.split('"').next())?);
        found.extend(path.filter(|path| path.starts_with('/')).map(str::to_owned));
    }
    found
}

#[tokio::test]
async fn the_document_and_the_doors_say_the_same() {
    let mut doors = Open::with(Limits::default()).await;
    let (status, document) = doors.get("/openapi.json").await;
    assert_eq!(status, 200);
    let written = document["paths"].as_object().expect("paths");
    let listed: BTreeSet<String> = written.keys().cloned().collect();
    let there = paths(&doors.router);
    assert!(there.contains("/v1/batch"), "the router shows its paths: {}", doors.router);
    assert_eq!(there, listed, "left: the doors; right: src/http/openapi.json");

    let mut keys = Vec::new();
    for scope in [Scope::Ingest, Scope::Read, Scope::Tasks] {
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
        keys.push((scope.as_str(), key(&doors.store, &[scope]).await, key(&doors.store, &others).await));
    }
    for (path, methods) in written {
        let at = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for method in METHODS {
            let documented = methods.get(method);
            doors.key = "none".to_owned();
            let (status, answer) = ask(&doors, method, &at).await;
            let place = format!("{method} {path}: {status} {answer}");
            let Some(operation) = documented else {
                assert_eq!(status, 405, "not documented: {place}");
                continue;
            };
            assert_ne!(status, 405, "not there: {place}");
            let answers = operation["responses"].as_object().expect("responses");
            assert!(answers.contains_key(&status.to_string()), "an answer that is not documented: {place}");
            let scope = operation["security"].as_array().and_then(|all| all.first()?["key"][0].as_str());
            let Some(scope) = scope else {
                assert_ne!(answer["code"], "unknown-key", "asks for a key: {place}");
                continue;
            };
            assert_eq!((status, answer["code"].as_str()), (401, Some("unknown-key")), "{place}");
            let (_, good, others) = keys.iter().find(|(name, ..)| *name == scope).expect("a scope");
            doors.key = others.clone();
            let (status, answer) = ask(&doors, method, &at).await;
            assert_eq!((status, answer["code"].as_str()), (403, Some("wrong-scope")), "{method} {path}");
            doors.key = good.clone();
            let (status, answer) = ask(&doors, method, &at).await;
            assert!(
                !matches!(status, 401 | 403) && answers.contains_key(&status.to_string()),
                "{method} {path}: {status} {answer}"
            );
        }
    }
}

async fn ask(doors: &Open, method: &str, path: &str) -> (u16, Value) {
    let method = method.to_uppercase();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", doors.key);
    split(&doors.say(format!("{head}connection: close\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes()).await)
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(fahrplan::http::openapi::DOCUMENT).expect("JSON");
    let mut waiting = vec![&document];
    let mut found = 0;
    while let Some(value) = waiting.pop() {
        if let Some(place) = value.get("$ref").and_then(Value::as_str) {
            found += 1;
            assert!(document.pointer(place.trim_start_matches('#')).is_some(), "{place}");
        }
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(fields) => waiting.extend(fields.values()),
            _ => {}
        }
    }
    assert!(found > 20);
}
