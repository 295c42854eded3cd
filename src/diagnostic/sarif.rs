//! Findings as one SARIF 2.1.0 log, the exchange format of static checks.

use serde_json::{Value, json};

use super::ci::full_text;
use super::json::Place;
use super::{Code, Diagnostic, Edit, Fix, Sources, Span};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole log, with the rules that were broken in it.
pub fn log(sources: &Sources, findings: &[Diagnostic]) -> String {
    let mut codes: Vec<Code> = findings.iter().map(|f| f.code).collect();
    codes.sort();
    codes.dedup();
    let results: Vec<_> = findings.iter().map(|finding| result(sources, &codes, finding)).collect();
    let driver = json!({
        "name": "fahrplan",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": codes.iter().copied().map(rule).collect::<Vec<_>>(),
    });
    let run = json!({ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results });
    json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] }).to_string() + "\n"
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "name": code.name(),
        "shortDescription": { "text": code.headline() },
        "defaultConfiguration": { "level": code.severity().as_str() },
    })
}

fn result(sources: &Sources, codes: &[Code], finding: &Diagnostic) -> Value {
    let mut result = json!({
        "ruleId": finding.code.as_str(),
        "ruleIndex": codes.binary_search(&finding.code).expect("the rules are those of the findings"),
        "level": finding.severity().as_str(),
        "message": { "text": full_text(finding) },
        "locations": [location(sources, finding.primary.span, &finding.primary.text)],
    });
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|label| location(sources, label.span, &label.text));
        result["relatedLocations"] = related.collect();
    }
    // The schema wants at least one change in a fix.
    if let Some(fix) = finding.fix.as_ref().filter(|fix| !fix.edits.is_empty()) {
        result["fixes"] = json!([fix_of(sources, fix)]);
    }
    result
}

fn location(sources: &Sources, span: Span, text: &str) -> Value {
    let place = Place::shown(sources, span);
    let mut location = json!({});
    if !place.file.is_empty() {
        location["physicalLocation"] =
            json!({ "artifactLocation": { "uri": uri(place.file) }, "region": region(&place) });
    }
    if !text.is_empty() {
        location["message"] = json!({ "text": text });
    }
    location
}

fn region(place: &Place) -> Value {
    json!({
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    })
}

fn fix_of(sources: &Sources, fix: &Fix) -> Value {
    let mut edits: Vec<&Edit> = fix.edits.iter().collect();
    edits.sort_by_key(|e| e.span);
    let changes = edits.chunk_by(|a, b| a.span.file == b.span.file).map(|edits| {
        let replacements = edits.iter().map(|edit| {
            let region = region(&Place::exact(sources, edit.span));
            json!({ "deletedRegion": region, "insertedContent": { "text": edit.text } })
        });
        json!({
            "artifactLocation": { "uri": uri(sources.path(edits[0].span.file)) },
            "replacements": replacements.collect::<Vec<_>>(),
        })
    });
    json!({ "description": { "text": fix.title }, "artifactChanges": changes.collect::<Vec<_>>() })
}

/// A path as a relative reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\\' => uri.push('/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into())
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::FileId;

    #[test]
    fn a_log_holds_rules_places_and_fixes() {
        let mut sources = Sources::new();
        let file = sources.add("journeys/ä b.journey".into(), "wait 2 dyas\n".into());
        let span = Span::new(file, 7, 11);
        let findings = [
            Diagnostic::new(Code::W0108, Span::at(FileId(3), 0), "no file"),
            Diagnostic::new(Code::E0001, span, "m").label("l").related(span, "r").fix(
                "write `days`",
                span,
                "days",
            ),
        ];
        let log: Value = serde_json::from_str(&log(&sources, &findings)).expect("JSON");
        assert_eq!((&log["version"], &log["$schema"]), (&"2.1.0".into(), &SCHEMA.into()));
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "E0001");
        assert_eq!(run["results"][0]["locations"], json!([{}]));
        assert_eq!(run["results"][0]["ruleIndex"], 1);
        let result = &run["results"][1];
        let region = json!({ "startLine": 1, "startColumn": 8, "endLine": 1, "endColumn": 12 });
        let physical =
            json!({ "artifactLocation": { "uri": "journeys/%C3%A4%20b.journey" }, "region": region });
        let location = |text: &str| json!({ "physicalLocation": physical, "message": { "text": text } });
        assert_eq!(result["locations"], json!([location("l")]));
        assert_eq!(result["relatedLocations"], json!([location("r")]));
        assert_eq!(
            result["fixes"][0]["artifactChanges"][0]["replacements"],
            json!([{ "deletedRegion": region, "insertedContent": { "text": "days" } }])
        );
    }

    #[test]
    fn no_findings_are_still_a_log() {
        let log: Value = serde_json::from_str(&log(&Sources::new(), &[])).expect("JSON");
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
