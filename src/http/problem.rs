//! Errors as RFC 9457 `application/problem+json`: a stable `code` for machines, a sentence for people.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that says why not.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, such as `no-key`.
    pub code: &'static str,
    pub detail: String,
    /// Seconds after which to try again.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem of that status.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), retry_after: None }
    }

    /// The request as a whole cannot be read.
    pub fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Nothing is there.
    pub fn not_found(what: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// The address is longer than we read.
    pub(super) fn uri_too_long() -> Problem {
        let detail = "the address of the request is longer than 8 KiB";
        Problem::new(StatusCode::URI_TOO_LONG, "address-too-long", detail)
    }

    /// The header is larger than we read.
    pub(super) fn header_too_large() -> Problem {
        let detail = "the header of the request is larger than 16 KiB, or has more than 100 fields";
        Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", detail)
    }

    /// A whole answer, after which the connection is closed: for requests that never became one.
    pub(super) fn as_http(&self) -> Vec<u8> {
        let body = self.body();
        let (status, length) = (self.status, body.len());
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn body(&self) -> String {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        json!({ "title": title, "status": self.status.as_u16(), "code": self.code, "detail": self.detail })
            .to_string()
    }

    /// The store cannot take it now: nothing was acknowledged, try again.
    pub fn away(error: &crate::store::Error) -> Problem {
        tracing::warn!(error = %error, "a request could not be stored");
        let (status, code, detail) = match error {
            crate::store::Error::Busy => {
                (StatusCode::TOO_MANY_REQUESTS, "busy", "more is coming in than can be stored; send it again")
            }
            error if error.is_passing() => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database-away",
                "nothing was stored; send it again in a moment",
            ),
            _ => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "database-failed",
                "nothing was stored; see the log of the daemon",
            ),
        };
        let retry_after = (status != StatusCode::INTERNAL_SERVER_ERROR).then_some(1);
        Problem { retry_after, ..Problem::new(status, code, detail) }
    }
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Problem {
        Problem::away(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"fahrplan\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
