//! Connections: who may hold one, and for how long.
//!
//! A door that waits for ever is shut by whoever opens many connections and says nothing. So a header, an idle connection and a
//! body that stands still each have their limit, and so has a request as a whole.
//!
//! ```text
//! open ──header──> request ──body──> handled ──answer──> open again
//!   │ silent: closed  │ stands still, or never ends: 408     │ too long: 503
//! ```

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::MapRequest;

use super::limits::Peer;
use super::problem::Problem;
use super::wire::Wire;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the beginning of a connection, or from its last answer, to the end of the next header. So an idle one is closed too.
    pub header: Duration,
    /// Between two pieces of a body.
    pub piece: Duration,
    /// A request from its header to its answer.
    pub request: Duration,
    /// Connections at once; more wait until one is closed. Well below the 1,024 files that a process may usually have open.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header: Duration::from_secs(15),
            piece: Duration::from_secs(10),
            request: Duration::from_secs(60),
            connections: 512,
        }
    }
}

/// The most of a header that is read; [`super::tell`] has the limit that counts.
const BUFFER: usize = 64 << 10;
/// The pause after the system could give no connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop; then takes no more connections and finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = router.layer(middleware::from_fn(move |request, next| within(limits, request, next)));
    let room = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let peer = Peer(peer.ip());
                let (router, stop) = (router.clone(), stop.clone());
                open.spawn(async move {
                    hold(stream, peer, router, limits, stop).await;
                    drop(permit);
                });
            }
            // The other side went away, or no file is free: neither is a reason to close the doors.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
    Ok(())
}

/// One connection, to its end. What goes wrong on it is its own, and no news.
async fn hold(stream: TcpStream, peer: Peer, router: Router, limits: Limits, stop: CancellationToken) {
    _ = stream.set_nodelay(true);
    let service = MapRequest::new(router, move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Wire::new(stream)), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    _ = connection.await;
}

/// Sees to it that a request ends: 408 when its body did not come, 503 when we took too long.
async fn within(limits: Limits, request: Request, next: Next) -> Response {
    let response = in_time(limits, request, next).await;
    metrics::counter!("fahrplan_http_requests_total", "status" => response.status().as_u16().to_string())
        .increment(1);
    response
}

async fn in_time(limits: Limits, request: Request, next: Next) -> Response {
    let progress = Arc::new(Progress::default());
    let seen = progress.clone();
    let request = request.map(|body| Body::new(Watched::new(body, limits.piece, seen)));
    let answered = tokio::time::timeout(limits.request, next.run(request)).await;
    match (answered, progress.get()) {
        (_, Progress::STALLED) | (Err(_), Progress::COMING) => {
            let detail = "the body did not come in time; nothing was stored, send it again";
            let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail).into_response();
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
        (Ok(response), _) => response,
        (Err(_), _) => {
            let detail = "the request took too long; whether it was stored nobody knows, send it again with the same `messageId`";
            Problem {
                retry_after: Some(5),
                ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-long", detail)
            }
            .into_response()
        }
    }
}

/// How far a body has come.
#[derive(Default)]
struct Progress(AtomicU8);

impl Progress {
    const COMING: u8 = 0;
    const READ: u8 = 1;
    const STALLED: u8 = 2;

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, to: u8) {
        self.0.store(to, Ordering::Relaxed);
    }
}

/// A body that fails when no piece of it comes for a while.
struct Watched {
    body: Body,
    patience: Duration,
    /// Runs while a piece is waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

impl Watched {
    fn new(body: Body, patience: Duration, progress: Arc<Progress>) -> Watched {
        if body.is_end_stream() {
            progress.set(Progress::READ);
        }
        Watched { body, patience, alarm: None, progress }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.alarm = None;
            if frame.is_none() || this.body.is_end_stream() {
                this.progress.set(Progress::READ);
            }
            return Poll::Ready(frame);
        }
        let patience = this.patience;
        let alarm =
            this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        if alarm.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.progress.set(Progress::STALLED);
        Poll::Ready(Some(Err(axum::Error::new("the body stands still"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
