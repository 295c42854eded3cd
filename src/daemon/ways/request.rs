//! Requests to declared endpoints. The key of a request is its delivery's id, the same at each try: an endpoint that heeds it acts once,
//! however often it is asked.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value as Json};

use crate::channels::guard::{Answer, Call, Failed, KEY};
use crate::clock::machine_now;
use crate::daemon::deliver::{Desk, refused};
use crate::engine::program::{Catalog, Endpoint, Header};
use crate::engine::world::Fields;
use crate::intake::samples::sample;
use crate::store::deliveries::{self, Claimed, SendResult as Outcome};
use crate::time::{DAY, Timestamp};
use crate::value::{self, Type, Value};

/// Makes the request, and reads its answer.
pub(in crate::daemon) async fn hand_over(desk: &Desk, claimed: &Claimed) -> Outcome {
    let name = &claimed.delivery.template;
    let Some(endpoint) = desk.catalog().endpoints.get(name) else {
        return refused(format!("the endpoint `{name}` is not declared any more"));
    };
    let url = match desk.others().secrets.resolve(&endpoint.url) {
        Ok(url) => url,
        Err(why) => {
            tracing::warn!(endpoint = &**name, %why, "the address of an endpoint is a secret that cannot be had");
            return again(claimed, endpoint, "its address is a secret that cannot be had".to_owned(), None);
        }
    };
    // The text is not repeated: it may be a secret.
    let Ok(url) = Url::parse(url.reveal()) else { return refused("its address cannot be read as a URL") };
    let mut call = call(claimed, endpoint, url, desk.time_left(claimed));
    for header in desk.catalog().headers.get(name).into_iter().flatten() {
        let value = match value_of(desk, header) {
            Ok(value) => value,
            Err(why) => {
                tracing::warn!(
                    endpoint = &**name,
                    header = &*header.name,
                    why,
                    "a header of an endpoint cannot be sent"
                );
                return again(
                    claimed,
                    endpoint,
                    "the secret of a header cannot be had or sent".to_owned(),
                    None,
                );
            }
        };
        if let Ok(name) = HeaderName::from_bytes(header.name.as_bytes()) {
            call.headers.insert(name, value);
        }
    }
    if let Some(withdrawn) = desk.stopped(claimed).await {
        return withdrawn;
    }
    match desk.others().guard.ask(call).await {
        Ok(answer) => answered(claimed, endpoint, &answer),
        Err(Failed::NotReached(why)) => again(claimed, endpoint, why, None),
        Err(Failed::Lost(why)) => match again(claimed, endpoint, why, None) {
            Outcome::Deferred { retry_at, reason } => Outcome::Unknown { retry_at: Some(retry_at), reason },
            given_up => given_up,
        },
        Err(failed @ (Failed::Refused(_) | Failed::TooLarge)) => refused(failed.to_string()),
    }
}

/// The value of a header, with its secret; marked, so that nobody prints it.
fn value_of(desk: &Desk, header: &Header) -> Result<HeaderValue, String> {
    let text = match header.secret() {
        Some((before, secret)) => {
            let secret = desk.others().secrets.resolve(secret).map_err(|why| why.to_string())?;
            format!("{before}{}", secret.reveal())
        }
        None => header.value.to_string(),
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "its secret has signs that no header has".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a rehearsal gets for an answer.
pub(in crate::daemon) fn rehearsed(catalog: &Catalog, claimed: &Claimed) -> Outcome {
    let returns = catalog.endpoints.get(&claimed.delivery.template).map(|endpoint| &endpoint.returns);
    let fields = returns
        .into_iter()
        .flatten()
        .map(|field| (field.name.clone(), sample(&field.name, &field.ty)))
        .collect();
    Outcome::Answered { fields }
}

fn call(claimed: &Claimed, endpoint: &Endpoint, mut url: Url, left: Duration) -> Call {
    let method = Method::from_bytes(endpoint.method.as_bytes()).unwrap_or(Method::POST);
    let key = HeaderValue::from_str(&claimed.delivery.id.to_string()).expect("ids are letters and digits");
    let mut headers =
        HeaderMap::from_iter([(KEY, key), (ACCEPT, HeaderValue::from_static("application/json"))]);
    let with = &claimed.delivery.with;
    let body = if method == Method::GET {
        for (name, value) in with.iter().filter(|(_, value)| value.is_known()) {
            url.query_pairs_mut().append_pair(name, &in_query(value));
        }
        None
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let fields: Map<String, Json> =
            with.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
        Some(Json::Object(fields).to_string().into_bytes())
    };
    Call { method, url, headers, body, timeout: timeout(endpoint).min(left) }
}

fn in_query(value: &Value) -> String {
    match value.to_json() {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// Days of a timeout are as long as most days are.
fn timeout(endpoint: &Endpoint) -> Duration {
    let ms = endpoint.timeout.ms.saturating_add(i64::from(endpoint.timeout.days).saturating_mul(DAY));
    Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1))
}

fn answered(claimed: &Claimed, endpoint: &Endpoint, answer: &Answer) -> Outcome {
    let status = answer.status;
    match status {
        200..=299 => match read(endpoint, &answer.body) {
            Ok(fields) => Outcome::Answered { fields },
            Err(why) => refused(format!("its answer is not what `returns` says: {why}")),
        },
        300..=399 => refused(format!("{status}: it leads elsewhere, which is not followed")),
        408 | 425 | 429 | 500..=599 => {
            let asked = answer.retry_after.map(|wait| {
                machine_now().plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(30 * DAY))
            });
            again(claimed, endpoint, format!("it answered {status}"), asked)
        }
        _ => refused(format!("it answered {status}")),
    }
}

/// The declared fields of an answer. What texts its values are is not repeated: they may be about somebody.
fn read(endpoint: &Endpoint, body: &[u8]) -> Result<Fields, String> {
    if endpoint.returns.is_empty() {
        return Ok(Fields::new());
    }
    let json: Json = match body.trim_ascii().is_empty() {
        true => Json::Object(Map::new()),
        false => serde_json::from_slice(body).map_err(|_| "it is no JSON".to_owned())?,
    };
    let Json::Object(map) = &json else { return Err("it is no JSON object".to_owned()) };
    let mut fields = Fields::new();
    for field in &endpoint.returns {
        let ty = Type::Record([field.clone()].into());
        match value::from_json(&ty, &Json::Object(map.clone())) {
            Ok(Value::Record(one)) => fields.extend(one),
            Ok(_) => {}
            Err(misfit) => return Err(format!("`{}` is no {}", misfit.path, field.ty)),
        }
    }
    Ok(fields)
}

/// Another try, if the endpoint is worth one more.
fn again(claimed: &Claimed, endpoint: &Endpoint, reason: String, asked: Option<Timestamp>) -> Outcome {
    let Claimed { delivery, attempts, first_tried_at, .. } = claimed;
    if i64::from(*attempts) > endpoint.retries {
        let tries = if *attempts == 1 { "one try".to_owned() } else { format!("{attempts} tries") };
        return refused(format!("given up after {tries}: {reason}"));
    }
    match deliveries::next_try(delivery.id, *attempts, *first_tried_at, machine_now(), asked) {
        Some(retry_at) => Outcome::Deferred { retry_at, reason },
        None => refused(format!("given up, since the next try would be too late: {reason}")),
    }
}
