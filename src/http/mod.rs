//! The doors: HTTP. The table of routes, limits that hold for all, and what handlers share.
//!
//! Handlers use the store alone: a committed row wakes the loops of the daemon. Nothing is acknowledged before it is durable.

pub mod auth;
pub mod events;
pub mod health;
pub mod journeys;
pub mod links;
pub mod pages;
pub mod problem;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::TimeoutLayer;

use self::auth::Gatekeeper;
use self::events::Route;
use self::pages::{Language, Page};
use self::problem::Problem;
use crate::clock::JourneyClock;
use crate::link::LinkKey;
use crate::store::Store;
use crate::store::journeys::{self as journeys_deployed, Deployed};

/// The largest body of a batch, unpacked.
const BATCH_BYTES: usize = 10 << 20;
/// The largest body of everything else.
const BODY_BYTES: usize = 1 << 20;
/// A request that takes longer is given up; the client may send it again.
const TIMEOUT: Duration = Duration::from_secs(30);

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
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(tell))
        .with_state(doors)
}

/// Counts every request, and turns plain refusals of the framework into problems.
async fn tell(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    metrics::counter!("fahrplan_http_requests_total", "status" => status.as_u16().to_string()).increment(1);
    let plain = status.is_client_error() && !is_problem_or_page(&response);
    match status {
        StatusCode::PAYLOAD_TOO_LARGE if plain => {
            Problem::new(status, "too-large", "the body is larger than this address takes; send it in parts")
                .into_response()
        }
        StatusCode::BAD_REQUEST if plain => {
            Problem::bad("unreadable", "the body cannot be read").into_response()
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE if plain => {
            Problem::new(status, "unsupported", "send JSON, plain or gzip").into_response()
        }
        _ => response,
    }
}

fn is_problem_or_page(response: &Response) -> bool {
    let kind = response.headers().get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/problem+json") || kind.starts_with("text/html"))
}

/// Serves until told to stop; then takes no more connections and finishes what is under way.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}
