//! The doors: HTTP. The table of routes, limits that hold for all, and what handlers share.
//!
//! Handlers use the store alone: a committed row wakes the loops of the daemon. Nothing is acknowledged before it is durable.

pub mod agents;
pub mod auth;
mod calendar;
pub mod connections;
pub mod consents;
pub mod events;
mod fields;
pub mod frame;
mod gateways;
pub mod health;
pub mod journeys;
pub mod limits;
pub mod links;
pub mod mail;
pub mod openapi;
pub mod overview;
pub mod pages;
pub mod people;
pub mod problem;
pub mod read;
pub mod receipts;
pub mod rejected;
pub mod replies;
pub mod responses;
pub mod session;
mod shown;
pub mod sources;
pub mod surveys;
pub mod tasks;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;

use self::auth::Gatekeeper;
use self::events::Route;
use self::limits::Limiter;
use self::pages::{Language, Page};
use self::problem::Problem;
use self::sources::Sources;
use crate::clock::JourneyClock;
use crate::config::{Gateway, Secrets};
use crate::link::LinkKey;
use crate::store::Store;
use crate::store::journeys::{self as journeys_deployed, Deployed};

/// The largest body of a batch, unpacked.
const BATCH_BYTES: usize = 10 << 20;
/// The largest body of everything else.
const BODY_BYTES: usize = 1 << 20;
/// The largest header, and the longest address.
const HEADER_BYTES: usize = 16 << 10;
const URI_BYTES: usize = 8 << 10;

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub struct Doors {
    pub store: Store,
    pub clock: JourneyClock,
    pub link_key: LinkKey,
    pub gatekeeper: Arc<Gatekeeper>,
    /// The event that a confirm link records.
    pub confirm_event: Arc<str>,
    /// Who writes the mails, as the pages show it.
    pub sender: Arc<str>,
    pub metrics: PrometheusHandle,
    /// Where people reach these doors.
    pub public_url: Arc<str>,
    /// Fills in what stands beside a task.
    pub scripts: Option<Arc<dyn tasks::Scripts>>,
    pub settings: Arc<Settings>,
    /// What those know who report to us.
    pub secrets: Secrets,
}

/// What the project says about the doors.
#[derive(Default)]
pub struct Settings {
    pub limits: Limiter,
    pub sources: Sources,
    /// Gateways that report in their own words, by their channels.
    pub gateways: BTreeMap<String, Gateway>,
}

impl Doors {
    /// The journeys as they are deployed now.
    pub async fn deployed(&self) -> Result<Arc<Deployed>, Problem> {
        Ok(journeys_deployed::deployed(&mut self.store.read().await?).await?)
    }

    fn page(
        &self,
        language: Language,
        title: &'static str,
        text: &str,
        button: Option<&'static str>,
    ) -> Response {
        Page { language, title, text: text.to_owned(), button, sender: self.sender.to_string() }
            .answer(StatusCode::OK)
    }
}

/// The table of routes.
pub fn router(doors: Doors) -> Router {
    let items = |kind: Option<&'static str>| post(events::post).layer(Extension(Route(kind)));
    Router::new()
        .route("/v1/identify", items(Some("identify")))
        .route("/v1/track", items(Some("track")))
        .route("/v1/page", items(Some("page")))
        .route("/v1/screen", items(Some("screen")))
        .route("/v1/group", items(Some("group")))
        .route("/v1/alias", items(Some("alias")))
        .route("/v1/batch", items(None).layer(DefaultBodyLimit::max(BATCH_BYTES)))
        .route("/v1/journeys/{name}/enroll", post(journeys::enroll))
        .route("/u/{token}", get(links::show_unsubscribe).post(links::unsubscribe))
        .route("/c/{token}", get(links::show_confirm).post(links::confirm))
        .route("/r/{token}", get(links::click))
        .merge(agents::routes())
        .merge(consents::routes())
        .merge(mail::routes())
        .merge(openapi::routes())
        .merge(overview::routes())
        .merge(people::routes())
        .merge(read::routes())
        .merge(receipts::routes())
        .merge(rejected::routes())
        .merge(replies::routes())
        .merge(responses::routes())
        .merge(session::routes())
        .merge(sources::routes())
        .merge(surveys::routes())
        .merge(tasks::routes())
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(|| async { Problem::not_found("page") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong-method",
                "this address does not take that method",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(RequestDecompressionLayer::new())
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(doors.clone(), limits::by_address))
        .layer(middleware::from_fn(tell))
        .with_state(doors)
}

/// Refuses what is too large to be a request of ours, and turns plain refusals of the framework into problems.
async fn tell(request: Request, next: Next) -> Response {
    if request.uri().to_string().len() > URI_BYTES {
        return Problem::uri_too_long().into_response();
    }
    if header_bytes(request.headers()) > HEADER_BYTES {
        return Problem::header_too_large().into_response();
    }
    let response = next.run(request).await;
    if is_problem_or_page(&response) {
        return response;
    }
    let status = response.status();
    let problem = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = "the body is larger than this address takes; send it in parts";
            Problem::new(status, "too-large", detail)
        }
        StatusCode::BAD_REQUEST => {
            Problem::bad("unreadable", "the address or the body of the request cannot be read")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(status, "unsupported", "send JSON, plain or gzip"),
        StatusCode::INTERNAL_SERVER_ERROR => {
            Problem::new(status, "bug", "the program failed at this request; its log says where")
        }
        _ => return response,
    };
    problem.into_response()
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn is_problem_or_page(response: &Response) -> bool {
    let kind = response.headers().get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/problem+json") || kind.starts_with("text/html"))
}
