use super::*;

fn message() -> Message<'static> {
    Message {
        delivery: DeliveryId(77),
        channel: "sms",
        to: "+4915112345678",
        text: "Grüße & mehr",
        receipts: "https://shop.example/v1/receipts",
    }
}

fn answer(status: u16, body: &str) -> Result<Answer, Failed> {
    Ok(Answer { status, retry_after: None, body: body.as_bytes().to_vec() })
}

#[test]
fn numbers_have_their_country() {
    for (written, number) in [
        ("+49 151 1234-5678", Some("+4915112345678")),
        ("0049 (151) 12345678", Some("+4915112345678")),
        ("+49 (0)151/12345678", Some("+4915112345678")),
        ("0151 12345678", None),
        ("4915112345678", None),
        ("+1", None),
        ("+0123456789", None),
        ("+1234567890123456", None),
        ("", None),
    ] {
        assert_eq!(e164(written).as_deref(), number, "{written}");
    }
}

#[test]
fn each_scheme_has_its_dialect() {
    let generic = Gateway::parse("https://u:t@sms.example/send?x=1").expect("a gateway");
    let call = generic.call(&message(), Duration::from_secs(5));
    let id = DeliveryId(77).to_string();
    assert_eq!(call.timeout, Duration::from_secs(5));
    assert_eq!(call.headers["idempotency-key"], id.as_str());
    let body: serde_json::Value = serde_json::from_slice(&call.body.expect("a body")).expect("JSON");
    let told = serde_json::json!({
        "id": id, "channel": "sms", "to": "+4915112345678", "text": "Grüße & mehr",
        "report_to": "https://shop.example/v1/receipts/generic",
    });
    assert_eq!(body, told);

    let twilio = Gateway::parse("twilio://AC1:geheim@api.twilio.com?from=+4930123").expect("a gateway");
    let call = twilio.call(&message(), Duration::from_secs(60));
    assert_eq!(call.url.as_str(), "https://AC1:geheim@api.twilio.com/2010-04-01/Accounts/AC1/Messages.json");
    let body = String::from_utf8(call.body.expect("a body")).expect("text");
    let report = format!("https%3A%2F%2Fshop.example%2Fv1%2Freceipts%2Ftwilio%3Fdelivery%3D{id}");
    let form =
        format!("To=%2B4915112345678&From=%2B4930123&Body=Gr%C3%BC%C3%9Fe+%26+mehr&StatusCallback={report}");
    assert_eq!(body, form);
    for wrong in [
        "",
        "sms",
        "ftp://x",
        "twilio://x?from=1",
        "twilio://AC1@x?from=1",
        "twilio://AC1:t@x",
        "twilio://A-C:t@x?from=1",
    ] {
        assert!(Gateway::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn answers_are_classed_as_those_of_mail() {
    let generic = Gateway::parse("https://sms.example/").expect("a gateway");
    let twilio = Gateway::parse("twilio://AC1:t@api.twilio.com?from=MG1").expect("a gateway");
    let refused =
        |text: &str, bad_address| Handed::Refused { code: Some(400), text: text.to_owned(), bad_address };
    assert_eq!(generic.read(answer(200, r#"{"id": "m1"}"#)), Handed::Accepted { id: Some("m1".to_owned()) });
    assert_eq!(generic.read(answer(202, "ok")), Handed::Accepted { id: None });
    assert_eq!(generic.read(answer(400, r#"{"error": "no", "bad_address": true}"#)), refused("no", true));
    assert_eq!(
        twilio.read(answer(201, r#"{"sid": "SM1"}"#)),
        Handed::Accepted { id: Some("SM1".to_owned()) }
    );
    assert_eq!(
        twilio.read(answer(400, r#"{"code": 21211, "message": "+49"}"#)),
        refused("error 21211", true)
    );
    assert_eq!(twilio.read(answer(400, r#"{"code": 21408}"#)), refused("error 21408", false));
    for status in [401, 403, 404, 408, 429, 503] {
        assert!(matches!(twilio.read(answer(status, "")), Handed::Deferred { .. }), "{status}");
    }
    for status in [500, 502, 504] {
        assert!(matches!(generic.read(answer(status, "")), Handed::Unknown { .. }), "{status}");
    }
    let unsent = Failed::NotReached("x".to_owned());
    assert!(matches!(generic.read(Err(unsent)), Handed::Deferred { .. }));
    assert!(matches!(generic.read(Err(Failed::Lost("x".to_owned()))), Handed::Unknown { .. }));
}
